"""Search by asymmetric distance: both engines against all distances, sorted."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skhash._hamming import asymmetric_numpy, search
from skhash._hamming.asymmetric import nearest_asymmetric
from skhash._hamming.engine_numpy import to_words

ENGINES = ["numpy", "numba"]


def words(bits):
    return to_words(np.packbits(bits, axis=1, bitorder="little"))


def draw(seed, n_queries, n_codes, n_bits, values="normal"):
    rng = np.random.default_rng(seed)
    bits = rng.random((n_codes, n_bits)) < 0.5
    real = rng.standard_normal((n_queries, n_bits))
    if values == "halves":  # sums are exact, and many distances are equal
        real = np.rint(2 * real) / 2
    return real.astype(np.float32), bits


def brute_force(real, bits, k, keep=None):
    """Return distances and rows of a stable argsort of all distances."""
    rows = np.arange(len(bits)) if keep is None else np.flatnonzero(keep)
    differ = (real >= 0)[:, None] != bits[rows]
    distances = (differ * np.abs(real.astype(np.float64))[:, None]).sum(axis=2)
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, order, axis=1), rows[order]


def find(real, bits, k, **options):
    return nearest_asymmetric(words(real >= 0), real, words(bits), k, **options)


def assert_equal(found, expected):
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])


@pytest.mark.parametrize("engine", ENGINES)
@given(
    seed=st.integers(0, 1000),
    n_queries=st.sampled_from([5, 30]),
    n_codes=st.integers(1, 700),
    n_bits=st.sampled_from([1, 5, 8, 13, 16, 32, 33, 64, 65, 128, 130, 200]),
    share=st.floats(0, 1),
    masked=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_the_nearest_are_those_of_all_distances_sorted(
    engine, seed, n_queries, n_codes, n_bits, share, masked
):
    real, bits = draw(seed, n_queries, n_codes, n_bits, "halves")
    keep = np.random.default_rng(seed).random(n_codes) < 0.5 if masked else None
    n_counted = n_codes if keep is None else np.count_nonzero(keep)
    if n_counted:
        k = max(1, int(share * n_counted))
        found = find(real, bits, k, keep=keep, algorithm=engine)
        assert_equal(found, brute_force(real, bits, k, keep))


@pytest.mark.parametrize("n_bits", [8, 16, 32, 64, 128, 192, 256, 512])
@pytest.mark.parametrize("k", [1, 10, 300])
def test_engines_agree_to_the_bit(n_bits, k):
    real, bits = draw(0, 70, 20_000, n_bits)
    found = [find(real, bits, k, algorithm=engine) for engine in ENGINES]
    assert_equal(*found)
    expected, _ = brute_force(real[:3], bits, k)
    np.testing.assert_allclose(found[0][0][:3], expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("weak", [slice(0, 160), slice(160, 320)])
def test_halves_of_different_weight_are_searched_exactly(engine, weak):
    real, bits = draw(2, 40, 4000, 320, "halves")
    real[:, weak] /= 128
    bits[:200] = real[:1] >= 0
    bits[:200, weak] ^= np.random.default_rng(0).random((200, 160)) < 0.5
    found = find(real, bits, 30, algorithm=engine)
    assert_equal(found, brute_force(real, bits, 30))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("n_queries", [1, 3, 70])
def test_threads_and_galleries_read_in_parts_find_the_same(engine, n_queries):
    real, bits = draw(1, n_queries, 5000, 64, "halves")
    keep = np.random.default_rng(0).random(5000) < 0.3
    keep[1000:2000] = False  # whole parts without a code
    expected = brute_force(real, bits, 20, keep)
    assert_equal(find(real, bits, 20, keep=keep, algorithm=engine, n_jobs=2), expected)
    gallery = search.TakenWords(words(bits), np.arange(5000))
    with mock.patch.object(search, "_CHUNK", 8 * 500):
        found = nearest_asymmetric(
            words(real >= 0), real, gallery, 20, keep=keep, algorithm=engine, n_jobs=2
        )
    assert_equal(found, expected)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_guess_that_is_too_low_is_made_good(engine):
    # All codes are as far as can be: no guess from independent bits is right.
    real, _ = draw(2, 20, 1, 64, "halves")
    bits = np.repeat(real[:1] < 0, 3000, axis=0)
    guessed = asymmetric_numpy.guess_limits(
        asymmetric_numpy.weigh(real, words(real >= 0))[0], 3, 3000
    )
    expected = brute_force(real, bits, 3)
    assert guessed[0] < asymmetric_numpy.FARTHEST
    assert_equal(find(real, bits, 3, algorithm=engine), expected)


@pytest.mark.parametrize("engine", ENGINES)
def test_equal_codes_come_in_the_order_of_rows_and_zeros_weigh_nothing(engine):
    real = np.array([[0.0, -2.0], [0.0, 0.0]], dtype=np.float32)
    bits = np.array([[True, True], [False, False], [True, False], [False, True]])
    distances, rows = find(real, bits, 4, algorithm=engine)
    assert distances.tolist() == [[0, 0, 2, 2], [0, 0, 0, 0]]
    assert rows.tolist() == [[1, 2, 0, 3], [0, 1, 2, 3]]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("scale", [2.0**-1000, 2.0**-100, 2.0**100, 2.0**1000])
def test_values_of_any_size_are_weighed(engine, scale):
    real, bits = draw(3, 4, 500, 40, "halves")
    distances, rows = brute_force(real, bits, 7)
    found = find(real * np.float64(scale), bits, 7, algorithm=engine)
    assert_equal(found, (distances * scale, rows))


def test_an_order_is_that_of_inner_products_with_signs():
    real, bits = draw(4, 6, 400, 64)
    products = real.astype(np.float64) @ np.where(bits, 1, -1).T
    distances, rows = find(real, bits, 400)
    total = np.abs(real.astype(np.float64)).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(
        total - 2 * distances, np.take_along_axis(products, rows, axis=1), atol=1e-5
    )


def test_the_bound_is_below_the_distance():
    real, bits = draw(5, 30, 3000, 64)
    weights, _ = asymmetric_numpy.weigh(real, words(real >= 0))
    tile = words(real >= 0)[:, :, None] ^ words(bits)[:, None]
    tables = asymmetric_numpy._tables(weights)
    distances = asymmetric_numpy._measure(np.arange(30)[:, None], tile, tables)
    coarse = asymmetric_numpy.coarse_levels(weights, words(real >= 0))
    bound = asymmetric_numpy._bound(tile, coarse.planes)
    lowest = bound * coarse.grids[:, None] - coarse.slacks[:, None]
    assert (lowest <= distances).all()
    # and close to it: a bound of zero would pass the line above
    assert np.corrcoef(lowest.ravel(), distances.ravel())[0, 1] > 0.9
