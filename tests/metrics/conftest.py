from itertools import permutations

import numpy as np
import pytest

REDUCE = {"expected": np.mean, "optimistic": np.max, "pessimistic": np.min}


def thermometer(distances, n_bits=6):
    """Codes at the given distances from a code of zeros."""
    return np.arange(n_bits) < np.asarray(distances)[:, None]


def orders(distances):
    """All orders of the items that sort their distances, as an array of rows."""
    distances = np.asarray(distances)
    ordered = np.sort(distances)
    rows = [p for p in permutations(range(len(distances))) if (distances[list(p)] == ordered).all()]
    return np.array(rows)


class BruteForce:
    """Score all orders of ties, one by one, by a function of the grades in their order."""

    zero = np.zeros((1, 6), dtype=bool)

    def __call__(self, measure, distances, grades, ties):
        rankings = np.asarray(grades)[orders(distances)]
        return REDUCE[ties]([measure(list(ranking)) for ranking in rankings])

    codes = staticmethod(thermometer)
    orders = staticmethod(orders)


@pytest.fixture(scope="session")
def brute_force():
    return BruteForce()
