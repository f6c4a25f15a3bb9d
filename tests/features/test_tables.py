import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from skhash.features._tables import as_float32, listed, names_of, read_blocks, stack_vectors

COLUMNS = {"image": "image", "text": "text"}


def test_raw_columns_and_feature_columns_are_told_apart():
    table = pd.DataFrame({"image__0": [1.0, 2.0], "image__1": [3.0, 4.0], "text": ["a", "b"]})
    blocks = read_blocks(table, COLUMNS)
    features, names = blocks["image"]
    np.testing.assert_array_equal(features, [[1, 3], [2, 4]])
    assert names == ["image__0", "image__1"]
    texts, names = blocks["text"]
    assert list(texts) == ["a", "b"]
    assert names is None


def test_a_block_in_both_forms_is_refused():
    table = pd.DataFrame({"image": ["a.png"], "image__0": [1.0]})
    with pytest.raises(ValueError, match="image block is there twice"):
        read_blocks(table, COLUMNS)


def test_vectors_of_one_length_are_stacked():
    stacked = stack_vectors([[1, 2], (3, 4)])
    assert stacked.dtype == np.float32
    np.testing.assert_array_equal(stacked, [[1, 2], [3, 4]])


def test_a_vector_of_another_length_is_named_by_its_row():
    with pytest.raises(ValueError, match=r"row 2 must be a vector as long as that of row 0"):
        stack_vectors([[1, 2], [3, 4], [5]])


@pytest.mark.parametrize("sparse_output", [True, False])
@pytest.mark.parametrize("container", [np.array, sparse.csc_matrix, pd.DataFrame])
def test_features_become_float32_dense_or_csr(container, sparse_output):
    features = as_float32(container([[1, 0], [0, 2]]), sparse_output=sparse_output)
    assert sparse.issparse(features) == sparse_output
    assert features.dtype == np.float32
    dense = features.toarray() if sparse_output else features
    np.testing.assert_array_equal(dense, [[1, 0], [0, 2]])


def test_a_featurizer_without_names_gives_numbers():
    assert list(names_of(object(), np.zeros((1, 3)))) == [0, 1, 2]


def test_long_lists_of_names_are_cut():
    assert listed(list("abcdef")) == "'a', 'b', 'c', 'd', 'e', ..."
