"""Rankings of codes, and what is relevant in them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from skhash import _ranking
from skhash._ranking import comparable, encode_labels, relevance


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), n_gallery=st.integers(2, 60))
def test_without_ties_it_is_the_average_precision_of_scikit_learn(seed, n_gallery):
    rng = np.random.default_rng(seed)
    query, gallery = rng.normal(size=(1, 6)), rng.normal(size=(n_gallery, 6))
    relevant = rng.random(n_gallery) < 0.4
    relevant[0] = True
    cosine = (gallery @ query[0]) / np.linalg.norm(gallery, axis=1)
    (score,) = _ranking.average_precisions(
        *comparable(query, gallery), [1], relevant, k=None, ties="expected", normalize="hits"
    )
    assert score == pytest.approx(average_precision_score(relevant, cosine), abs=1e-12)


@pytest.mark.parametrize("n_labels", [1, 24, 64, 65, 130])
def test_multilabel_relevance_is_a_shared_label(n_labels):
    rng = np.random.default_rng(0)
    y_query, y_gallery = rng.random((5, n_labels)) < 0.1, rng.random((9, n_labels)) < 0.1
    found = relevance(*encode_labels(y_query, y_gallery, 5, 9))
    expected = (y_query[:, None] & y_gallery[None]).any(axis=2)
    np.testing.assert_array_equal(found, expected)


def test_the_number_one_is_not_the_string_one():
    found = relevance(*encode_labels([1, 2], ["1", "2", "2"], 2, 3))
    assert not found.any()


def test_no_labels_means_pairs():
    assert relevance(*encode_labels(None, None, 3, 3)).tolist() == np.eye(3).tolist()
