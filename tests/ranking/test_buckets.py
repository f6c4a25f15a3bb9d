"""The closed forms against all orders of the ties, one by one."""

from itertools import chain, permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skhash._ranking.buckets import (
    bucket_average_precision,
    harmonic_numbers,
    hit_chance_at_k,
    hits_at_k,
    relevance_by_rank,
)

TIES = ["expected", "optimistic", "pessimistic"]
NORMALIZE = ["hits", "possible", "relevant"]


def plain_average_precision(ranking, k, normalize):
    """Score a list of 0 and 1 by the definition alone."""
    n_relevant = sum(ranking)
    precisions = []
    for rank, relevant in enumerate(ranking, 1):
        if (len(precisions) if normalize == "relevant" else rank - 1) == k:
            break
        if relevant:
            precisions.append((len(precisions) + 1) / rank)
    divisor = len(precisions) if normalize == "hits" else min(k, n_relevant)
    return sum(precisions) / divisor if divisor else 0.0


def all_rankings(buckets):
    orders = [list(permutations([1] * r + [0] * (n - r))) for n, r in buckets]
    return [list(chain(*choice)) for choice in product(*orders)]


def scored(buckets, k, ties, normalize):
    n, r = np.array(buckets).T[:, None, :]
    harmonic = harmonic_numbers(n.sum())
    return bucket_average_precision(n, r, harmonic, k=k, ties=ties, normalize=normalize)[0]


@st.composite
def bucket_lists(draw):
    buckets = []
    while (left := 6 - sum(n for n, _ in buckets)) > 0:
        n = draw(st.integers(1, left))
        buckets.append((n, draw(st.integers(0, n))))
        if draw(st.booleans()):
            break
    return buckets


@settings(max_examples=60, deadline=None)
@given(buckets=bucket_lists())
def test_every_mode_equals_brute_force_over_all_orders(buckets):
    rankings = all_rankings(buckets)
    n_items = sum(n for n, _ in buckets)
    for normalize, k in product(NORMALIZE, range(1, n_items + 1)):
        scores = [plain_average_precision(ranking, k, normalize) for ranking in rankings]
        for ties, reduce in zip(TIES, [np.mean, np.max, np.min], strict=True):
            found = scored(buckets, k, ties, normalize)
            assert found == pytest.approx(reduce(scores), abs=1e-12), (normalize, k, ties)


@pytest.mark.parametrize("normalize", NORMALIZE)
@pytest.mark.parametrize("k", range(1, 8))
def test_one_bucket_of_seven_equals_brute_force(normalize, k):
    for r in range(8):
        rankings = [bits for bits in product([0, 1], repeat=7) if sum(bits) == r]
        scores = [plain_average_precision(ranking, k, normalize) for ranking in rankings]
        assert scored([(7, r)], k, "expected", normalize) == pytest.approx(np.mean(scores))
        assert scored([(7, r)], k, "optimistic", normalize) == pytest.approx(np.max(scores))
        assert scored([(7, r)], k, "pessimistic", normalize) == pytest.approx(np.min(scores))


def test_a_large_cut_bucket_keeps_its_precision():
    # All items tie: the expected precision at any relevant item of a half is close to a half.
    n, r, k = 100_000, 50_000, 5_000
    rank = np.arange(1, k + 1)
    exact = np.mean((1 + (rank - 1) * (r - 1) / (n - 1)) / rank)  # given a hit at that rank
    possible = scored([(n, r)], k, "expected", "possible")
    assert possible == pytest.approx(exact * r / n, rel=1e-9)
    assert scored([(n, r)], k, "expected", "hits") == pytest.approx(exact, rel=1e-3)
    assert scored([(n, r)], k, "expected", "relevant") == pytest.approx(0.5, rel=1e-3)


def test_queries_of_one_block_are_independent():
    n = np.array([[2, 3, 1], [1, 0, 5], [4, 1, 1]])
    r = np.array([[1, 2, 0], [1, 0, 3], [0, 0, 0]])
    harmonic = harmonic_numbers(6)
    for ties, normalize, k in product(TIES, NORMALIZE, range(1, 7)):
        options = {"k": k, "ties": ties, "normalize": normalize}
        together = bucket_average_precision(n, r, harmonic, **options)
        alone = [bucket_average_precision(n[[i]], r[[i]], harmonic, **options)[0] for i in range(3)]
        np.testing.assert_allclose(together, alone, rtol=1e-13)


def test_harmonic_numbers():
    np.testing.assert_allclose(harmonic_numbers(3), [0, 1, 1.5, 11 / 6])


@pytest.mark.parametrize("ties", TIES)
@settings(max_examples=30, deadline=None)
@given(buckets=bucket_lists())
def test_hits_at_k_equal_brute_force_over_all_orders(ties, buckets):
    rankings = all_rankings(buckets)
    n, r = np.array(buckets).T[:, None, :]
    reduce = dict(zip(TIES, [np.mean, np.max, np.min], strict=True))[ties]
    for k in range(1, 8):
        hits = [sum(ranking[:k]) for ranking in rankings]
        assert hits_at_k(n, r, k, ties) == pytest.approx(reduce(hits))
        chances = [float(h > 0) for h in hits]
        assert hit_chance_at_k(n, r, k, ties) == pytest.approx(reduce(chances))


@settings(max_examples=30, deadline=None)
@given(buckets=bucket_lists(), weight=st.floats(0.1, 2))
def test_relevance_by_rank_is_the_mean_of_all_orders(buckets, weight):
    rankings = np.array(all_rankings(buckets))
    n, r = np.array(buckets).T[:, None, :]
    found = relevance_by_rank(n, r, rankings.shape[1], "expected", np.array([weight]))
    np.testing.assert_allclose(found, weight * rankings.mean(axis=0), atol=1e-12)


def test_a_hit_in_a_large_bucket_keeps_its_precision():
    chance = hit_chance_at_k(np.array([[10**6]]), np.array([[1]]), 10, "expected")
    assert chance == pytest.approx(1e-5, abs=1e-8)
