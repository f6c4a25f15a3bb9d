import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone

from skhash._blocks import (
    BlockTransformer,
    block_slices,
    is_table,
    make_table,
    table_column,
    table_columns,
)


class Doubler(BlockTransformer):
    """Double every column of a block table."""

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def transform(self, X):
        return self._wrap_output(2 * np.asarray(X), table_columns(X) or ["image__0", "text__0"], X)


block_table = pd.DataFrame({"image__0": [1, 2], "text__0": [3, 4]}, index=["a", "b"])


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (["image__a", "text__a", "text__b"], {"image": slice(0, 1), "text": slice(1, 3)}),
        (["image__a", "image__b"], {"image": slice(0, 2)}),
        (["text__a"], {"text": slice(0, 1)}),
        ([], {}),
    ],
)
def test_block_slices_finds_the_blocks_that_are_there(columns, expected):
    assert block_slices(columns) == expected


def test_a_column_of_no_block_is_named():
    columns = ["image__0", "a", "b", "c", "d"]
    with pytest.raises(
        ValueError, match=r"image__\* or text__\*, got 'a', 'b', 'c', \.\.\.: rename"
    ):
        block_slices(columns)


def test_text_before_image_is_an_error():
    with pytest.raises(ValueError, match="columns are in the wrong order"):
        block_slices(["text__0", "image__0"])


@pytest.mark.parametrize("frame", [block_table, pl.from_pandas(block_table)])
def test_tables_of_any_library_are_read(frame):
    assert is_table(frame)
    assert table_columns(frame) == ["image__0", "text__0"]
    assert table_column(frame, "text__0").tolist() == [3, 4]


@pytest.mark.parametrize("X", [np.zeros((2, 3)), sparse.csr_matrix((2, 3)), [[1, 2, 3]]])
def test_what_is_no_dataframe_is_no_table(X):
    assert not is_table(X)
    assert table_columns(X) is None


def test_make_table_prefixes_features_and_keeps_raw_columns():
    table = make_table(image=np.ones((2, 2), dtype=bool), text=["a", "b"])
    assert list(table.columns) == ["image__0", "image__1", "text"]
    assert list(table.dtypes.iloc[:2]) == [bool, bool]
    assert table["text"].tolist() == ["a", "b"]


def test_make_table_densifies_sparse_blocks():
    table = make_table(text=sparse.csr_matrix(np.eye(2)))
    np.testing.assert_array_equal(table, np.eye(2))


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_make_table_prefixes_names_that_have_no_prefix(frame):
    table = make_table(image=frame({"red": [1.0], "image__blue": [2.0]}))
    assert list(table.columns) == ["image__red", "image__blue"]


def test_make_table_keeps_pictures_whole():
    pictures = np.zeros((2, 4, 4, 3), dtype=np.uint8)
    for image in (pictures, list(pictures)):
        table = make_table(image=image)
        assert [picture.shape for picture in table["image"]] == [(4, 4, 3)] * 2


@pytest.mark.parametrize("dtype", ["float32", "bool", "int64"])
def test_make_table_reads_tensors_and_lists_of_vectors_as_blocks(dtype):
    torch = pytest.importorskip("torch")
    expected = np.array([[1, 0, 1], [0, 1, 1]], dtype=dtype)
    tensor = torch.from_numpy(expected)
    for image in (tensor, list(tensor), list(expected), tuple(expected), expected.tolist()):
        table = make_table(image=image, text=["a", "b"])
        assert list(table.columns) == ["image__0", "image__1", "image__2", "text"]
        np.testing.assert_array_equal(table.filter(like="image__"), expected)
    assert set(make_table(image=tensor).dtypes) == {np.dtype(dtype)}


def test_make_table_keeps_tensors_of_pictures_whole():
    torch = pytest.importorskip("torch")
    table = make_table(image=torch.zeros((2, 4, 4, 3), dtype=torch.uint8))
    assert [picture.shape for picture in table["image"]] == [(4, 4, 3)] * 2


def test_make_table_says_how_to_give_a_tensor_that_is_no_array():
    torch = pytest.importorskip("torch")
    for tensor in (torch.zeros((2, 3), requires_grad=True), torch.zeros((2, 3)).bfloat16()):
        with pytest.raises(
            TypeError, match=r"image is a .*give tensor\.detach\(\)\.float\(\)\.cpu"
        ):
            make_table(image=tensor)


def test_make_table_names_the_vector_whose_length_differs():
    with pytest.raises(ValueError, match=r"text is a list .* got 1 numbers in row 1 beside 2 in"):
        make_table(text=[[1.0, 2.0], [1.0]])


def test_make_table_keeps_lists_of_words_and_of_labels_whole():
    for rows in ([["a", "b"], ["c"]], ["ab", "cd"], [b"ab", b"cd"]):
        assert make_table(text=rows)["text"].tolist() == rows


def test_make_table_joins_by_position_and_keeps_the_image_index():
    image = pd.DataFrame({"a": [1, 2]}, index=["x", "y"])
    text = pd.Series(["one", "two"], index=["y", "x"])
    table = make_table(image=image, text=text)
    assert list(table.index) == ["x", "y"]
    assert table["text"].tolist() == ["one", "two"]


def test_make_table_needs_a_block():
    with pytest.raises(ValueError, match="at least one block: give image, text or both"):
        make_table()


def test_make_table_needs_pairs():
    with pytest.raises(ValueError, match="pair row by row, got 2 images and 1 texts"):
        make_table(image=["a", "b"], text=["c"])


def test_output_is_an_array_by_default():
    result = Doubler().fit_transform(block_table)
    assert isinstance(result, np.ndarray)
    np.testing.assert_array_equal(result, [[2, 6], [4, 8]])


def test_pandas_output_keeps_the_index():
    result = Doubler().set_output(transform="pandas").fit_transform(block_table)
    pd.testing.assert_frame_equal(result, 2 * block_table)


def test_polars_output():
    result = Doubler().set_output(transform="polars").fit_transform(block_table)
    assert isinstance(result, pl.DataFrame)
    assert result.columns == ["image__0", "text__0"]


def test_the_global_option_is_followed_and_the_own_one_wins():
    with config_context(transform_output="pandas"):
        assert isinstance(Doubler().fit_transform(block_table), pd.DataFrame)
        own = Doubler().set_output(transform="default")
        assert isinstance(own.fit_transform(block_table), np.ndarray)


def test_set_output_none_changes_nothing_and_clone_keeps_the_choice():
    doubler = Doubler().set_output(transform="pandas").set_output(transform=None)
    assert isinstance(clone(doubler).fit_transform(block_table), pd.DataFrame)


def test_an_unknown_container_is_named():
    with pytest.raises(
        ValueError, match="transform must be one of 'default', 'pandas', 'polars', got 'x"
    ):
        Doubler().set_output(transform="xarray")


def test_a_sparse_result_fits_no_dataframe():
    doubler = Doubler().set_output(transform="pandas")
    with pytest.raises(ValueError, match="a sparse result cannot be a pandas dataframe"):
        doubler._wrap_output(sparse.csr_matrix((2, 2)), ["image__0", "text__0"], block_table)


def test_polars_is_asked_for_where_it_is_chosen(monkeypatch):
    monkeypatch.setattr("skhash._blocks.find_spec", lambda name: None)
    doubler = Doubler()
    with pytest.raises(ImportError, match="needs polars, which is not installed: pip install pol"):
        doubler.set_output(transform="polars")
    assert isinstance(doubler.fit_transform(block_table), np.ndarray)
    with config_context(transform_output="polars"), pytest.raises(ImportError, match="polars"):
        doubler.fit_transform(block_table)
