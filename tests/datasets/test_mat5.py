import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy.io import loadmat, savemat

from skhash.datasets import _mat5
from skhash.datasets._mat5 import read_mat5

DTYPES = ["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "?"]
MATRIX = np.arange(6.0).reshape(2, 3)


@settings(max_examples=60)
@given(
    st.sampled_from(DTYPES).flatmap(
        lambda dtype: npst.arrays(dtype, npst.array_shapes(min_dims=2, max_dims=2, min_side=0))
    ),
    st.booleans(),
)
def test_matrices_are_those_that_scipy_reads(tmp_path_factory, matrix, is_compressed):
    path = tmp_path_factory.mktemp("mat5") / "x.mat"
    others = {"a": "text", "b": np.array([{"c": 1}, "d"], dtype=object), "s": {"t": matrix}}
    savemat(path, {**others, "X": matrix, "y": matrix.T}, do_compression=is_compressed)
    read, expected = read_mat5(path, ["X", "y", "z"]), loadmat(path)
    assert read.keys() == {"X", "y"}
    for name, values in read.items():
        np.testing.assert_array_equal(values, expected[name])
        assert values.dtype == expected[name].dtype


@pytest.fixture
def write(tmp_path):
    """Write elements, given as their type and content, behind a header."""

    def write(*elements, order="<", version=0x0100):
        header = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack(f"{order}H", version)
        header += struct.pack(f"{order}H", 0x4D49)
        path = tmp_path / "x.mat"
        path.write_bytes(header + b"".join(element(*one, order=order) for one in elements))
        return path

    return write


def element(kind, content, order="<", size=None):
    padding = b"" if kind == 15 else bytes(-len(content) % 8)
    size = len(content) if size is None else size
    return struct.pack(f"{order}II", kind, size) + content + padding


def variable(*, order="<", number=6, dims=(2, 3), **replaced):
    parts = {
        "flags": (6, struct.pack(f"{order}II", number, 0)),
        "shape": (5, struct.pack(f"{order}2i", *dims)),
        "name": (1, b"X"),
        "values": (9, MATRIX.astype(f"{order}f8").tobytes("F")),
    } | replaced
    return b"".join(element(*part, order=order) for part in parts.values())


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders_are_read(write, order):
    path = write((14, variable(order=order)), order=order)
    np.testing.assert_array_equal(read_mat5(path, ["X"])["X"], MATRIX)


def test_numbers_may_be_stored_as_smaller_ones(write):
    path = write((14, variable(values=(2, bytes([1, 2, 3, 4, 5, 6])))))
    matrix = read_mat5(path, ["X"])["X"]
    np.testing.assert_array_equal(matrix, [[1, 3, 5], [2, 4, 6]])
    assert matrix.dtype == np.float64


def compressed(content, size=None):
    return 15, zlib.compress(element(14, content, size=size))


@pytest.mark.parametrize(
    ("elements", "message"),
    [
        ([(14, variable()), (14, variable())], "holds X twice"),
        ([(9, bytes(8))], "an element of type 9 stands where a variable must be"),
        ([(14, variable(number=4))], "'X' is not a real matrix, its class is 4"),
        ([(14, variable(number=5))], "'X' is not a real matrix, its class is 5"),
        ([(14, variable(number=0x0806))], "'X' is not a real matrix"),
        ([(14, variable(dims=(-2, -3)))], "'X' is not a real matrix"),
        ([(14, variable(dims=(2, 4)))], r"'X' has 48 bytes of float64 for shape \(2, 4\)"),
        ([(14, variable(dims=(2**31 - 1, 2**31 - 1)))], "'X' has 48 bytes of float64 for shape"),
        ([(14, variable(values=(3, bytes(48))))], "'X' has 48 bytes of int16 for"),
        ([(14, variable(values=(8, bytes(48))))], "'X' has values of type 8"),
        ([(14, variable() + bytes(8))], "'X' has 48 bytes"),
        ([(14, variable(flags=(6, b"")))], "does not begin with its flags"),
        ([(14, variable(shape=(5, bytes(5))))], "a variable has no shape"),
        ([(14, variable(name=(2, b"X")))], "a variable has no name"),
        ([(14, b"")], "within a tag"),
        ([(14, struct.pack("<II", 6, 10**9))], "goes beyond the end"),
        ([(14, struct.pack("<HHI", 1, 7, 0))], "a small element at byte 0 has 7 bytes"),
        ([(15, b"junk")], "incorrect header check"),
        ([(15, zlib.compress(variable())[:-20])], "an element of type 6 is compressed"),
        ([compressed(variable(), size=10**6)], "does not have the 1000000 bytes that it declares"),
        ([compressed(variable(), size=40)], "does not have the 40 bytes that it declares"),
        ([compressed(variable(), size=2**31)], "is compressed from 2147483648 bytes, more than"),
        ([(15, zlib.compress(element(14, variable()))[:-9])], "does not have the"),
    ],
)
def test_what_contradicts_itself_raises(write, elements, message):
    with pytest.raises((ValueError, zlib.error), match=message):
        read_mat5(write(*elements), ["X"])


def test_a_bomb_is_expanded_no_further_than_its_own_size(write, monkeypatch):
    monkeypatch.setattr(_mat5, "MAX_EXPANDED", 1000)
    bomb = variable(values=(9, bytes(10**6)), dims=(5, 25_000))
    with pytest.raises(ValueError, match="more than 1000"):
        read_mat5(write(compressed(bomb)), ["X"])
    assert read_mat5(write(compressed(bomb)), ["Y"]) == {}


@pytest.mark.parametrize("content", [b"", bytes(128), b"MATLAB 5.0".ljust(126) + b"XX"])
def test_a_file_of_another_kind_raises(tmp_path, content):
    (tmp_path / "x.mat").write_bytes(content)
    with pytest.raises(ValueError, match="it lacks the header of MATLAB v5"):
        read_mat5(tmp_path / "x.mat", ["X"])


def test_a_file_of_version_4_raises(tmp_path):
    savemat(tmp_path / "x.mat", {"X": MATRIX}, format="4")
    with pytest.raises(ValueError, match="it lacks the header of MATLAB v5"):
        read_mat5(tmp_path / "x.mat", ["X"])
