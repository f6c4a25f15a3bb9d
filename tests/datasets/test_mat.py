import pickle

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from skhash.datasets import _mat
from skhash.datasets._mat import MatPictures, open_pictures, pick_rows, read_matrix, read_numbers

RNG = np.random.default_rng(0)
PICTURES = RNG.integers(256, size=(7, 5, 4, 3), dtype=np.uint8)  # n, height, width, colour
MATRIX = RNG.integers(9, size=(7, 3)).astype(float)


@pytest.fixture
def path(tmp_path):
    """A MATLAB v7.3 file: HDF5 behind a header, dimensions the other way round, compressed."""
    path = tmp_path / "all.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        # MATLAB's (height, width, colour, n) in its own order.
        stored = PICTURES.transpose(0, 3, 2, 1)
        file.create_dataset("IAll", data=stored, chunks=(2, 3, 4, 5), compression="gzip")
        file["YAll"] = MATRIX.T
        file["param/index"] = np.array([[7.0, 1.0, 3.0]])
    with path.open("r+b") as header:
        header.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512))
    return path


@pytest.fixture
def pictures(path):
    return open_pictures(path, "IAll", 7, np.array([0, 2, 3, 6]))


def test_pictures_are_those_of_their_rows(pictures):
    assert len(pictures) == 4
    for picture, row in zip(pictures, [0, 2, 3, 6], strict=True):
        np.testing.assert_array_equal(picture, PICTURES[row])
        assert picture.dtype == np.uint8
        assert picture.flags.c_contiguous


@pytest.mark.parametrize(("index", "row"), [(0, 0), (-1, 6), (np.int64(2), 3)])
def test_integer_gives_a_picture(pictures, index, row):
    np.testing.assert_array_equal(pictures[index], PICTURES[row])


@pytest.mark.parametrize(
    ("index", "rows"),
    [
        (slice(1, 3), [2, 3]),
        (slice(None, None, -1), [6, 3, 2, 0]),
        (np.array([3, 0, 3]), [6, 0, 6]),
        (np.array([True, False, False, True]), [0, 6]),
    ],
)
def test_other_indices_give_a_sequence(pictures, index, rows):
    part = pictures[index]
    assert isinstance(part, MatPictures)
    np.testing.assert_array_equal(np.stack(list(part)), PICTURES[rows])


def test_index_out_of_range_raises(pictures):
    with pytest.raises(IndexError, match="out of bounds"):
        pictures[4]


def test_only_what_is_asked_for_is_read(pictures, monkeypatch):
    read = []
    get = h5py.Dataset.__getitem__
    monkeypatch.setattr(
        h5py.Dataset, "__getitem__", lambda self, row: (read.append(row), get(self, row))[1]
    )
    part = pictures[1:3]
    assert (len(part), read) == (2, [])
    assert pictures[3].shape == (5, 4, 3)
    assert read == [6]


def test_file_is_closed_after_reading(pictures, path):
    assert len(list(pictures)) == 4
    assert pictures[0].shape == (5, 4, 3)
    with h5py.File(path, "a"):  # not to be opened for writing while it is open for reading
        pass


def test_pickle_holds_the_path(pictures):
    copy = pickle.loads(pickle.dumps(pictures[1:]))
    np.testing.assert_array_equal(copy[0], PICTURES[2])
    assert "3 pictures of " in repr(copy)


@pytest.mark.parametrize("version", ["5", "7.3"])
@pytest.mark.parametrize("rows", [None, [0, 3, 6], []])
def test_matrix_of_any_version_has_its_rows(path, tmp_path, version, rows):
    if version == "5":
        path = tmp_path / "five.mat"
        savemat(path, {"YAll": MATRIX})
    rows = rows if rows is None else np.array(rows, dtype=np.int64)
    matrix = read_matrix(path, "YAll", (7, 3), rows)
    np.testing.assert_array_equal(matrix, MATRIX if rows is None else MATRIX[rows])
    assert matrix.dtype == np.float32


@settings(max_examples=20, deadline=None)
@given(st.sets(st.integers(0, 29)), st.integers(1, 40))
def test_rows_are_the_same_in_blocks_of_any_size(rows, block):
    matrix = np.arange(60).reshape(30, 2)
    rows = np.array(sorted(rows), dtype=np.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_mat, "BLOCK", block)
        np.testing.assert_array_equal(pick_rows(matrix, "YAll", (30, 2), rows), matrix[rows])


def test_numbers_count_from_zero_in_ascending_order(path):
    assert read_numbers(path, "param/index", 7).tolist() == [0, 2, 6]
    with pytest.raises(
        ValueError, match=r"param/index holds numbers that are not 1 to 6\): replace"
    ):
        read_numbers(path, "param/index", 6)


