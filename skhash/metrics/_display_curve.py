"""Precision against recall or against the number of results."""

from typing import Any

import numpy as np

from .._inputs.checks import check_choice, check_flag
from .._ranking.scores import check_cut_offs
from ..codes import read_codes
from ._curves import precision_recall_by_radius, precision_recall_by_rank
from ._display import CURVES, GREY, encode_sides, hide_spines, subplots
from ._hits import precision_at_k

KINDS = ("rank", "radius", "top-k")


class RetrievalCurveDisplay:
    """Draw the precision of a ranking against recall or the number of results.

    There are three kinds of curves. ``"rank"``: precision against recall after each rank.
    ``"radius"``: precision against recall within each Hamming radius, with a dot for each radius.
    ``"top-k"``: precision of the first k items against k. A thin line shows the share of relevant
    pairs, which is the precision of random codes.

    Create it with :meth:`from_codes` or :meth:`from_estimator`. All parameters are stored as
    attributes. The first three parameters are the results of :func:`precision_recall_by_rank`.

    Parameters
    ----------
    precision : ndarray of shape (n_points,), float
        Mean precision at each point of the curve.
    recall : ndarray of shape (n_points,), float, or None
        Mean recall at each point. Not needed if `kind` is ``"top-k"``.
    steps : ndarray of shape (n_points,), int
        Ranks, radii in bits or numbers of results k.
    kind : {"rank", "radius", "top-k"}, default="rank"
        What the steps are.
    chance_level : float, default=None
        Share of relevant pairs. ``None`` means that no line is drawn for it.
    name : str, default=None
        Name of the curve in the legend.

    Attributes
    ----------
    line_ : matplotlib Line2D
        The curve.
    chance_level_ : matplotlib Line2D or None
        The line of the chance level, or None if it is not drawn.
    ax_ : matplotlib Axes
        The axes.
    figure_ : matplotlib Figure
        The figure.

    Examples
    --------
    >>> import numpy as np
    >>> from skhash.metrics import RetrievalCurveDisplay
    >>> rng = np.random.default_rng(0)
    >>> y = rng.integers(4, size=60)
    >>> image = (rng.random((4, 16)) < 0.5)[y]
    >>> text = image ^ (rng.random((60, 16)) < 0.2)
    >>> display = RetrievalCurveDisplay.from_codes(text, image, y, y, kind="top-k", k=[1, 10, 30])
    >>> display.precision.round(2)
    array([0.93, 0.93, 0.51])
    >>> round(display.chance_level, 2)
    0.26
    """

    def __init__(self, precision, recall, steps, *, kind="rank", chance_level=None, name=None):
        self.precision = precision
        self.recall = recall
        self.steps = steps
        self.kind = kind
        self.chance_level = chance_level
        self.name = name

    def plot(self, ax=None, *, name=None, plot_chance_level=True, **kwargs):
        """Draw the curve.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. ``None`` creates a new figure.
        name : str, default=None
            Name in the legend. ``None`` means the `name` of the constructor.
        plot_chance_level : bool, default=True
            Whether to draw the chance level. If curves on the same axes have the same chance level,
            it is drawn once.
        **kwargs : dict
            Keyword arguments of ``Axes.plot`` for the curve.

        Returns
        -------
        RetrievalCurveDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If the kind is unknown, or more than one Axes is given.
        """
        check_choice(self.kind, "kind", KINDS)
        check_flag(plot_chance_level, "plot_chance_level")
        self.ax_ = subplots("RetrievalCurveDisplay", (1, 1), ax, figsize=(5.5, 4))[0, 0]
        self.figure_ = self.ax_.figure
        if ax is None:
            self.ax_.set_prop_cycle(color=CURVES)
        name = self.name if name is None else name
        x = self.steps if self.kind == "top-k" else self.recall
        look = {"label": name, "marker": "." if self.kind == "radius" else None} | kwargs
        [self.line_] = self.ax_.plot(x, self.precision, **look)
        self.chance_level_ = None
        if plot_chance_level and self.chance_level is not None:
            label = f"chance, {self.chance_level:.3f}"
            look = {"color": GREY, "linewidth": 0.8, "label": label, "zorder": 1}
            self.chance_level_ = self.ax_.axhline(self.chance_level, **look)
        if self.kind == "top-k":
            self.ax_.set(xlabel="k", ylabel="precision at k")
        else:
            self.ax_.set(xlabel="recall", ylabel="precision", xlim=(-0.01, 1.01))
        self.ax_.set_ylim(-0.01, 1.01)
        if self.ax_.get_legend_handles_labels()[1]:
            self.ax_.legend(frameon=False)
        hide_spines(self.ax_)
        return self

    @classmethod
    def from_codes(
        cls,
        query_codes,
        gallery_codes,
        y_query=None,
        y_gallery=None,
        *,
        kind="rank",
        k=None,
        ties="expected",
        n_jobs=None,
        name=None,
        ax=None,
        plot_chance_level=True,
        **kwargs,
    ):
        """Rank a gallery for each query and draw the curve.

        Parameters
        ----------
        query_codes : array-like of shape (n_queries, n_columns), bool, uint8, int8 or float
            Codes of the queries, in any format of :mod:`skhash.codes`. Real codes are ranked by
            cosine similarity.
        gallery_codes : array-like of shape (n_gallery, n_columns)
            Codes of the items, in the same format.
        y_query : array-like of shape (n_queries,) or (n_queries, n_labels), default=None
            Ids, classes or label indicators, as in :func:`skhash.metrics.average_precision`;
            ``None`` means that only row i of the gallery is relevant to query i.
        y_gallery : array-like of shape (n_gallery,) or (n_gallery, n_labels), default=None
            The same for the items.
        kind : {"rank", "radius", "top-k"}, default="rank"
            Kind of the curve, as described in the class.
        k : sequence of int, default=None
            For ``kind="top-k"``: numbers of results. ``None`` means all numbers from 1 to the size
            of the gallery.
        ties : {"expected", "optimistic", "pessimistic", "index"}, default="expected"
            As in :func:`skhash.metrics.average_precision`. Not used with ``kind="radius"``.
        n_jobs : int, default=None
            Number of threads for ranking binary codes. ``None`` means 1, and ``-1`` means all
            cores.
        name : str, default=None
            Name of the curve in the legend.
        ax : matplotlib Axes, default=None
            Axes to draw on. ``None`` creates a new figure.
        plot_chance_level : bool, default=True
            Whether to draw the chance level.
        **kwargs : dict
            Keyword arguments of ``Axes.plot`` for the curve.

        Returns
        -------
        RetrievalCurveDisplay
            The display, after drawing.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If the formats differ, or the codes are real and `kind` is ``"radius"``.
        ValueError
            If `kind` is unknown, `k` is given for another kind, or as in
            :func:`precision_recall_by_rank`.
        """
        check_choice(kind, "kind", KINDS)
        check_flag(plot_chance_level, "plot_chance_level")
        if k is not None and kind != "top-k":
            raise ValueError(f"k belongs to kind='top-k', got kind={kind!r}: leave k out.")
        sides = query_codes, gallery_codes, y_query, y_gallery
        # Where everything is found, precision is the share of relevant pairs.
        if kind == "rank":
            curve = precision_recall_by_rank(*sides, ties=ties, n_jobs=n_jobs)
            chance = curve[0][-1]
        elif kind == "radius":
            curve = precision_recall_by_radius(*sides, n_jobs=n_jobs)
            chance = curve[0][-1]
        else:
            n_gallery = len(read_codes(gallery_codes))
            steps = np.arange(1, n_gallery + 1) if k is None else np.atleast_1d(check_cut_offs(k))
            cut_offs: Any = [*steps, n_gallery]
            precision = precision_at_k(*sides, k=cut_offs, ties=ties, n_jobs=n_jobs)
            *precision, chance = np.asarray(precision)
            curve = np.array(precision), None, steps
        display = cls(*curve, kind=kind, chance_level=float(chance), name=name)
        return display.plot(ax, plot_chance_level=plot_chance_level, **kwargs)

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y=None,
        *,
        direction="image_to_text",
        gallery=None,
        gallery_y=None,
        name=None,
        **kwargs,
    ):
        """Encode pairs, rank one modality for the other and draw the curve.

        Parameters
        ----------
        estimator : estimator
            A fitted estimator whose ``transform`` returns the codes of both modalities, image codes
            first.
        X : table or array of shape (n_samples, n_columns)
            Pairs: rows with both modalities.
        y : array-like of shape (n_samples,) or (n_samples, n_labels), default=None
            Ids, classes or label indicators; ``None`` means that only the two halves of a row are
            relevant to each other.
        direction : {"image_to_text", "text_to_image"}, default="image_to_text"
            Which modality the queries have, and which the gallery.
        gallery : table or array, default=None
            Pairs to search. ``None`` means `X` itself.
        gallery_y : array-like of shape (n_gallery,) or (n_gallery, n_labels), default=None
            Labels of the gallery.
        name : str, default=None
            Name of the curve in the legend. ``None`` means the direction.
        **kwargs : dict
            Keyword arguments of :meth:`from_codes`.

        Returns
        -------
        RetrievalCurveDisplay
            The display, after drawing.

        Raises
        ------
        ValueError
            If `direction` is unknown, or as in :meth:`from_codes`.
        """
        sides = encode_sides(estimator, X, y, direction, gallery, gallery_y)
        name = direction.replace("_to_", " → ") if name is None else name
        return cls.from_codes(*sides, name=name, **kwargs)
