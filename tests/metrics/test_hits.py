from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import UndefinedMetricWarning

from skhash._ranking import counts as _ranking
from skhash.codes import convert_codes
from skhash.metrics import hit_rate_at_k, precision_at_k, recall_at_k

DEFINITIONS = {
    precision_at_k: lambda ranking, k: sum(ranking[:k]) / k,
    recall_at_k: lambda ranking, k: sum(ranking[:k]) / sum(ranking),
    hit_rate_at_k: lambda ranking, k: float(any(ranking[:k])),
}
METRICS = list(DEFINITIONS)
TIES = ["expected", "optimistic", "pessimistic"]
six_items = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 1)), min_size=6, max_size=6)
relevant_six = six_items.filter(lambda items: any(grade for _, grade in items))


def example(seed=0, n_queries=5, n_gallery=14, n_bits=4):
    rng = np.random.default_rng(seed)
    query, gallery = (rng.random((n, n_bits)) < 0.5 for n in (n_queries, n_gallery))
    return query, gallery, np.arange(n_queries) % 3, np.arange(n_gallery) % 3


@settings(max_examples=40, deadline=None)
@given(items=relevant_six, k=st.integers(1, 7), ties=st.sampled_from(TIES))
@pytest.mark.parametrize("metric", METRICS)
def test_it_equals_brute_force_over_all_orders_of_six_items(brute_force, metric, items, k, ties):
    distances, grades = zip(*items, strict=True)
    found = metric(brute_force.zero, brute_force.codes(distances), [1], grades, k=k, ties=ties)
    expected = brute_force(lambda r: DEFINITIONS[metric](r, k), distances, grades, ties)
    assert found == pytest.approx(expected, abs=1e-12)


@settings(max_examples=6, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 12))
@pytest.mark.parametrize("metric", METRICS)
def test_the_expectation_is_the_mean_over_random_tie_orders(metric, seed, k):
    query, gallery, y_query, y_gallery = example(seed, n_queries=1, n_bits=2)
    expected = metric(query, gallery, y_query, y_gallery, k=k)
    rng = np.random.default_rng(seed)
    shuffled = [rng.permutation(len(gallery)) for _ in range(600)]
    drawn = [
        metric(query, gallery[rows], y_query, y_gallery[rows], k=k, ties="index")
        for rows in shuffled
    ]
    assert np.mean(drawn) == pytest.approx(expected, abs=5 * np.std(drawn) / 600**0.5 + 1e-12)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 16))
@pytest.mark.parametrize("metric", METRICS)
def test_index_ties_equal_a_stable_sort(metric, seed, k):
    query, gallery, y_query, y_gallery = example(seed)
    found = metric(query, gallery, y_query, y_gallery, k=k, ties="index", per_query=True)
    for code, label, score in zip(query, y_query, found, strict=True):
        order = np.argsort((gallery != code).sum(axis=1), kind="stable")
        ranking = list(y_gallery[order] == label)
        assert score == pytest.approx(DEFINITIONS[metric](ranking, k))


@pytest.mark.parametrize("ties", [*TIES, "index"])
@pytest.mark.parametrize("metric", METRICS)
def test_cosine_of_signs_ranks_as_hamming_does(metric, ties):
    query, gallery, y_query, y_gallery = example(n_bits=21)
    expected = metric(query, gallery, y_query, y_gallery, k=[1, 4, 9], ties=ties)
    real = convert_codes(query, "real"), convert_codes(gallery, "real")
    np.testing.assert_allclose(metric(*real, y_query, y_gallery, k=[1, 4, 9], ties=ties), expected)


@pytest.mark.parametrize("metric", METRICS)
def test_several_cut_offs_are_a_last_axis(metric):
    data = example()
    each = [metric(*data, k=k, per_query=True) for k in (1, 5, 40)]
    np.testing.assert_array_equal(metric(*data, k=(1, 5, 40), per_query=True), np.stack(each, 1))
    np.testing.assert_allclose(metric(*data, k=np.array([1, 5, 40])), np.mean(each, axis=1))
    assert metric(*data, k=[5], per_query=True).shape == (5, 1)


