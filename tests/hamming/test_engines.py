"""The kernels of both engines, against brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skhash._hamming import engine_numba as _popcount_numba
from skhash._hamming import engine_numpy as _popcount
from skhash._hamming import nearest_planes_numba, planes_numba
from skhash._hamming.engine_numpy import distances, to_words

ENGINES = {
    "numpy": _popcount,
    "numpy, tiny tiles": _popcount,
    "numba": _popcount_numba,
    "numba, lookups": _popcount_numba,
    "numba, lists that are too short": _popcount_numba,
}
# A length of each kind: words of every size, one to four words, many, with and without padding.
LENGTHS = [1, 8, 13, 16, 30, 32, 60, 64, 65, 128, 190, 255, 256, 257, 512, 1000, 4096]


@pytest.fixture(params=ENGINES, scope="module")
def engine(request):
    with pytest.MonkeyPatch.context() as patch:
        if "tiny" in request.param:  # every seam between tiles is crossed
            patch.setattr(_popcount, "_TILE", 56)
            patch.setattr(_popcount, "_COLUMNS", 7)
        if "lookups" in request.param:  # also where bits are counted faster, and for one query
            if not planes_numba.LOOKS_UP:
                pytest.skip("the processor does not look up bytes")
            patch.setattr(nearest_planes_numba, "FASTER_THAN_COUNTS", True)
            patch.setattr(nearest_planes_numba, "FEW", 1)
        if "too short" in request.param:  # a radius search passes over the codes again
            patch.setattr(_popcount_numba, "_LISTED", 5)
        yield ENGINES[request.param]


def random_bits(n_queries, n_codes, n_bits, seed, share=0.5):
    rng = np.random.default_rng(seed)
    bits = rng.random((n_queries + n_codes, n_bits)) < share
    return bits[:n_queries], bits[n_queries:]


def words(bits):
    return to_words(np.packbits(bits, axis=1, bitorder="little"))


def brute_distances(queries, codes):
    return (queries[:, None, :] != codes[None]).sum(axis=2)


def brute_nearest(queries, codes, k):
    found = brute_distances(queries, codes)
    rows = np.argsort(found, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(found, rows, axis=1), rows


cases = {
    "n_queries": st.integers(1, 9),
    "n_codes": st.integers(1, 40),
    "n_bits": st.sampled_from(LENGTHS),
    "seed": st.integers(0, 10**6),
    "share": st.sampled_from([0.0, 0.1, 0.5, 1.0]),
}


@settings(max_examples=40)
@given(**cases)
def test_distances_equal_brute_force(engine, n_queries, n_codes, n_bits, seed, share):
    queries, codes = random_bits(n_queries, n_codes, n_bits, seed, share)
    found = distances(words(queries), words(codes))
    np.testing.assert_array_equal(found, brute_distances(queries, codes))


@settings(max_examples=60)
@given(**cases, data=st.data())
def test_nearest_equals_stable_argsort(engine, n_queries, n_codes, n_bits, seed, share, data):
    queries, codes = random_bits(n_queries, n_codes, n_bits, seed, share)
    start = data.draw(st.integers(0, n_codes - 1))
    stop = data.draw(st.integers(start + 1, n_codes))
    k = data.draw(st.integers(1, stop - start))
    found, rows = engine.nearest(words(queries), words(codes), slice(start, stop), k)
    expected, order = brute_nearest(queries, codes[start:stop], k)
    np.testing.assert_array_equal(rows, order + start)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("engine", ["numpy", "numba", "numba, lookups"], indirect=True)
@pytest.mark.parametrize("n_bits", [8, 16, 64, 200, 300, 512])
@pytest.mark.parametrize("k", [1, 3, 700, 20_000])
def test_nearest_among_many_equals_stable_argsort(engine, n_bits, k):
    queries, codes = random_bits(70, 20_000, n_bits, seed=k)
    codes[::7] = codes[0]  # whole blocks hold ties
    gallery = words(codes)
    found, rows = engine.nearest(words(queries), gallery, slice(0, 20_000), k)
    full = distances(words(queries), gallery)
    order = np.argsort(full, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(rows, order)
    np.testing.assert_array_equal(found, np.take_along_axis(full, order, axis=1))


@pytest.mark.parametrize("n_bits", [256, 512])
def test_distances_that_bytes_do_not_hold(engine, n_bits):
    """The first codes are as far from the query as can be, or nearer by one bit."""
    codes = np.ones((300, n_bits), dtype=bool)
    codes[[7, 280], 0] = False
    codes[290, :2] = False
    query, keep = np.zeros((1, n_bits), dtype=bool), np.arange(300) != 7
    part = words(query), words(codes), slice(0, 300)
    found, rows = engine.nearest(*part, 4)
    assert (n_bits - found).tolist() == [[2, 1, 1, 0]]
    assert rows.tolist() == [[290, 7, 280, 0]]
    assert engine.nearest(*part, 4, keep)[1].tolist() == [[290, 280, 0, 1]]
    found, rows, _ = engine.within_radius(*part, n_bits - 1)
    assert (n_bits - found).tolist() == [2, 1, 1]
    assert rows.tolist() == [290, 7, 280]


def test_nearest_of_a_gallery_in_descending_order(engine):
    """Every code beats all before it, so that candidates are dropped again and again."""
    n_codes = 300
    codes = np.arange(n_codes)[::-1, None] > np.arange(n_codes)[None]
    query = np.zeros((1, n_codes), dtype=bool)
    found, rows = engine.nearest(words(query), words(codes), slice(0, n_codes), 2)
    assert found.tolist() == [[0, 1]]
    assert rows.tolist() == [[299, 298]]


@settings(max_examples=60)
@given(**cases, data=st.data(), radius=st.sampled_from([0, 1, 2, 10, 300, 5000]))
def test_within_radius_equals_brute_force(
    engine, n_queries, n_codes, n_bits, seed, share, data, radius
):
    queries, codes = random_bits(n_queries, n_codes, n_bits, seed, share)
    start = data.draw(st.integers(0, n_codes - 1))
    stop = data.draw(st.integers(start + 1, n_codes))
    found, rows, starts = engine.within_radius(
        words(queries), words(codes), slice(start, stop), radius
    )
    assert len(found) == len(rows) == starts[-1]
    for query, line in enumerate(brute_distances(queries, codes[start:stop])):
        order = [row for row in np.argsort(line, kind="stable") if line[row] <= radius]
        own = slice(starts[query], starts[query + 1])
        np.testing.assert_array_equal(rows[own], np.array(order, dtype=int) + start)
        np.testing.assert_array_equal(found[own], line[order])


@settings(max_examples=60)
@given(**cases, data=st.data(), kept=st.sampled_from([0.1, 0.5, 0.9]))
def test_only_codes_that_are_kept_count(
    engine, n_queries, n_codes, n_bits, seed, share, data, kept
):
    queries, codes = random_bits(n_queries, n_codes, n_bits, seed, share)
    start = data.draw(st.integers(0, n_codes - 1))
    stop = data.draw(st.integers(start + 1, n_codes))
    keep = np.random.default_rng(seed).random(n_codes) < kept
    keep[start] = True
    rows = start + np.flatnonzero(keep[start:stop])
    k, radius = data.draw(st.integers(1, len(rows))), data.draw(st.integers(0, n_bits))
    part = words(queries), words(codes), slice(start, stop)
    expected, order = brute_nearest(queries, codes[rows], len(rows))
    found, where = engine.nearest(*part, k, keep)
    np.testing.assert_array_equal(found, expected[:, :k])
    np.testing.assert_array_equal(where, rows[order[:, :k]])
    found, where, starts = engine.within_radius(*part, radius, keep)
    inside = expected <= radius
    np.testing.assert_array_equal(found, expected[inside])
    np.testing.assert_array_equal(where, rows[order][inside])
    np.testing.assert_array_equal(np.diff(starts), inside.sum(axis=1))


@pytest.mark.parametrize("engine", ["numpy", "numba", "numba, lookups"], indirect=True)
@pytest.mark.parametrize("n_bits", [8, 64, 300])
@pytest.mark.parametrize(("k", "kept"), [(1, 0.5), (3, 0.01), (700, 0.9), (700, 0.05)])
def test_nearest_among_many_of_which_some_are_kept(engine, n_bits, k, kept):
    queries, codes = random_bits(70, 20_000, n_bits, seed=k)
    codes[::7] = codes[0]
    rows = np.flatnonzero(np.random.default_rng(0).random(20_000) < kept)
    keep = np.zeros(20_000, dtype=bool)
    keep[rows] = True
    found, where = engine.nearest(words(queries), words(codes), slice(0, 20_000), k, keep)
    full = distances(words(queries), words(codes[rows]))
    order = np.argsort(full, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(where, rows[order])
    np.testing.assert_array_equal(found, np.take_along_axis(full, order, axis=1))


def brute_histograms(queries, codes, grades, n_grades):
    found = brute_distances(queries, codes)
    counts = np.zeros((*found.shape[:1], 8 * words(codes).nbytes // len(codes) + 1, n_grades), int)
    query = np.repeat(np.arange(len(found)), found.shape[1])
    np.add.at(counts, (query, found.ravel(), np.minimum(grades, n_grades - 1).ravel()), 1)
    return counts


@settings(max_examples=60)
@given(**cases, data=st.data())
def test_histograms_of_ids_equal_brute_force(engine, n_queries, n_codes, n_bits, seed, share, data):
    queries, codes = random_bits(n_queries, n_codes, n_bits, seed, share)
    start = data.draw(st.integers(0, n_codes - 1))
    ids = np.random.default_rng(seed).integers(0, 4, n_queries + n_codes)
    y_query, y_codes = ids[:n_queries], ids[n_queries:]
    part = slice(start, n_codes)
    counts = engine.histograms(words(queries), words(codes), part, y_query, y_codes, 2)
    same = (y_query[:, None] == y_codes[part]).astype(int)
    np.testing.assert_array_equal(counts, brute_histograms(queries, codes[part], same, 2))


@settings(max_examples=60)
@given(
    **cases,
    n_labels=st.sampled_from([1, 24, 64, 65, 128, 200]),
    n_grades=st.sampled_from([2, 3, 201]),
)
def test_histograms_of_labels_equal_brute_force(
    engine, n_queries, n_codes, n_bits, seed, share, n_labels, n_grades
):
    queries, codes = random_bits(n_queries, n_codes, n_bits, seed, share)
    labels = np.random.default_rng(seed).random((n_queries + n_codes, n_labels)) < 0.1
    y_query, y_codes = labels[:n_queries], labels[n_queries:]
    label_words = [to_words(np.packbits(y, axis=1), min_bytes=8) for y in (y_query, y_codes)]
    part = slice(0, n_codes)
    counts = engine.histograms(words(queries), words(codes), part, *label_words, n_grades)
    shared = y_query.astype(int) @ y_codes.T.astype(int)
    np.testing.assert_array_equal(counts, brute_histograms(queries, codes, shared, n_grades))


def test_histograms_of_many_equal_those_of_the_parts(engine):
    queries, codes = random_bits(20, 9_000, 16, seed=0)
    ids = np.arange(9_000) % 5
    arguments = words(queries), words(codes)
    whole = engine.histograms(*arguments, slice(0, 9_000), ids[:20], ids, 2)
    parts = [slice(0, 1), slice(1, 2_500), slice(2_500, 9_000)]
    parted = sum(engine.histograms(*arguments, part, ids[:20], ids, 2) for part in parts)
    assert whole.sum() == 20 * 9_000
    np.testing.assert_array_equal(whole, parted)


@pytest.mark.parametrize(
    ("n_bytes", "dtype", "n_words"),
    [(1, "u1", 1), (2, "u2", 1), (3, "u4", 1), (5, "u8", 1), (8, "u8", 1), (9, "u8", 2)],
)
def test_a_word_is_no_longer_than_a_short_code(n_bytes, dtype, n_words):
    result = to_words(np.ones((3, n_bytes), dtype=np.uint8))
    assert result.dtype == dtype
    assert result.shape == (n_words, 3)
    assert result.flags.c_contiguous


def test_a_word_is_as_long_as_asked():
    result = to_words(np.ones((3, 2), dtype=np.uint8), min_bytes=8)
    assert result.dtype == np.uint64
    assert result.tolist() == [[257] * 3]


def test_padding_adds_nothing_to_a_distance():
    bits = np.array([[True] * 65, [False] * 65])
    assert distances(words(bits), words(bits)).tolist() == [[0, 65], [65, 0]]


@pytest.mark.parametrize(("n_bits", "dtype"), [(192, np.uint8), (256, np.uint16)])
def test_distances_come_in_the_smallest_dtype_that_holds_them(n_bits, dtype):
    bits = np.array([[True] * n_bits, [False] * n_bits])
    found = distances(words(bits), words(bits))
    assert found.dtype == dtype
    assert found.max() == n_bits


def test_results_have_the_promised_dtypes(engine):
    code = words(np.ones((1, 4), dtype=bool))
    found, rows = engine.nearest(code, code, slice(0, 1), 1)
    assert (found.dtype, rows.dtype) == (np.int32, np.int64)
    found, rows, starts = engine.within_radius(code, code, slice(0, 1), 0)
    assert (found.dtype, rows.dtype, starts.dtype) == (np.int32, np.int64, np.int64)
    ids = np.zeros(1, dtype=np.int64)
    assert engine.histograms(code, code, slice(0, 1), ids, ids, 2).dtype == np.int64


def test_read_only_words_are_searched(engine):
    code = words(np.ones((3, 4), dtype=bool))
    code.flags.writeable = False
    found, rows = engine.nearest(code, code, slice(0, 3), 1)
    assert (found.tolist(), rows.tolist()) == ([[0]] * 3, [[0]] * 3)
