import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skhash import _popcount
from skhash._popcount import distances, nearest, to_words, within_radius


def random_bits(n_queries, n_codes, n_bits, seed, share=0.5):
    rng = np.random.default_rng(seed)
    bits = rng.random((n_queries + n_codes, n_bits)) < share
    return bits[:n_queries], bits[n_queries:]


def words(bits):
    return to_words(np.packbits(bits, axis=1, bitorder="little"))


def brute_distances(queries, codes):
    return (queries[:, None, :] != codes[None]).sum(axis=2)


cases = {
    "n_queries": st.integers(1, 9),
    "n_codes": st.integers(1, 40),
    "n_bits": st.one_of(st.integers(1, 80), st.sampled_from([255, 256, 257, 1000, 4096])),
    "seed": st.integers(0, 10**6),
    "share": st.sampled_from([0.0, 0.1, 0.5, 1.0]),
}


@pytest.fixture(params=["default", "tiny"], autouse=True, scope="module")
def blocks(request):
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "tiny":  # every seam between tiles and blocks is crossed
            patch.setattr(_popcount, "_TILE", 7)
            patch.setattr(_popcount, "_BLOCK", 50)
        yield


@settings(max_examples=40, deadline=None)
@given(**cases)
def test_distances_equal_brute_force(n_queries, n_codes, n_bits, seed, share):
    queries, codes = random_bits(n_queries, n_codes, n_bits, seed, share)
    found = distances(words(queries), words(codes))
    np.testing.assert_array_equal(found, brute_distances(queries, codes))


@settings(max_examples=40, deadline=None)
@given(**cases, data=st.data())
def test_nearest_equals_stable_argsort(n_queries, n_codes, n_bits, seed, share, data):
    k = data.draw(st.integers(1, n_codes))
    queries, codes = random_bits(n_queries, n_codes, n_bits, seed, share)
    expected = brute_distances(queries, codes)
    order = np.argsort(expected, axis=1, kind="stable")[:, :k]
    found, rows = nearest(words(queries), words(codes), k)
    np.testing.assert_array_equal(rows, order)
    np.testing.assert_array_equal(found, np.take_along_axis(expected, order, axis=1))


@settings(max_examples=40, deadline=None)
@given(**cases, radius=st.sampled_from([0, 1, 2.5, 10, 300, 5000]))
def test_within_radius_equals_brute_force(n_queries, n_codes, n_bits, seed, share, radius):
    queries, codes = random_bits(n_queries, n_codes, n_bits, seed, share)
    found, rows = within_radius(words(queries), words(codes), radius)
    for line, line_found, line_rows in zip(
        brute_distances(queries, codes), found, rows, strict=True
    ):
        order = [row for row in np.argsort(line, kind="stable") if line[row] <= radius]
        np.testing.assert_array_equal(line_rows, order)
        np.testing.assert_array_equal(line_found, line[order])


@pytest.mark.parametrize(
    ("n_bytes", "dtype", "n_words"),
    [(1, "u1", 1), (2, "u2", 1), (3, "u4", 1), (5, "u8", 1), (8, "u8", 1), (9, "u8", 2)],
)
def test_a_word_is_no_longer_than_a_short_code(n_bytes, dtype, n_words):
    result = to_words(np.ones((3, n_bytes), dtype=np.uint8))
    assert result.dtype == dtype
    assert result.shape == (n_words, 3)
    assert result.flags.c_contiguous


def test_padding_adds_nothing_to_a_distance():
    bits = np.array([[True] * 65, [False] * 65])
    assert distances(words(bits), words(bits)).tolist() == [[0, 65], [65, 0]]


@pytest.mark.parametrize(("n_bits", "dtype"), [(192, np.uint8), (256, np.uint16)])
def test_distances_come_in_the_smallest_dtype_that_holds_them(n_bits, dtype):
    bits = np.array([[True] * n_bits, [False] * n_bits])
    found = distances(words(bits), words(bits))
    assert found.dtype == dtype
    assert found.max() == n_bits


def test_neighbours_have_the_promised_dtypes():
    code = words(np.ones((1, 4), dtype=bool))
    found, rows = nearest(code, code, 1)
    assert (found.dtype, rows.dtype) == (np.int32, np.int64)
    found, rows = within_radius(code, code, 0)
    assert (found[0].dtype, rows[0].dtype) == (np.int32, np.int64)