@pytest.mark.parametrize("metric", METRICS)
def test_one_cut_off_gives_a_float_or_an_array_of_queries(metric):
    data = example()
    scores = metric(*data, k=5, per_query=True)
    assert scores.shape == (5,)
    assert isinstance(metric(*data, k=5), float)
    assert metric(*data, k=5) == scores.mean()
    assert metric(*data) == metric(*data, k=10)


def test_any_of_five_captions_is_a_hit():
    image = np.zeros((1, 8), dtype=bool)
    text = np.zeros((105, 8), dtype=bool)  # all tie: five captions of the picture among 105
    ids = np.r_[np.zeros(5, dtype=int), np.arange(1, 101)]
    for k in (1, 5, 10):
        chance = 1 - comb(100, k) / comb(105, k)
        assert hit_rate_at_k(image, text, [0], ids, k=k) == pytest.approx(chance)


def test_recall_and_hit_rate_of_pairs_agree():
    query, gallery, _, _ = example(n_gallery=5)
    ks = [1, 2, 3]
    np.testing.assert_allclose(
        recall_at_k(query, gallery, k=ks), hit_rate_at_k(query, gallery, k=ks)
    )


def test_ranks_beyond_the_gallery_hold_nothing_relevant():
    codes = np.ones((1, 4), dtype=bool)
    assert precision_at_k(codes, codes, k=10) == 0.1
    assert recall_at_k(codes, codes, k=10) == 1


@pytest.mark.parametrize("real", [False, True])
@pytest.mark.parametrize("ties", [*TIES, "index"])
@pytest.mark.parametrize("metric", METRICS)
def test_batches_of_queries_do_not_change_the_scores(monkeypatch, metric, ties, real):
    query, gallery, *labels = example(n_queries=9)
    if real:
        query, gallery = (convert_codes(codes, "real") for codes in (query, gallery))
    options = {"k": [1, 3], "ties": ties, "per_query": True}
    whole = metric(query, gallery, *labels, **options)
    monkeypatch.setattr(_ranking, "_BLOCK", 60)
    np.testing.assert_array_equal(metric(query, gallery, *labels, **options), whole)


@pytest.mark.parametrize("metric", METRICS)
def test_threads_do_not_change_the_scores(metric):
    data = example()
    assert metric(*data, n_jobs=2) == metric(*data)


@pytest.mark.parametrize("metric", METRICS)
def test_queries_without_relevant_items_count_zero_and_are_reported(metric):
    query, gallery, _, _ = example()
    message = "2 of 5 queries have no relevant item in the gallery and count as 0"
    with pytest.warns(UndefinedMetricWarning, match=message):
        scores = metric(query, gallery, [0, 9, 0, 9, 0], [0] * 14, per_query=True)
    assert (scores == 0).tolist() == [False, True, False, True, False]


bits = np.ones((2, 8), dtype=bool)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"k": 0}, ValueError, "k must be at least 1, got 0"),
        ({"k": [3, 0]}, ValueError, "k must be at least 1, got 0"),
        ({"k": 2.5}, TypeError, "k must be an integer"),
        ({"k": None}, TypeError, "k must be an integer"),
        ({"k": "all"}, TypeError, "k must be an integer"),
        ({"k": [1.0, 2.0]}, TypeError, "k must be an int or a sequence of ints"),
        ({"k": []}, TypeError, "k must be an int or a sequence of ints"),
        ({"ties": "random"}, ValueError, "ties must be one of 'expected'"),
        ({"y_query": [1, 2]}, ValueError, "labels are given on one side only"),
        ({"y_query": [1, 2], "y_gallery": [3, 4]}, ValueError, "no query has a relevant item"),
    ],
)
def test_bad_input_is_named(metric, options, error, message):
    with pytest.raises(error, match=message):
        metric(bits, bits, **options)


def test_a_query_without_a_hit_has_the_rate_zero_and_not_minus_zero():
    codes = np.eye(4, dtype=bool)
    rates = hit_rate_at_k(codes, codes[::-1], k=1, per_query=True)
    assert rates.tolist() == [0] * 4
    assert not np.signbit(rates).any()