@pytest.mark.parametrize(
    ("name", "n_pictures"), [("YAll", 7), ("IAll", 8)], ids=["a matrix", "another number"]
)
def test_no_pictures_raise_and_name_the_file(path, name, n_pictures):
    with pytest.raises(
        ValueError, match=rf"all\.mat cannot be read .*{name} is .* of shape .*: repl"
    ):
        open_pictures(path, name, n_pictures, np.arange(7))


@pytest.mark.parametrize(
    ("name", "shape"), [("YAll", (7, 4)), ("YAll", (8, 3)), ("YAll", (None, 4)), ("IAll", (7, 3))]
)
def test_matrix_of_another_shape_raises(path, name, shape):
    wanted = rf"not real of \({shape[0] or 'n'}, {shape[1]}\)"
    with pytest.raises(
        ValueError, match=rf"all\.mat cannot be read .*{name} is .*{wanted}\): repl"
    ):
        read_matrix(path, name, shape)


def test_values_that_are_not_finite_raise(tmp_path):
    savemat(tmp_path / "y.mat", {"YAll": np.full((2, 3), np.nan)})
    with pytest.raises(
        ValueError, match=r"y\.mat cannot be read .*YAll holds values that are not f"
    ):
        read_matrix(tmp_path / "y.mat", "YAll", (2, 3))


@pytest.mark.parametrize("target", ["external", "soft", "group"])
def test_a_link_is_not_followed(path, tmp_path, target):
    with h5py.File(tmp_path / "secret.h5", "w") as other:
        other["YAll"] = MATRIX.T
    with h5py.File(path, "a") as file:
        del file["YAll"]
        if target == "soft":
            file["other"] = MATRIX.T
            file["YAll"] = h5py.SoftLink("/other")
        elif target == "external":
            file["YAll"] = h5py.ExternalLink(tmp_path / "secret.h5", "/YAll")
        else:
            file["out"] = h5py.ExternalLink(tmp_path / "secret.h5", "/")
    name = "out/YAll" if target == "group" else "YAll"
    with pytest.raises(ValueError, match=rf"all\.mat cannot be read .*{name} is a link, which may"):
        read_matrix(path, name, (7, 3))


@pytest.mark.parametrize("kind", ["external", "virtual"])
def test_values_that_lie_in_another_file_are_not_read(path, tmp_path, kind):
    (tmp_path / "secret").write_bytes(MATRIX.T.tobytes())
    with h5py.File(path, "a") as file:
        del file["YAll"]
        if kind == "external":
            storage = [(str(tmp_path / "secret"), 0, MATRIX.nbytes)]
            file.create_dataset("YAll", (3, 7), "f8", external=storage)
        else:
            layout = h5py.VirtualLayout((3, 7), "f8")
            layout[:] = h5py.VirtualSource(str(tmp_path / "secret"), "YAll", (3, 7))
            file.create_virtual_dataset("YAll", layout)
    with pytest.raises(ValueError, match="YAll is not a matrix within this file"):
        read_matrix(path, "YAll", (7, 3))


def test_more_values_than_a_file_can_hold_are_not_made(tmp_path):
    with h5py.File(tmp_path / "y.mat", "w") as file:
        file.create_dataset("YAll", (3, 10**9), "f8", chunks=(3, 1000))
    with pytest.raises(ValueError, match="YAll would fill 24000000000 bytes, the file has"):
        read_matrix(tmp_path / "y.mat", "YAll", (None, 3))


@pytest.mark.parametrize("numbers", [[1.5], [np.nan], [0.0], [], [np.inf]])
def test_numbers_that_are_no_rows_raise(path, numbers):
    with h5py.File(path, "a") as file:
        del file["param/index"]
        file["param/index"] = np.array([numbers])
    with pytest.raises(ValueError, match="param/index holds numbers that are not 1 to 7"):
        read_numbers(path, "param/index", 7)


def test_a_damaged_picture_names_the_file(pictures, path):
    content = path.read_bytes()
    with h5py.File(path, "r") as file:
        at = file["IAll"].id.get_chunk_info(0).byte_offset
    path.write_bytes(content[:at] + bytes(20) + content[at + 20 :])
    with pytest.raises(ValueError, match=r"all\.mat cannot be read .*: replace it by the official"):
        list(pictures)


@pytest.mark.parametrize("name", ["YAll", "IAll"])
def test_missing_variable_raises_and_names_the_file(tmp_path, name):
    savemat(tmp_path / "five.mat", {"other": MATRIX})
    with pytest.raises(ValueError, match=rf"five\.mat cannot be read .*{name}.*: replace it by"):
        read_matrix(tmp_path / "five.mat", name, (7, 3))


@pytest.mark.parametrize("content", [b"", b"no matrix at all", "truncated"])
def test_corrupt_file_raises_and_names_it(path, content):
    path.write_bytes(path.read_bytes()[:900] if content == "truncated" else content)
    with pytest.raises(ValueError, match=r"all\.mat cannot be read .*: replace it by the official"):
        read_matrix(path, "YAll", (7, 3))
