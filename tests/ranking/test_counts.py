"""Rankings of codes, and what is relevant in them."""

import numpy as np
import pytest

from skhash._hamming.comparable import comparable
from skhash._ranking.counts import bucket_counts
from skhash._ranking.relevance import encode_labels
from skhash.codes import convert_codes


def example(n_queries=4, n_gallery=9, n_bits=3, n_labels=4):
    rng = np.random.default_rng(0)
    query, gallery = (rng.random((n, n_bits)) < 0.5 for n in (n_queries, n_gallery))
    y_query, y_gallery = (rng.random((n, n_labels)) < 0.5 for n in (n_queries, n_gallery))
    return query, gallery, y_query, y_gallery


def counted(query, gallery, y_query, y_gallery, **options):
    """All batches of `bucket_counts`, as {distance: counts of the grades} a query."""
    labels = encode_labels(y_query, y_gallery, len(query), len(gallery))
    result = []
    for counts, distances in bucket_counts(*comparable(query, gallery), *labels, **options):
        distances = np.broadcast_to(distances, counts.shape[:2])
        for row, (items, bits) in enumerate(zip(counts, distances, strict=True)):
            buckets = [(b, i.tolist()) for b, i in zip(bits, items, strict=True) if i.any()]
            assert [b for b, _ in buckets] == sorted(b for b, _ in buckets), row
            result.append(buckets)
    return result


def expected_buckets(query, gallery, y_query, y_gallery, n_grades, *, others=False):
    for row, (code, labels) in enumerate(zip(query, y_query, strict=True)):
        distances = (gallery != code).sum(axis=1)
        grades = np.minimum((y_gallery & labels).sum(axis=1), n_grades - 1)
        kept = np.arange(len(gallery)) != (row if others else -1)
        yield [
            (d, np.bincount(grades[kept & (distances == d)], minlength=n_grades).tolist())
            for d in np.unique(distances[kept])
        ]


@pytest.mark.parametrize("n_grades", [2, 3, 5])
def test_buckets_hold_the_items_of_each_grade_at_each_distance(n_grades):
    data = example()
    assert counted(*data, n_grades=n_grades) == list(expected_buckets(*data, n_grades))


@pytest.mark.parametrize("block", [1, 1 << 20])
@pytest.mark.parametrize("n_grades", [2, 5])
def test_a_query_leaves_its_own_row_out(monkeypatch, block, n_grades):
    monkeypatch.setattr("skhash._ranking.counts._BLOCK", block)
    _, codes, _, y = example()
    y[2] = False  # a row that is not even relevant to itself
    expected = list(expected_buckets(codes, codes, y, y, n_grades, others=True))
    assert counted(codes, codes, y, y, n_grades=n_grades, others=True) == expected
    real = convert_codes(codes, "real")
    of_real = counted(real, real, y, y, n_grades=n_grades, others=True)
    strip = [[[items for _, items in buckets] for buckets in b] for b in (of_real, expected)]
    assert strip[0] == strip[1]


@pytest.mark.parametrize("form", ["bits", "real"])
def test_index_order_leaves_the_own_row_out(form):
    _, codes, _, _ = example()
    ids = np.arange(9)
    codes = convert_codes(codes, form)
    assert all(
        len(buckets) == 8 and all(items == [1, 0] for _, items in buckets)
        for buckets in counted(codes, codes, ids, ids, ties="index", others=True)
    )


@pytest.mark.parametrize("form", ["bits", "real"])
def test_a_row_that_is_left_alone_has_one_empty_bucket(form):
    codes = convert_codes(np.ones((1, 5), dtype=bool), form)
    words = comparable(codes, codes)
    ((counts, _),) = bucket_counts(*words, np.zeros(1), np.zeros(1), others=True)
    assert counts.tolist() == [[[0, 0]]]


def test_long_codes_hold_only_the_distances_that_occur():
    codes = np.zeros((3, 4096), dtype=bool)
    codes[2] = True
    ((counts, distances),) = bucket_counts(*comparable(codes, codes), np.arange(3), np.arange(3))
    assert distances.tolist() == [0, 4096]
    assert counts.shape == (3, 2, 2)


def test_equal_cosines_are_one_bucket_whatever_the_length_of_the_vectors():
    query = np.array([[1.5, 0.5, 1.0]])
    gallery = np.array([[3.0, 1.0, 2.0], [-1.0, 0.0, 1.0], [0.3, 0.1, 0.2], [9.0, 3.0, 6.0]])
    assert counted(query, gallery, [1], [1, 0, 0, 1]) == [[(0, [1, 2]), (1, [1, 0])]]
