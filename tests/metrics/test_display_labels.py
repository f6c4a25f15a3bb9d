from itertools import pairwise

import numpy as np
import pytest

from skhash.metrics._display_labels import label_beside, spread


def assert_apart(places, heights):
    order = np.argsort(places)
    gaps = np.diff(places[order])
    needed = (heights[order][1:] + heights[order][:-1]) / 2
    assert (gaps >= needed - 1e-12).all()


def test_labels_that_are_apart_stay_where_they_are():
    wanted = np.array([0.8, 0.2, 0.5])
    np.testing.assert_allclose(spread(wanted, np.full(3, 0.1)), wanted)


def test_labels_at_one_place_are_stacked_around_it_in_order():
    np.testing.assert_allclose(spread(np.full(3, 0.5), np.full(3, 0.1)), [0.4, 0.5, 0.6])


def test_labels_at_an_end_stay_inside():
    np.testing.assert_allclose(spread(np.array([1.0, 0.0]), np.array([0.1, 0.2])), [0.95, 0.1])


@pytest.mark.parametrize("seed", range(20))
def test_labels_never_overlap_and_keep_their_order(seed):
    rng = np.random.default_rng(seed)
    wanted, heights = rng.random(9), rng.uniform(0.02, 0.11, size=9)
    places = spread(wanted, heights)
    assert_apart(places, heights)
    np.testing.assert_array_equal(np.argsort(places), np.argsort(wanted))
    assert (places - heights / 2 >= -1e-12).all()
    assert (places + heights / 2 <= 1 + 1e-12).all()


def test_labels_that_cannot_all_fit_still_do_not_overlap():
    heights = np.full(12, 0.2)
    assert_apart(spread(np.linspace(0, 1, 12), heights), heights)


def test_a_label_beside_a_line_does_not_cover_it(pyplot):
    _, ax = pyplot.subplots()
    line = np.array([[0.2, 0.2], [0.5, 0.8], [0.8, 0.2]])
    ax.plot(*line.T)
    ax.set(xlim=(0, 1), ylim=(0, 1))
    [label] = label_beside(ax, [line], [np.full(3, 0.05)], ["a name"], ["#000000"])
    box = label.get_window_extent().transformed(ax.transData.inverted())
    steps = np.linspace(0, 1, 200)[:, None]
    for start, end in pairwise(line):
        points = start + steps * (end - start)
        assert not [point for point in points if box.contains(*point)]
    assert ax.get_window_extent().containsx(label.get_window_extent().x1)
