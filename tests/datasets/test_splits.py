import numpy as np
import pytest

from skhash.datasets._benchmarks import MIRFLICKR_COUNTS, NUSWIDE_COUNTS
from skhash.datasets._splits import split_by_class


@pytest.mark.parametrize(
    ("counts", "n", "n_classes", "n_query"),
    [(MIRFLICKR_COUNTS, 20_015, 24, 2000), (NUSWIDE_COUNTS, 20_000, 10, 2000)],
)
def test_split_has_the_published_sizes(counts, n, n_classes, n_query):
    target = (np.random.default_rng(1).random((n, n_classes)) < 0.1).astype(np.uint8)
    rows = split_by_class(target, *counts, 0)
    assert {subset: len(numbers) for subset, numbers in rows.items()} == {
        "train": 5000, "query": n_query, "database": n - n_query, "all": n,
    }  # fmt: skip
    assert set(rows["train"]) < set(rows["database"])
    assert set(rows["query"]).isdisjoint(rows["database"])


def test_each_class_gives_its_queries_and_training_pairs():
    target = np.kron(np.eye(3, dtype=np.uint8), np.ones((100, 1), np.uint8))  # a class a row
    rows = split_by_class(target, (16, 40), (8, 20), 0)
    assert target[rows["query"]].sum(axis=0).tolist() == [16, 8, 8]
    assert target[rows["train"]].sum(axis=0).tolist() == [40, 20, 20]


def test_training_pairs_of_a_short_class_are_filled_up_from_the_database():
    target = np.repeat(np.eye(2, dtype=np.uint8), [90, 10], axis=0)
    rows = split_by_class(target, (16, 40), (8, 20), 0)
    assert target[rows["query"]].sum(axis=0).tolist() == [16, 8]
    assert target[rows["train"]].sum(axis=0).tolist() == [58, 2]


def test_no_pair_is_drawn_for_two_classes():
    target = np.ones((60, 3), dtype=np.uint8)
    rows = split_by_class(target, (8, 20), (4, 10), 0)
    assert (len(rows["query"]), len(rows["train"])) == (16, 40)
    assert len({*rows["query"], *rows["train"]}) == 56
