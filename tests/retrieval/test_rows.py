import pickle
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils import check_array

from skhash._hamming.engine_numpy import to_words
from skhash.codes import convert_codes, pack_codes
from skhash.retrieval import HammingRetriever, _rows
from skhash.retrieval._rows import MappedWords, is_mapped, join_words, parts, words_of


@pytest.fixture
def mapped(tmp_path):
    """Write an array to a file and map it, behind a header of so many bytes."""

    def write(array, offset=0):
        path = tmp_path / f"{array.dtype}-{array.shape}-{offset}"
        path.write_bytes(bytes(offset) + array.tobytes())
        return np.memmap(path, dtype=array.dtype, mode="r", offset=offset, shape=array.shape)

    return write


def random_bytes(n_codes, n_bytes, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n_codes, n_bytes), dtype=np.uint8)


@pytest.mark.parametrize("offset", [0, 3])
@pytest.mark.parametrize("n_bytes", [*range(1, 18), 64, 512])
def test_mapped_codes_are_sliced_as_their_words_are(mapped, n_bytes, offset):
    packed = random_bytes(30, n_bytes)
    words, expected = words_of(check_array(mapped(packed, offset))), to_words(packed)
    assert (words.shape, words.dtype, words.ndim) == (expected.shape, expected.dtype, 2)
    assert (len(words), words.itemsize) == (len(expected), expected.itemsize)
    for part in (slice(None), slice(5, 17), slice(29, 99)):
        assert words[:, part].flags.aligned
        assert words[:, part].flags.c_contiguous
        np.testing.assert_array_equal(words[:, part], expected[:, part])
    np.testing.assert_array_equal(words[0, 5:9], expected[0, 5:9])


@pytest.mark.parametrize("n_bytes", [1, 2, 4, 8])
def test_a_word_a_row_is_a_view(mapped, n_bytes):
    codes = mapped(random_bytes(30, n_bytes))
    assert np.may_share_memory(words_of(codes), codes)


def test_a_misaligned_word_a_row_is_none(mapped):
    assert isinstance(words_of(mapped(random_bytes(30, 8), 3)), MappedWords)


def test_columns_of_a_map_stay_there(mapped):
    packed = random_bytes(30, 16)
    words = words_of(mapped(packed)[:, 8:])
    assert isinstance(words, MappedWords)
    np.testing.assert_array_equal(words[:, :], to_words(packed[:, 8:]))


def test_a_pickle_of_mapped_words_holds_the_codes(mapped):
    packed = random_bytes(30, 9)
    copy = pickle.loads(pickle.dumps(words_of(mapped(packed))))
    np.testing.assert_array_equal(copy[:, :], to_words(packed))


@pytest.mark.parametrize("form", ["bits", "packed", "signs", "real"])
@given(n_codes=st.integers(1, 20), n_bits=st.integers(1, 200), part=st.sampled_from([1, 300]))
def test_words_are_made_in_parts(form, n_codes, n_bits, part):
    bits = np.random.default_rng(n_bits).random((n_codes, n_bits)) < 0.5
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_rows, "_PART", part)
        words = words_of(convert_codes(bits, form))
    assert words.flags.c_contiguous
    np.testing.assert_array_equal(words, to_words(pack_codes(bits)))


def test_words_do_not_follow_an_array_in_memory():
    packed = random_bytes(5, 8)
    assert not np.may_share_memory(words_of(packed), packed)


@pytest.mark.parametrize("part", [2, 1000])
def test_joined_words_are_those_of_the_joined_codes(mapped, monkeypatch, part):
    monkeypatch.setattr(_rows, "_PART", part)
    one, other = random_bytes(7, 9), random_bytes(5, 9, seed=1)
    joined = join_words(words_of(mapped(one)), words_of(other))
    np.testing.assert_array_equal(joined, to_words(np.vstack([one, other])))


def test_parts_cover_all_columns(monkeypatch):
    monkeypatch.setattr(_rows, "_PART", 6)
    assert list(parts(np.empty((2, 7)))) == [slice(0, 3), slice(3, 6), slice(6, 7)]
    assert list(parts(np.empty((0, 7)))) == [slice(0, 6), slice(6, 7)]


def test_only_views_of_a_file_are_mapped(mapped):
    codes = mapped(random_bytes(30, 9))
    assert is_mapped(codes)
    assert is_mapped(np.asarray(codes)[2:, 1:])
    assert not is_mapped(codes[[1, 2]])
    assert not is_mapped(codes.copy())
    assert not is_mapped(None)


# The retriever


@pytest.mark.parametrize("form", ["bits", "packed", "signs", "real"])
@pytest.mark.parametrize("n_bits", [64, 75, 4096])
def test_a_map_is_searched_as_an_array_is(mapped, form, n_bits):
    bits = np.random.default_rng(0).random((25, n_bits)) < 0.5
    codes = convert_codes(bits, form)
    plain, index = (HammingRetriever(n_neighbors=3).fit(X) for X in (codes, mapped(codes)))
    for X in (codes[:4], mapped(codes)[4:8], None):
        np.testing.assert_array_equal(index.kneighbors(X), plain.kneighbors(X))
        for one, other in zip(
            index.radius_neighbors(X, n_bits), plain.radius_neighbors(X, n_bits), strict=True
        ):
            np.testing.assert_array_equal(np.stack(one), np.stack(other))
    assert index.score(codes) == plain.score(codes)


def test_pairs_of_a_map_are_searched(mapped):
    packed = random_bytes(20, 18)
    plain, index = (HammingRetriever(paired=True).fit(X) for X in (packed, mapped(packed)))
    assert {type(words) for words in index.words_.values()} == {MappedWords}
    assert index.score(packed) == plain.score(packed)


def test_codes_can_be_appended_to_a_map(mapped):
    packed = random_bytes(20, 9)
    index = HammingRetriever().fit(mapped(packed[:12])).partial_fit(mapped(packed[12:]))
    assert isinstance(index.words_["codes"], np.ndarray)
    plain = HammingRetriever().fit(packed)
    np.testing.assert_array_equal(index.kneighbors(packed[:3]), plain.kneighbors(packed[:3]))


def peak_of_fit(X):
    tracemalloc.start()
    try:
        index = HammingRetriever().fit(X)
        return tracemalloc.get_traced_memory()[1], index
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("n_bytes", [8, 9, 32])
def test_packed_codes_of_a_map_are_not_copied(mapped, n_bytes):
    codes = mapped(random_bytes(1 << 15, n_bytes))
    peak, _ = peak_of_fit(codes)
    assert peak < codes.nbytes / 8


@pytest.mark.parametrize("dtype", [bool, np.int8, np.float32, np.float64, np.int64])
def test_other_codes_of_a_map_are_packed_in_parts(mapped, monkeypatch, dtype):
    monkeypatch.setattr(_rows, "_PART", 1 << 12)
    signs = np.random.default_rng(0).choice(np.array([-1, 1], dtype=np.int8), (1 << 14, 64))
    codes = mapped((signs > 0) if dtype is bool else signs.astype(dtype))
    peak, index = peak_of_fit(codes)
    held = index.words_["codes"].nbytes
    assert held == codes.size / 8
    assert peak < codes.nbytes / 2 if dtype is not bool else peak < 2 * held
