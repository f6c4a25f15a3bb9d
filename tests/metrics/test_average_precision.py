from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.exceptions import UndefinedMetricWarning

from skhash._ranking import buckets as _buckets
from skhash._ranking import counts as _ranking
from skhash.codes import convert_codes
from skhash.metrics import average_precision, mean_average_precision

TIES = ["expected", "optimistic", "pessimistic"]
NORMALIZE = ["hits", "possible", "relevant"]


def example(seed=0, n_queries=4, n_gallery=12, n_bits=5, n_labels=3):
    rng = np.random.default_rng(seed)
    query, gallery = (rng.random((n, n_bits)) < 0.5 for n in (n_queries, n_gallery))
    y_query, y_gallery = (rng.random((n, n_labels)) < 0.4 for n in (n_queries, n_gallery))
    y_query[:, 0] = y_gallery[0, 0] = True  # each query has a relevant item
    return query, gallery, y_query, y_gallery


def naive(query, gallery, y_query, y_gallery, k, normalize):
    """Rank by a stable sort and follow the definitions word by word."""
    scores = []
    for code, labels in zip(query, y_query, strict=True):
        order = np.argsort((gallery != code).sum(axis=1), kind="stable")
        relevant = (y_gallery & labels).any(axis=1)[order]
        ranks = np.flatnonzero(relevant) + 1
        precisions = np.arange(1, len(ranks) + 1) / ranks
        counted = precisions[:k] if normalize == "relevant" else precisions[ranks <= k]
        divisor = len(counted) if normalize == "hits" else min(k, len(ranks))
        scores.append(counted.sum() / divisor if divisor else 0.0)
    return scores


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 14), normalize=st.sampled_from(NORMALIZE))
def test_index_ties_equal_a_stable_sort(seed, k, normalize):
    data = example(seed)
    found = average_precision(*data, k=k, ties="index", normalize=normalize)
    np.testing.assert_allclose(found, naive(*data, min(k, 12), normalize), atol=1e-12)


def plain(ranking, k, normalize, n_relevant):
    """Follow the definitions word by word; `n_relevant` may be more than are ranked."""
    ranks = [rank for rank, relevant in enumerate(ranking, 1) if relevant]
    precisions = [(i, rank) for i, rank in enumerate(ranks, 1)]
    if normalize == "relevant":
        precisions = precisions[:k]
    else:
        precisions = [(i, rank) for i, rank in precisions if rank <= k]
    divisor = len(precisions) if normalize == "hits" else min(k, n_relevant)
    return sum(i / rank for i, rank in precisions) / divisor if divisor else 0.0


@settings(max_examples=60, deadline=None)
@given(
    items=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 1)), min_size=6, max_size=6).filter(
        lambda items: any(grade for _, grade in items)
    ),
    k=st.integers(1, 6),
    radius=st.one_of(st.none(), st.integers(0, 6)),
    normalize=st.sampled_from(NORMALIZE),
    ties=st.sampled_from(TIES),
)
def test_it_equals_brute_force_over_all_orders_of_six_items(
    brute_force, items, k, radius, normalize, ties
):
    distances, grades = zip(*items, strict=True)
    n_found = sum(distance <= (6 if radius is None else radius) for distance in distances)
    options = {"k": k, "ties": ties, "normalize": normalize, "radius": radius}
    codes = brute_force.codes(distances)
    found = mean_average_precision(brute_force.zero, codes, [1], grades, **options)
    expected = brute_force(
        lambda ranking: plain(ranking[:n_found], k, normalize, sum(grades)), distances, grades, ties
    )
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("normalize", NORMALIZE)
@pytest.mark.parametrize("radius", [0, 1.5, 3])
def test_within_a_radius_index_ties_equal_a_stable_sort(radius, normalize):
    query, gallery, y_query, y_gallery = example()
    options = {"k": 4, "radius": radius, "ties": "index", "normalize": normalize}
    found = average_precision(query, gallery, y_query, y_gallery, **options)
    for code, labels, score in zip(query, y_query, found, strict=True):
        distances = (gallery != code).sum(axis=1)
        relevant = (y_gallery & labels).any(axis=1)
        order = [row for row in np.argsort(distances, kind="stable") if distances[row] <= radius]
        assert score == pytest.approx(plain(relevant[order], 4, normalize, relevant.sum()))


def test_a_few_cuts_at_a_time_give_the_same(monkeypatch):
    data = example(n_queries=9, n_bits=2)
    for normalize, ties in product(NORMALIZE, TIES):
        whole = average_precision(*data, k=3, ties=ties, normalize=normalize)
        with monkeypatch.context() as patch:
            patch.setattr(_buckets, "_WAYS", 30)
            found = average_precision(*data, k=3, ties=ties, normalize=normalize)
        np.testing.assert_allclose(found, whole, rtol=1e-12)


