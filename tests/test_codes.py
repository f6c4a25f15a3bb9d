import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from skhash.codes import FORMATS, code_format, convert_codes, pack_codes, read_codes, unpack_codes


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


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
def test_floats_of_any_width_are_real(dtype):
    real = np.array([[-0.5, 1]], dtype=dtype)
    assert code_format(real) == "real"
    assert convert_codes(real, "bits").tolist() == [[False, True]]


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int64, ">i4"])
def test_integers_of_plus_and_minus_one_are_signs(dtype):
    signs = np.array([[-1, 1]], dtype=dtype)
    assert code_format(signs) == "signs"
    assert pack_codes(signs).tolist() == [[2]]


BAD = [
    (np.zeros(8, dtype=bool), ValueError, r"two dimensions \(.*\), got 1.* use codes.reshape"),
    (np.zeros((1, 2), dtype=np.int8), TypeError, r"int8 codes must hold only \+1 and -1"),
    (np.full((1, 2), -128, dtype=np.int8), TypeError, r"int8 codes must hold only \+1 and -1"),
    (np.array([[9, 200]]), TypeError, r"int64 codes .* astype\(np.uint8\) for packed bytes"),
    (np.ones((1, 2), dtype=np.uint16), TypeError, "uint16 codes must hold only"),
    (np.array([[0.0, 1.0]]), TypeError, r"float64 codes .* astype\(bool\) for zeros and ones"),
    (np.array([[9.0, 200.0]]), TypeError, r"float64 codes .* astype\(np.uint8\) for packed bytes"),
    (np.array([[0.0, np.nan]]), ValueError, "real codes must be finite, .*: remove these rows"),
    (np.array([[0.0, np.inf]]), ValueError, "real codes must be finite, .*: remove these rows"),
    (np.array([[1j, 2]]), ValueError, "Complex data not supported"),
    (np.array([["True", "False"]]), TypeError, "codes must be bool .*, got <U5"),
    (np.eye(9, dtype=np.uint8), TypeError, r"uint8 codes of 9 columns .* codes.astype\(bool\) if"),
    (np.array([[True, None]]), ValueError, r"must have no missing values \(NaN or None\)"),
    (np.array([[True, 0.5]], dtype=object), TypeError, "hold bool and float, but"),
    (np.array([[2**70, 1]], dtype=object), TypeError, "integers beyond 64 bits"),
    (np.ma.array([[True, False]], mask=[[0, 1]]), ValueError, "must have no missing values"),
    ([[True, 1]], TypeError, "hold bool and int, but"),
    ([[True], [True, False]], ValueError, "rows of one length in a list"),
    ([np.ones(2, dtype=bool), np.ones(3, dtype=bool)], ValueError, "do not make an array"),
    (
        sparse.csr_array(np.eye(3, dtype=bool)),
        TypeError,
        r"got a sparse matrix: use codes.toarray\(\)",
    ),
]


@pytest.mark.parametrize(("codes", "error", "message"), BAD)
@pytest.mark.parametrize("read", [code_format, pack_codes, lambda c: convert_codes(c, "bits")])
def test_bad_codes_are_named(read, codes, error, message):
    with pytest.raises(error, match=message):
        read(codes)


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


def test_bytes_of_zeros_and_ones_are_packed_where_it_is_said():
    packed = np.eye(9, dtype=np.uint8)
    assert unpack_codes(packed).sum() == 9
    assert convert_codes(packed, "bits", n_bits=72).sum() == 9
    assert pack_codes(packed[:, :8]) is not None  # few bytes may well be small


def test_codes_of_nothing_have_their_format():
    assert code_format(np.zeros((0, 20), dtype=np.uint8)) == "packed"
    assert code_format(np.zeros((3, 0))) == "real"
    assert pack_codes(np.zeros((0, 20))).shape == (0, 3)


def test_zero_bytes_and_positive_floats_say_the_same_both_ways():
    assert not pack_codes(np.zeros((2, 9), dtype=np.uint8)).any()
    assert pack_codes(np.ones((1, 8))).tolist() == [[255]]


def test_bits_beyond_the_length_are_an_error():
    with pytest.raises(ValueError, match="bits beyond n_bits=13 set"):
        unpack_codes(np.array([[255, 255]], dtype=np.uint8), 13)


def test_n_bits_must_fit_the_columns():
    with pytest.raises(ValueError, match="codes of 8 columns have 8 bits, got n_bits=7"):
        convert_codes(np.zeros((1, 8), dtype=bool), "packed", n_bits=7)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int8, np.float32, np.float64])
def test_a_map_of_a_format_is_not_copied(tmp_path, dtype):
    codes = np.array([[1, -1]] * 3).astype(dtype)
    np.save(tmp_path / "codes.npy", codes)
    mapped = np.load(tmp_path / "codes.npy", mmap_mode="r")
    assert np.may_share_memory(read_codes(mapped), mapped)


def test_a_late_value_decides_what_floats_are():
    codes = np.zeros((3000, 64))
    codes[-1, -1] = -0.5
    assert code_format(codes) == "real"
    with pytest.raises(TypeError, match="hold only whole numbers"):
        code_format(-2 * codes)
