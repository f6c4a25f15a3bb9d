import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skhash.codes import FORMATS, code_format, convert_codes, pack_codes, unpack_codes


def random_bits(n_samples, n_bits, seed=0):
    return np.random.default_rng(seed).random((n_samples, n_bits)) < 0.5


shapes = {
    "n_samples": st.integers(0, 5),
    "n_bits": st.integers(1, 130),
    "seed": st.integers(0, 10**6),
}


@settings(max_examples=50, deadline=None)
@given(**shapes)
def test_unpacking_undoes_packing(n_samples, n_bits, seed):
    bits = random_bits(n_samples, n_bits, seed)
    packed = pack_codes(bits)
    assert packed.shape == (n_samples, -(-n_bits // 8))
    result = unpack_codes(packed, n_bits)
    assert result.dtype == bool
    np.testing.assert_array_equal(result, bits)


@settings(max_examples=50, deadline=None)
@given(**shapes)
def test_padding_is_zero(n_samples, n_bits, seed):
    packed = pack_codes(random_bits(n_samples, n_bits, seed))
    assert not unpack_codes(packed)[:, n_bits:].any()


@settings(max_examples=50, deadline=None)
@given(source=st.sampled_from(list(FORMATS)), target=st.sampled_from(list(FORMATS)), **shapes)
def test_any_format_converts_to_any_other_and_back(source, target, n_samples, n_bits, seed):
    codes = convert_codes(random_bits(n_samples, n_bits, seed), source)
    assert code_format(codes) == source
    there = convert_codes(codes, target, n_bits=n_bits)
    assert there.dtype == FORMATS[target]
    np.testing.assert_array_equal(convert_codes(there, source, n_bits=n_bits), codes)


@pytest.mark.parametrize("n_bits", [1, 7, 8, 9, 16])
def test_bit_j_is_bit_j_of_its_byte_lowest_first(n_bits):
    for j in range(n_bits):
        bits = np.zeros((1, n_bits), dtype=bool)
        bits[0, j] = True
        packed = pack_codes(bits)
        assert packed[0, j // 8] == 1 << (j % 8)
        assert packed.sum() == packed[0, j // 8]


def test_zero_counts_as_positive():
    real = np.array([[-0.5, -0.0, 0.0, 0.5]])
    assert convert_codes(real, "bits").tolist() == [[False, True, True, True]]
    assert convert_codes(real, "signs").tolist() == [[-1, 1, 1, 1]]
    assert pack_codes(real).tolist() == [[14]]


def test_real_codes_stay_real():
    real = np.array([[-0.25, 0.75]])
    result = convert_codes(real, "real")
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, real)


def test_packed_codes_are_returned_as_they_are():
    packed = np.array([[3, 255]], dtype=np.uint8)
    assert pack_codes(packed) is packed


@pytest.mark.parametrize(("dtype", "name"), [(np.float64, "real"), (np.float32, "real")])
def test_both_float_types_are_real(dtype, name):
    assert code_format(np.zeros((1, 2), dtype=dtype)) == name


@pytest.mark.parametrize("dtype", [np.int64, np.float16, np.uint16, object, "U1"])
def test_another_dtype_names_no_format(dtype):
    codes = np.zeros((1, 2), dtype=dtype)
    message = re.escape(f"got {codes.dtype}: convert them with astype")
    for function in (code_format, pack_codes):
        with pytest.raises(TypeError, match=message):
            function(codes)


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (np.zeros(8, dtype=bool), r"two dimensions \(n_samples, n_columns\), got 1: use .*reshape"),
        (np.zeros((1, 2), dtype=np.int8), r"int8 codes must hold only \+1 and -1"),
        (np.full((1, 2), -128, dtype=np.int8), r"int8 codes must hold only \+1 and -1"),
        (np.array([[0.0, np.nan]]), "real codes must be finite, got NaN or infinity"),
        (np.array([[0.0, np.inf]]), "real codes must be finite, got NaN or infinity"),
    ],
)
def test_bad_codes_are_named(codes, message):
    with pytest.raises(ValueError, match=message):
        pack_codes(codes)
    with pytest.raises(ValueError, match=message):
        convert_codes(codes, "bits")


def test_only_bytes_can_be_unpacked():
    with pytest.raises(TypeError, match="packed codes are uint8, got bool: only bytes"):
        unpack_codes(np.zeros((1, 8), dtype=bool))


@pytest.mark.parametrize("n_bits", [8, 17, 0])
def test_n_bits_must_fit_the_bytes(n_bits):
    with pytest.raises(ValueError, match=f"2 bytes hold 9 to 16 bits, got n_bits={n_bits}"):
        unpack_codes(np.zeros((1, 2), dtype=np.uint8), n_bits)


@pytest.mark.parametrize("n_bits", [8.0, True, "8"])
def test_n_bits_must_be_an_integer(n_bits):
    with pytest.raises(TypeError, match=f"n_bits must be an integer, got {n_bits!r}"):
        unpack_codes(np.zeros((1, 1), dtype=np.uint8), n_bits)


def test_an_unknown_output_is_named():
    with pytest.raises(
        ValueError, match="output must be one of 'bits', 'packed', 'signs', 'real', got 'b"
    ):
        convert_codes(np.zeros((1, 8), dtype=bool), "bytes")