def test_threads_do_not_change_the_scores():
    data = example()
    np.testing.assert_array_equal(average_precision(*data, n_jobs=2), average_precision(*data))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    k=st.one_of(st.none(), st.integers(1, 14)),
    normalize=st.sampled_from(NORMALIZE),
)
def test_bounds_enclose_the_expectation_and_the_index_order(seed, k, normalize):
    data = example(seed, n_bits=3)
    expected, best, worst, index = (
        average_precision(*data, k=k, ties=ties, normalize=normalize) for ties in [*TIES, "index"]
    )
    slack = 1e-12
    assert np.all(best <= 1 + slack)
    assert np.all(worst >= 0)
    for value in (expected, index):
        assert np.all(value <= best + slack)
        assert np.all(value >= worst - slack)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    k=st.integers(1, 14),
    ties=st.sampled_from(TIES),
    normalize=st.sampled_from(NORMALIZE),
    real=st.booleans(),
)
def test_the_order_of_the_gallery_does_not_matter(seed, k, ties, normalize, real):
    query, gallery, y_query, y_gallery = example(seed)
    if real:
        query, gallery = (convert_codes(codes, "real") for codes in (query, gallery))
    order = np.random.default_rng(seed).permutation(len(gallery))
    options = {"k": k, "ties": ties, "normalize": normalize}
    np.testing.assert_allclose(
        average_precision(query, gallery, y_query, y_gallery, **options),
        average_precision(query, gallery[order], y_query, y_gallery[order], **options),
        rtol=1e-12,
    )


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), ties=st.sampled_from([*TIES, "index"]))
def test_without_a_cut_off_the_definitions_agree(seed, ties):
    data = example(seed)
    scores = [average_precision(*data, ties=ties, normalize=name) for name in NORMALIZE]
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-14)
    np.testing.assert_allclose(scores[0], scores[2], rtol=1e-14)


@pytest.mark.parametrize("factor", [1e-300, 1e-200, 1e39, 1e200, 1e300])
def test_the_length_of_real_vectors_does_not_matter(factor):
    vectors = np.random.default_rng(0).standard_normal((20, 8))
    expected = average_precision(vectors[:5], vectors, np.arange(5), np.arange(20) % 5)
    found = average_precision(vectors[:5] * factor, vectors, np.arange(5), np.arange(20) % 5)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("form", ["packed", "signs", "real"])
@pytest.mark.parametrize(("ties", "k"), list(product([*TIES, "index"], [None, 3])))
def test_all_formats_rank_alike(form, ties, k):
    # Cosine orders codes of +1 and -1 as Hamming distance does, ties included.
    query, gallery, y_query, y_gallery = example(n_bits=21)
    expected = average_precision(query, gallery, y_query, y_gallery, ties=ties, k=k)
    query, gallery = convert_codes(query, form), convert_codes(gallery, form)
    found = average_precision(query, gallery, y_query, y_gallery, ties=ties, k=k)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_ids_classes_and_one_hot_labels_agree():
    query, gallery, _, _ = example()
    classes = np.arange(len(gallery)) % 3
    one_hot = np.eye(3, dtype=int)
    numbers = average_precision(query, gallery, classes[:4], classes)
    names = np.array(["cat", "dog", "fox"])
    strings = average_precision(query, gallery, list(names[classes[:4]]), pd.Series(names[classes]))
    labels = average_precision(
        query, gallery, one_hot[classes[:4]], sparse.csr_matrix(one_hot[classes])
    )
    np.testing.assert_array_equal(numbers, strings)
    np.testing.assert_array_equal(numbers, labels)


def test_pairs_score_the_inverse_rank_of_the_paired_row():
    image = np.array([[0, 0, 0], [1, 1, 1], [1, 0, 0]], dtype=bool)
    text = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 1]], dtype=bool)
    # ranks of the pair: 1; 2 (distance 2, after text 2); 3 (distance 2, after two others)
    np.testing.assert_allclose(average_precision(image, text), [1, 1 / 2, 1 / 3])


@pytest.mark.parametrize("metric", [average_precision, mean_average_precision])
def test_queries_without_relevant_items_are_reported(metric):
    query, gallery, _, _ = example()
    message = "3 of 4 queries have no relevant item in the gallery and count as 0"
    with pytest.warns(UndefinedMetricWarning, match=message) as caught:
        metric(query, gallery, [1, 9, 9, 9], [1] * 12)
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.filterwarnings("ignore:3 of 4 queries")
@pytest.mark.parametrize(
    ("normalize", "ties", "k"), list(product(NORMALIZE, [*TIES, "index"], [None, 2]))
)
def test_a_query_without_relevant_items_scores_zero(normalize, ties, k):
    query, gallery, _, _ = example()
    options = {"k": k, "ties": ties, "normalize": normalize}
    scores = average_precision(query, gallery, [1, 9, 9, 9], [1] * 12, **options)
    assert scores.tolist() == pytest.approx([1, 0, 0, 0])


