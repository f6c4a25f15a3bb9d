import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import UndefinedMetricWarning

from skhash._ranking import counts as _ranking
from skhash.codes import convert_codes, pack_codes
from skhash.metrics import (
    precision_at_k,
    precision_recall_by_radius,
    precision_recall_by_rank,
    precision_within_radius,
    recall_at_k,
)

BY_RADIUS = [precision_within_radius, precision_recall_by_radius]
ALL = [*BY_RADIUS, precision_recall_by_rank]
TIES = ["expected", "optimistic", "pessimistic", "index"]


def example(seed=0, n_queries=5, n_gallery=14, n_bits=6):
    rng = np.random.default_rng(seed)
    query, gallery = (rng.random((n, n_bits)) < 0.5 for n in (n_queries, n_gallery))
    return query, gallery, np.arange(n_queries) % 3, np.arange(n_gallery) % 3


def ball(query, gallery, y_query, y_gallery, radius):
    """Precision and recall of each query, by counting."""
    for code, label in zip(query, y_query, strict=True):
        inside = (gallery != code).sum(axis=1) <= radius
        hits = (y_gallery[inside] == label).sum()
        yield hits / max(inside.sum(), 1), hits / (y_gallery == label).sum()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), radius=st.one_of(st.integers(0, 8), st.floats(0, 8)))
def test_the_precision_of_a_ball_is_counted(seed, radius):
    data = example(seed)
    found = precision_within_radius(*data, radius=radius, per_query=True)
    np.testing.assert_allclose(found, [precision for precision, _ in ball(*data, radius)])
    assert precision_within_radius(*data, radius=radius) == found.mean()


def test_an_empty_ball_counts_zero():
    query, gallery = np.ones((2, 8), dtype=bool), np.zeros((2, 8), dtype=bool)
    query[1] = False
    assert precision_within_radius(query, gallery, [1, 1], [1, 1]) == 0.5


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_curve_by_radius_is_the_mean_over_balls(seed):
    data = example(seed)
    precision, recall, radii = precision_recall_by_radius(*data)
    assert radii.tolist() == list(range(7))
    for radius, point in enumerate(zip(precision, recall, strict=True)):
        np.testing.assert_allclose(point, np.mean(list(ball(*data, radius)), axis=0))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), ties=st.sampled_from(TIES), n_bits=st.sampled_from([2, 6]))
def test_the_curve_by_rank_is_precision_and_recall_at_each_rank(seed, ties, n_bits):
    data = example(seed, n_bits=n_bits)
    precision, recall, ranks = precision_recall_by_rank(*data, ties=ties)
    assert ranks.tolist() == list(range(1, 15))
    np.testing.assert_allclose(precision, precision_at_k(*data, k=ranks, ties=ties), atol=1e-12)
    np.testing.assert_allclose(recall, recall_at_k(*data, k=ranks, ties=ties), atol=1e-12)


@pytest.mark.parametrize("ranks", [[1, 5, 100], 5])
def test_chosen_ranks_are_points_of_the_curve(ranks):
    data = example()
    precision, recall, found = precision_recall_by_rank(*data, ranks=ranks)
    expected = np.atleast_1d(ranks)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(precision, precision_at_k(*data, k=expected))
    np.testing.assert_allclose(recall, recall_at_k(*data, k=expected))


@pytest.mark.parametrize("ties", TIES)
def test_cosine_of_signs_ranks_as_hamming_does(ties):
    query, gallery, *labels = example(n_bits=21)
    real = convert_codes(query, "real"), convert_codes(gallery, "real")
    expected = precision_recall_by_rank(query, gallery, *labels, ties=ties)
    np.testing.assert_allclose(precision_recall_by_rank(*real, *labels, ties=ties), expected)


@pytest.mark.parametrize(("form", "n_radii"), [("packed", 17), ("signs", 14)])
def test_radii_reach_the_length_of_the_code(form, n_radii):
    query, gallery, *labels = example(n_bits=13)
    codes = convert_codes(query, form), convert_codes(gallery, form)
    precision, recall, radii = precision_recall_by_radius(*codes, *labels)
    assert len(precision) == len(recall) == len(radii) == n_radii
    assert recall[-1] == 1


@pytest.mark.parametrize("metric", ALL)
def test_batches_and_threads_do_not_change_the_scores(monkeypatch, metric):
    data = example(n_queries=9)
    whole = metric(*data)
    monkeypatch.setattr(_ranking, "_BLOCK", 60)
    np.testing.assert_allclose(metric(*data, n_jobs=2), whole, rtol=1e-12)


@pytest.mark.parametrize("metric", ALL)
def test_queries_without_relevant_items_count_zero_and_are_reported(metric):
    query, gallery, _, _ = example()
    with pytest.warns(UndefinedMetricWarning, match="4 of 5 queries have no relevant item"):
        some = metric(query, gallery, [0, 9, 9, 9, 9], [0] * 14)
    alone = metric(query[:1], gallery, [0], [0] * 14)
    if metric is not precision_within_radius:
        some, alone = some[:2], alone[:2]
    np.testing.assert_allclose(5 * np.array(some), alone)


bits = np.ones((2, 8), dtype=bool)


@pytest.mark.parametrize("metric", BY_RADIUS)
def test_real_embeddings_have_no_radius(metric):
    with pytest.raises(TypeError, match="real embeddings have no Hamming distance: binarise them"):
        metric(bits.astype(float), bits.astype(float))


@pytest.mark.parametrize("metric", ALL)
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((bits, bits, [1, 2]), ValueError, "labels are given on one side only"),
        ((bits, bits, [1, 2], [3, 4]), ValueError, "no query has a relevant item"),
        ((bits, bits[:, :7]), ValueError, "have 8 columns, the gallery codes 7"),
        ((bits, bits.view(np.uint8)), TypeError, "are bits, the gallery codes packed"),
        ((bits[:0], bits), ValueError, "the codes are empty"),
    ],
)
def test_bad_input_is_named(metric, arguments, error, message):
    with pytest.raises(error, match=message):
        metric(*arguments)


@pytest.mark.parametrize(
    ("metric", "options", "error", "message"),
    [
        (
            precision_within_radius,
            {"radius": -1},
            ValueError,
            "radius must be a number in .*, got -1",
        ),
        (precision_within_radius, {"radius": "2"}, TypeError, "radius must be a number"),
        (
            precision_recall_by_rank,
            {"ranks": [0, 1]},
            ValueError,
            "ranks must be at least 1, got 0",
        ),
        (precision_recall_by_rank, {"ranks": []}, TypeError, "ranks must be an int or a sequence"),
        (precision_recall_by_rank, {"ties": "random"}, ValueError, "ties must be one of"),
    ],
)
def test_bad_options_are_named(metric, options, error, message):
    with pytest.raises(error, match=message):
        metric(bits, bits, **options)


def test_radii_of_packed_codes_end_at_their_length():
    bits = np.random.default_rng(0).random((6, 13)) < 0.5
    expected = precision_recall_by_radius(bits, bits)
    found = precision_recall_by_radius(pack_codes(bits), pack_codes(bits), n_bits=13)
    np.testing.assert_array_equal(found, expected)
