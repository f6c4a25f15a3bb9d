"""Labels beside lines, placed so that they do not overlap."""

from itertools import product
from textwrap import fill

import numpy as np
from scipy.optimize import isotonic_regression

_WIDTH = 16  # characters after which a label is wrapped
_GAP = 1.15  # line spacing between labels
_CROSSED = 3.0  # what a point of a line under a label costs, in shares of the label's area


def label_ends(ax, ends, labels, colours, **options):
    """Write a label right of the axes for each line, at the height of the line's end.

    Parameters
    ----------
    ax : matplotlib Axes
        Its limits and size are final.
    ends : list of tuple of float
        Where each line ends, in data coordinates.
    labels, colours : list of str
        The labels and their colours.
    **options : dict
        What ``Axes.text`` takes.

    Returns
    -------
    list of matplotlib Text
        The labels. A thin line leads from each to the end that it names.
    """
    texts = [
        ax.text(
            1.05,
            0,
            fill(label, _WIDTH),
            transform=ax.transAxes,
            verticalalignment="center",
            color=colour,
            **options,
        )
        for label, colour in zip(labels, colours, strict=True)
    ]
    frame = ax.get_window_extent()
    wanted = (ax.transData.transform(ends)[:, 1] - frame.y0) / frame.height
    heights = [text.get_window_extent().height * _GAP / frame.height for text in texts]
    leader = {"arrowstyle": "-", "linewidth": 0.7, "shrinkA": 0, "shrinkB": 5}
    places = spread(wanted, np.array(heights))
    for text, end, place, colour in zip(texts, ends, places, colours, strict=True):
        text.set_y(place)
        ax.annotate(
            "",
            end,
            (1.04, place),
            textcoords="axes fraction",
            annotation_clip=False,
            arrowprops=leader | {"color": colour},
        )
    return texts


def spread(wanted, heights):
    """Move labels of given heights as little as it takes that they do not overlap.

    Parameters
    ----------
    wanted : ndarray of shape (n_labels,), float
        Where the middle of each label should be, from 0 to 1.
    heights : ndarray of shape (n_labels,), float
        Their heights.

    Returns
    -------
    ndarray of shape (n_labels,), float
        The least squares solution, between 0 and 1 where all labels fit.
    """
    order = np.argsort(wanted, kind="stable")
    sorted_heights = heights[order]
    # Less what must lie below each label, the places need only be in order.
    below = np.cumsum(sorted_heights) - sorted_heights / 2
    free = isotonic_regression(wanted[order] - below).x
    free = np.clip(free, 0, max(0, 1 - heights.sum()))
    places = np.empty_like(wanted, dtype=np.float64)
    places[order] = free + below
    return places


def label_beside(ax, lines, spreads, labels, colours, rings=(), **options):
    """Write a label beside one of the points of each line, where it covers least.

    Texts that are there are covered as little as other labels.

    Parameters
    ----------
    ax : matplotlib Axes
        Its limits and size are final.
    lines : list of ndarray of shape (n_points, 2)
        The points of each line, in data coordinates.
    spreads : list of ndarray of shape (n_points,)
        Half the length of the vertical bar through each point.
    labels, colours : list of str
        The labels and their colours.
    rings : sequence of tuple of float
        Points with a ring around them, in data coordinates.
    **options : dict
        What ``Axes.annotate`` takes.

    Returns
    -------
    list of matplotlib Annotation
        The labels.
    """
    paths = [ax.transData.transform(line) for line in lines]
    bars = []
    for line, bar in zip(lines, spreads, strict=True):
        up = np.column_stack([np.zeros(len(line)), bar])
        ends = [ax.transData.transform(end) for end in (line - up, line + up)]
        bars += list(np.swapaxes(ends, 0, 1))
    drawn = np.vstack([_along(path) for path in [*paths, *bars]])
    frame, texts = ax.get_window_extent(), []
    per_point = ax.figure.dpi / 72
    extents = [text.get_window_extent() for text in ax.texts]
    taken = [np.array([extent.min, extent.max]) for extent in extents]
    for ring in rings:
        middle = ax.transData.transform(ring)
        taken.append(np.array([middle - _RING * per_point, middle + _RING * per_point]))
    # The longest labels first: they have the fewest places.
    for index in sorted(range(len(labels)), key=lambda i: -len(labels[i])):
        text = ax.annotate(
            fill(labels[index], _WIDTH),
            lines[index][-1],
            (0, 0),
            textcoords="offset points",
            color=colours[index],
            **options,
        )
        extent = text.get_window_extent()
        size = np.array([extent.width, extent.height])
        places = []
        for point, (dx, dy), distance in product(
            range(len(paths[index]))[::-1], _SIDES, _DISTANCES
        ):
            middle = paths[index][point] + np.array([dx, dy]) * (distance * per_point + size / 2)
            box = np.array([middle - size / 2, middle + size / 2])
            places.append((_cost(box, frame, taken, drawn) + distance, point, middle, box))
        _, point, middle, box = min(places, key=lambda place: place[0])
        text.xy = tuple(lines[index][point])
        text.set(ha="center", va="center")
        text.xyann = tuple((middle - paths[index][point]) / per_point)
        taken.append(box)
        texts.append((index, text))
    return [text for _, text in sorted(texts, key=lambda pair: pair[0])]


_RING = 8  # radius in points
_DISTANCES = (9, 16, 26)  # in points: the nearer one clears the ring of a chosen point
# Right, left, above and below, then towards the corners.
_SIDES = [(1, 0), (-1, 0), (0, 1), (0, -1), *((x, y) for y in (1, -1) for x in (0.5, -0.5, 1, -1))]


def _along(path, n_steps=24):
    """Return points along a line of pixels."""
    if len(path) == 1:
        return path
    steps = np.linspace(0, len(path) - 1, n_steps * (len(path) - 1) + 1)
    places = np.arange(len(path))
    return np.column_stack([np.interp(steps, places, path[:, axis]) for axis in (0, 1)])


def _cost(box, frame, taken, drawn):
    """Return how badly a label lies in a box: outside, over others, over lines."""
    low, high = box
    area = np.prod(high - low)
    inside = _overlap(box, np.array([frame.min, frame.max]))
    covered = sum(_overlap(box, other) for other in taken)
    crossed = ((drawn > low - 2) & (drawn < high + 2)).all(axis=1).sum()
    return 250 * (1 - inside / area) + 200 * covered / area + _CROSSED * crossed


def _overlap(one, other):
    sides = np.minimum(one[1], other[1]) - np.maximum(one[0], other[0])
    return np.prod(np.maximum(sides, 0))