def test_a_tied_collapse_scores_about_the_base_rate():
    codes = np.zeros((1000, 16), dtype=bool)
    y = np.arange(1000) % 4
    assert mean_average_precision(codes, codes, y, y) == pytest.approx(0.25, abs=0.01)


def test_a_late_hit_can_lower_the_best_score_of_definition_hits():
    # Found: hit, three misses, then a tie of a hit and a miss of which one is inside the cut-off.
    gallery = np.array([[1, 1, 1], [1, 1, 0], [1, 1, 0], [1, 1, 0], [0, 0, 1], [0, 0, 1]]) == 1
    query, y = np.array([[True, True, True]]), [1, 0, 0, 0, 1, 0]
    assert average_precision(query, gallery, [1], y, k=5, ties="optimistic") == 1
    (worst,) = average_precision(query, gallery, [1], y, k=5, ties="pessimistic")
    assert worst == pytest.approx((1 + 2 / 5) / 2)


def test_blocks_of_queries_do_not_change_the_scores(monkeypatch):
    data = example(n_queries=9)
    for ties in [*TIES, "index"]:
        whole = average_precision(*data, k=4, ties=ties)
        with monkeypatch.context() as patch:
            patch.setattr(_ranking, "_BLOCK", 60)
            np.testing.assert_allclose(average_precision(*data, k=4, ties=ties), whole)


def test_the_mean_is_the_mean():
    data = example()
    score = mean_average_precision(*data, k=5, ties="optimistic", normalize="possible")
    each = average_precision(*data, k=5, ties="optimistic", normalize="possible")
    assert isinstance(score, float)
    assert score == each.mean()


def test_a_zero_vector_is_as_near_to_all():
    query, gallery = np.array([[0, 0], [0.5, -1]]), np.eye(2) - 0.5
    scores = average_precision(query, gallery, [0, 0], [0, 1])
    assert scores[0] == pytest.approx((1 + 1 / 2) / 2)


bits = np.ones((2, 8), dtype=bool)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((bits, bits, [1], [1, 2]), {}, ValueError, "labels of another length: got 1 rows"),
        ((bits, bits, [1, 2], None), {}, ValueError, "labels are given on one side only"),
        ((bits, bits[:1]), {}, ValueError, "needs equal lengths, got 2 queries and 1 gallery"),
        ((bits, bits, [1, 2], [[1], [0]]), {}, ValueError, "query labels have shape"),
        ((bits, bits, [[2], [0]], [[1], [0]]), {}, ValueError, "must be indicators, 0 or 1"),
        ((bits, bits, [1.0, np.nan], [1, 2]), {}, ValueError, "missing values"),
        ((bits, bits, [[[1]], [[2]]], [1, 2]), {}, ValueError, "one or two dimensions, got 3"),
        ((bits, bits[:, :7]), {}, ValueError, "have 8 columns, the gallery codes 7"),
        ((bits, bits.view(np.uint8)), {}, TypeError, "are bits, the gallery codes packed"),
        ((bits, bits.astype(float)), {}, TypeError, "are bits, the gallery codes real"),
        ((bits, bits.astype(int)), {}, TypeError, "are bits, the gallery codes signs"),
        ((bits[:0], bits), {}, ValueError, "the codes are empty, got 0 queries"),
        ((bits, bits[:0]), {}, ValueError, "the codes are empty"),
        ((bits[0], bits), {}, ValueError, "must have two dimensions"),
        ((np.full((2, 2), np.nan), np.ones((2, 2))), {}, ValueError, "must be finite"),
        ((bits, bits), {"ties": "random"}, ValueError, "ties must be one of 'expected'"),
        ((bits, bits), {"normalize": "trec"}, ValueError, "normalize must be one of 'hits'"),
        ((bits, bits), {"k": 0}, ValueError, "k must be at least 1, got 0"),
        ((bits, bits), {"radius": -1}, ValueError, "radius must be a number in .*, got -1"),
        ((bits, bits), {"radius": "2"}, TypeError, "radius must be a number"),
        ((np.ones((2, 2)), np.ones((2, 2))), {"radius": 2}, TypeError, "have no Hamming distance"),
        ((bits, bits, [1, 2], [3, 4]), {}, ValueError, "no query has a relevant item"),
        ((bits, bits, [[0], [0]], [[1], [0]]), {}, ValueError, "query labels are all 0"),
        ((bits, bits, [[1], [0]], [[0], [0]]), {}, ValueError, "gallery labels are all 0"),
        ((bits, bits, [[1], [0]], [[1, 1], [0, 1]]), {}, ValueError, "indicators of the same"),
        ((bits, bits), {"k": 2.5}, TypeError, "k must be an integer"),
    ],
)
def test_bad_input_is_named(arguments, options, error, message):
    with pytest.raises(error, match=message):
        mean_average_precision(*arguments, **options)
