"""What the displays share: a palette, axes to draw on, and encoding by an estimator."""

import numpy as np

from .._inputs.checks import check_choice
from .._libraries import import_optional
from .._ranking.scorer import DIRECTIONS, encode_halves

# Okabe and Ito's palette, which colour-blind readers can distinguish.
BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "0.55"
CURVES = (BLUE, ORANGE, "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")


def subplots(owner, shape, ax, **options):
    """Return axes of a shape, those given or those of a new figure.

    Parameters
    ----------
    owner : str
        Name of the display, for messages.
    shape : tuple of int
        Rows and columns.
    ax : matplotlib Axes, array-like of Axes or None
        Axes to draw on. ``None`` creates a new figure.
    **options : dict
        What ``matplotlib.pyplot.subplots`` takes, for a new figure.

    Returns
    -------
    ndarray of shape `shape`, object
        The axes.
    """
    pyplot = import_optional("matplotlib.pyplot", extra="plot", purpose=f"{owner}.plot")
    if ax is None:
        _, ax = pyplot.subplots(*shape, layout="constrained", squeeze=False, **options)
    axes = np.array(ax, dtype=object)
    if axes.size != np.prod(shape):
        n_rows, n_columns = shape
        raise ValueError(
            f"{owner} draws on {n_rows * n_columns} axes, got {axes.size}: give those of "
            f"plt.subplots({n_rows}, {n_columns}), or ax=None for a new figure."
        )
    return axes.reshape(shape)


def hide_spines(ax):
    """Leave only the axes' lines that carry ticks."""
    ax.spines[["top", "right"]].set_visible(False)


def encode_sides(estimator, X, y, direction, gallery, gallery_y):
    """Encode the queries and the gallery of a display.

    Parameters
    ----------
    estimator : estimator
        Fitted; its ``transform`` gives the codes of both modalities.
    X, gallery : table or array
        Rows that hold both modalities; a `gallery` of None means `X` itself.
    y, gallery_y : array-like or None
        Their labels.
    direction : {"image_to_text", "text_to_image"}
        Which modality the queries have, and which the gallery.

    Returns
    -------
    tuple
        Query codes, gallery codes, query labels and gallery labels.
    """
    check_choice(direction, "direction", ("image_to_text", "text_to_image"))
    [(source, target)] = DIRECTIONS[direction]
    if gallery is None and gallery_y is not None:
        raise ValueError("gallery_y is given without a gallery: give gallery too, or y alone.")
    queries = encode_halves(estimator, X)
    if gallery is None:
        return queries[source], queries[target], y, y
    return queries[source], encode_halves(estimator, gallery)[target], y, gallery_y
