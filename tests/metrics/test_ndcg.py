import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import ndcg_score

from skhash._ranking import counts as _ranking
from skhash.codes import convert_codes
from skhash.metrics import ndcg_at_k

TIES = ["expected", "optimistic", "pessimistic"]
GAINS = {"linear": lambda grade: grade, "exponential": lambda grade: 2**grade - 1}
six_items = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3)), min_size=6, max_size=6)
relevant_six = six_items.filter(lambda items: any(grade for _, grade in items))


def plain_ndcg(ranking, k, gain):
    """Follow the definition word by word."""

    def dcg(grades):
        return sum(GAINS[gain](g) / np.log2(i + 1) for i, g in enumerate(grades[:k], 1))

    return dcg(ranking) / dcg(sorted(ranking, reverse=True))


def labels_of(grades, n_labels=3):
    """Label indicators of items that share so many labels with a query that has all."""
    return (np.arange(n_labels) < np.asarray(grades)[:, None]).astype(int)


def example(seed=0, n_queries=4, n_gallery=15, n_bits=4, n_labels=5):
    rng = np.random.default_rng(seed)
    query, gallery = (rng.random((n, n_bits)) < 0.5 for n in (n_queries, n_gallery))
    y_query, y_gallery = (rng.random((n, n_labels)) < 0.5 for n in (n_queries, n_gallery))
    y_query[:, 0] = y_gallery[0, 0] = True
    return query, gallery, y_query, y_gallery


@settings(max_examples=60, deadline=None)
@given(
    items=relevant_six,
    k=st.integers(1, 7),
    ties=st.sampled_from(TIES),
    gain=st.sampled_from(list(GAINS)),
)
def test_it_equals_brute_force_over_all_orders_of_six_items(brute_force, items, k, ties, gain):
    distances, grades = zip(*items, strict=True)
    codes = brute_force.codes(distances)
    y = [[1, 1, 1]], labels_of(grades)
    found = ndcg_at_k(brute_force.zero, codes, *y, k=k, ties=ties, gain=gain)
    expected = brute_force(lambda ranking: plain_ndcg(ranking, k, gain), distances, grades, ties)
    assert found == pytest.approx(expected, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), k=st.one_of(st.none(), st.integers(1, 15)))
def test_with_ties_it_is_the_ndcg_of_scikit_learn(seed, k):
    query, gallery, y_query, y_gallery = example(seed)
    nearness = -(query[:, None] != gallery).sum(axis=2)
    shared = y_query.astype(int) @ y_gallery.T.astype(int)
    found = ndcg_at_k(query, gallery, y_query, y_gallery, k=k)
    assert found == pytest.approx(ndcg_score(shared, nearness, k=k, ignore_ties=False))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 15))
def test_without_ties_real_embeddings_give_the_ndcg_of_scikit_learn(seed, k):
    _, _, y_query, y_gallery = example(seed)
    rng = np.random.default_rng(seed)
    query, gallery = rng.normal(size=(4, 6)), rng.normal(size=(15, 6))
    cosine = query @ gallery.T / np.linalg.norm(gallery, axis=1)
    shared = y_query.astype(int) @ y_gallery.T.astype(int)
    found = ndcg_at_k(query, gallery, y_query, y_gallery, k=k)
    assert found == pytest.approx(ndcg_score(shared, cosine, k=k))


@pytest.mark.parametrize("k", [3, None])
def test_index_ties_equal_a_stable_sort(k):
    query, gallery, y_query, y_gallery = example()
    found = ndcg_at_k(query, gallery, y_query, y_gallery, k=k, ties="index", per_query=True)
    for code, labels, score in zip(query, y_query, found, strict=True):
        order = np.argsort((gallery != code).sum(axis=1), kind="stable")
        ranking = list((y_gallery & labels).sum(axis=1)[order])
        assert score == pytest.approx(plain_ndcg(ranking, k, "linear"))


@pytest.mark.parametrize("ties", [*TIES, "index"])
def test_cosine_of_signs_ranks_as_hamming_does(ties):
    query, gallery, *labels = example(n_bits=21)
    expected = ndcg_at_k(query, gallery, *labels, k=[2, 9], ties=ties)
    real = convert_codes(query, "real"), convert_codes(gallery, "real")
    np.testing.assert_allclose(ndcg_at_k(*real, *labels, k=[2, 9], ties=ties), expected)


def test_classes_are_graded_zero_or_one():
    query, gallery, _, _ = example()
    classes = np.arange(15) % 3
    one_hot = np.eye(3, dtype=int)[classes]
    for gain in GAINS:
        found = ndcg_at_k(query, gallery, classes[:4], classes, gain=gain)
        assert found == pytest.approx(ndcg_at_k(query, gallery, one_hot[:4], one_hot, gain=gain))


def test_no_cut_off_ranks_the_whole_gallery_and_several_are_a_last_axis():
    data = example()
    whole, five = ndcg_at_k(*data, per_query=True), ndcg_at_k(*data, k=5, per_query=True)
    found = ndcg_at_k(*data, k=[5, 15, 40], per_query=True)
    np.testing.assert_array_equal(found, np.stack([five, whole, whole], axis=1))
    assert isinstance(ndcg_at_k(*data), float)
    assert ndcg_at_k(*data, k=[5]) == [five.mean()]


@pytest.mark.parametrize("ties", [*TIES, "index"])
def test_batches_of_queries_do_not_change_the_scores(monkeypatch, ties):
    data = example(n_queries=9)
    whole = ndcg_at_k(*data, k=5, ties=ties, per_query=True)
    monkeypatch.setattr(_ranking, "_BLOCK", 100)
    np.testing.assert_array_equal(ndcg_at_k(*data, k=5, ties=ties, per_query=True), whole)


def test_queries_without_relevant_items_count_zero_and_are_reported():
    query, gallery, y_query, y_gallery = example()
    y_query[2] = False
    with pytest.warns(UndefinedMetricWarning, match="1 of 4 queries have no relevant item"):
        scores = ndcg_at_k(query, gallery, y_query, y_gallery, per_query=True)
    assert (scores == 0).tolist() == [False, False, True, False]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"gain": "cubic"}, ValueError, "gain must be one of 'linear', 'exponential', got 'cubic'"),
        ({"k": 0}, ValueError, "k must be at least 1, got 0"),
        ({"k": 2.5}, TypeError, "k must be an integer"),
        ({"ties": "random"}, ValueError, "ties must be one of 'expected'"),
    ],
)
def test_bad_input_is_named(options, error, message):
    with pytest.raises(error, match=message):
        ndcg_at_k(*example(), **options)
