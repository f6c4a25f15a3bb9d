"""What a search over hashers found: quality against the code length and against seconds."""

from itertools import cycle
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd

from .._inputs.messages import warn
from ._display import CURVES, GREY, hide_spines, subplots
from ._display_labels import label_beside, label_ends
from ._search_results import name_score, read_search

_MARKERS = "os^Dv*PX"
_TITLE: Any = {"fontsize": "medium"}
_SIZE = {"o": 6, "*": 9}


class HasherSearchDisplay:
    """Draw what a search over hashers found: score against bits and against seconds.

    Each point is the best candidate with a given hasher and code length. Its bar is the standard
    deviation of the score over the folds, and a line joins the points of a hasher. The upper panel
    shows the scores against the code length, the lower one against the mean time of a fit. A ring
    marks the candidate that the search chose. Candidates without a code length, such as the step
    ``"passthrough"``, are dotted lines in the upper panel.

    Create it with :meth:`from_search`. All parameters are stored as attributes.

    Parameters
    ----------
    hashers : list of str of length n_points
        Name of the line of each point.
    n_bits : ndarray of shape (n_points,), float
        Code lengths in bits; NaN for candidates without one.
    scores, spreads : ndarray of shape (n_points,), float
        Mean and standard deviation of the score over the folds.
    seconds : ndarray of shape (n_points,), float
        Mean time of a fit, in seconds.
    chosen : int, default=None
        Index of the point that the search chose. ``None`` means that no point is marked.
    finished : ndarray of shape (n_points,), bool, default=None
        Whether a point was scored with all resources. Successive halving drops other candidates
        earlier; their points are hollow. ``None`` means that all points were.
    candidates : ndarray of shape (n_points,), int, default=None
        Row of each point in `cv_results_`.
    score_name : str, default="score"
        Name of the score, for the axes.
    chance_level : float, default=None
        Score of random codes. It is drawn as a line, or written as text if it is far from all other
        scores. ``None`` leaves it out.
    name : str, default=None
        Title of the figure.

    Attributes
    ----------
    lines_ : list of matplotlib ErrorbarContainer
        The lines of the upper panel, then those of the lower panel.
    labels_ : list of matplotlib Text
        The names of the lines, in both panels.
    chosen_ : list of matplotlib Line2D
        The ring in each panel, if a point was chosen.
    axes_ : ndarray of shape (2,) of matplotlib Axes
        The two panels.
    figure_ : matplotlib Figure
        The figure.

    See Also
    --------
    RetrievalScorer : Scores the candidates by how well they find the other half of a pair.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn.pipeline import Pipeline
    >>> from skhash.hashing import CCAHasher, ITQHasher
    >>> from skhash.metrics import HasherSearchDisplay, RetrievalScorer
    >>> rng = np.random.default_rng(0)
    >>> topics = rng.normal(size=(90, 4))
    >>> X = np.hstack([topics @ rng.normal(size=(4, 12)), topics @ rng.normal(size=(4, 20))])
    >>> grid = {
    ...     "hash": [
    ...         CCAHasher(n_image_features=12, random_state=0),
    ...         ITQHasher(n_image_features=12, random_state=0),
    ...     ],
    ...     "hash__n_bits": [8, 16],
    ... }
    >>> pipeline = Pipeline([("hash", CCAHasher())])
    >>> search = GridSearchCV(pipeline, grid, scoring=RetrievalScorer(), cv=3).fit(X)
    >>> display = HasherSearchDisplay.from_search(search)
    >>> display.to_frame()[["hasher", "n_bits", "chosen"]]
      hasher  n_bits  chosen
    0    CCA     8.0   False
    1    CCA    16.0    True
    2    ITQ     8.0   False
    3    ITQ    16.0   False
    """

    def __init__(
        self,
        hashers,
        n_bits,
        scores,
        spreads,
        seconds,
        *,
        chosen=None,
        finished=None,
        candidates=None,
        score_name="score",
        chance_level=None,
        name=None,
    ):
        self.hashers = hashers
        self.n_bits = n_bits
        self.scores = scores
        self.spreads = spreads
        self.seconds = seconds
        self.chosen = chosen
        self.finished = finished
        self.candidates = candidates
        self.score_name = score_name
        self.chance_level = chance_level
        self.name = name

    @classmethod
    def from_search(
        cls,
        search,
        *,
        hasher=None,
        metric=None,
        names=None,
        score_name=None,
        chance_level=None,
        name=None,
        ax=None,
    ):
        """Read the results of a fitted search and draw them.

        Among candidates with the same hasher and code length, the one that the search chose is
        drawn, or else the one with the highest mean score. With successive halving, only candidates
        with the same resources are compared. Candidates whose fits failed are left out.

        Parameters
        ----------
        search : estimator
            Fitted ``GridSearchCV``, ``RandomizedSearchCV``, ``HalvingGridSearchCV`` or
            ``HalvingRandomSearchCV``, over a pipeline or a hasher.
        hasher : str, default=None
            Name of the parameter that is a hasher, such as ``"hash"`` for a step of the pipeline;
            ``""`` means the estimator itself. ``None`` means the only one that has a parameter
            ``n_bits``.
        metric : str, default=None
            Name of the scorer to show, if there are several. ``None`` means that of ``refit``.
        names : callable, default=None
            Function of a hasher, with the parameters of a candidate set, that returns the name of
            its line (str). ``None`` means the name of the class without ``Hasher``, followed by the
            parameters in which hashers of the same class differ.
        score_name : str, default=None
            Name of the score, for the axes. ``None`` means that of the scorer.
        chance_level : float, default=None
            Score of random codes. It is drawn as a line, or written as text if it is far from all
            other scores. ``None`` leaves it out.
        name : str, default=None
            Title, if a new figure is created.
        ax : array-like of 2 matplotlib Axes, default=None
            Axes to draw on. ``None`` creates a new figure.

        Returns
        -------
        HasherSearchDisplay
            The display, after drawing.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        NotFittedError
            If the search is not fitted.
        TypeError
            If `names` cannot be called.
        ValueError
            If no candidate has a finite score, it is not clear which parameter is the hasher or
            which metric to show, or the number of axes is not 2.
        """
        *points, candidates, finished, failed = read_search(search, hasher, metric, names)
        if failed:
            warn(
                f"no finite score for {', '.join(failed)}: not drawn. Fit the search with "
                "error_score='raise' to find out why.",
            )
        chosen = np.flatnonzero(candidates == getattr(search, "best_index_", -1))
        display = cls(
            *points,
            chosen=int(chosen[0]) if len(chosen) else None,
            finished=finished,
            candidates=candidates,
            score_name=name_score(search, metric) if score_name is None else score_name,
            chance_level=chance_level,
            name=name,
        )
        return display.plot(ax)

    def to_frame(self):
        """Return the points as a table.

        Returns
        -------
        DataFrame
            A row for each point, with the columns ``hasher``, ``n_bits``, ``score``, ``std``,
            ``seconds`` and ``chosen``.
        """
        return pd.DataFrame(
            {
                "hasher": self.hashers,
                "n_bits": self.n_bits,
                "score": self.scores,
                "std": self.spreads,
                "seconds": self.seconds,
                "chosen": [point == self.chosen for point in range(len(self.hashers))],
            }
        )

    def plot(self, ax=None, *, name=None):
        """Draw the two panels.

        Parameters
        ----------
        ax : array-like of 2 matplotlib Axes, default=None
            Axes to draw on. ``None`` creates a new figure.
        name : str, default=None
            Title, if a new figure is created. ``None`` means the `name` of the constructor.

        Returns
        -------
        HasherSearchDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If the number of axes is not 2.
        """
        self.axes_ = subplots("HasherSearchDisplay", (2, 1), ax, figsize=(4.6, 7)).ravel()
        self.figure_ = self.axes_[0].figure
        name = self.name if name is None else name
        if ax is None and name is not None:
            self.figure_.suptitle(name)
        self.lines_, self.labels_, self.chosen_ = [], [], []
        lines = self._lines()
        panels = [(self.axes_[0], self._places(lines)), (self.axes_[1], self._seconds())]
        for axes, x in panels:
            self._plot_panel(axes, x, lines)
        self._plot_lengths(self.axes_[0])
        self._plot_seconds(self.axes_[1])
        self.figure_.draw_without_rendering()  # the labels need the size of the axes
        self._label(panels, lines)
        return self

    def _lines(self):
        """Return the points, the colour and the marker of each line by its name."""
        order = list(dict.fromkeys(self.hashers))
        looks = zip(cycle(CURVES), cycle(_MARKERS))
        return {
            hasher: (np.flatnonzero(np.asarray(self.hashers) == hasher), *look)
            for hasher, look in zip(order, looks, strict=False)
        }

    def _places(self, lines):
        """Return the lengths, those of different lines moved apart so that no bar hides another."""
        places = np.array(self.n_bits, dtype=np.float64)
        shifts = np.linspace(-0.06, 0.06, len(lines)) if len(lines) > 1 else [0.0]
        for (points, *_), shift in zip(lines.values(), shifts, strict=True):
            places[points] *= 2**shift
        return places

    def _seconds(self):
        return np.maximum(self.seconds, 1e-4)  # a clock may not tell less

    def _plot_panel(self, axes, x, lines):
        finished = np.ones(len(x), bool) if self.finished is None else np.asarray(self.finished)
        for points, colour, marker in lines.values():
            look = {"color": colour, "markersize": _SIZE.get(marker, 6), "capsize": 2}
            drawn = axes.errorbar(
                x[points],
                np.asarray(self.scores)[points],
                np.asarray(self.spreads)[points],
                marker=marker,
                linewidth=1.5,
                elinewidth=0.9,
                **look,
            )
            self.lines_.append(drawn)
            dropped = points[~finished[points]]
            axes.plot(
                x[dropped],
                np.asarray(self.scores)[dropped],
                marker=marker,
                markersize=0.55 * look["markersize"],
                color="white",
                linestyle="none",
                zorder=4,
            )
        if self.chosen is not None and np.isfinite(x[self.chosen]):
            ring = {"markersize": 15, "fillstyle": "none", "color": "0.1", "markeredgewidth": 1.4}
            place = [x[self.chosen]], [self.scores[self.chosen]]
            self.chosen_ += axes.plot(*place, "o", zorder=5, **ring)
        if self.chance_level is not None:
            self._plot_chance(axes)
        axes.set_ylabel(f"{self.score_name} on held-out folds")
        axes.grid(axis="y", color="0.92")
        axes.set_axisbelow(True)
        hide_spines(axes)

    def _plot_chance(self, axes):
        low, high = axes.get_ylim()
        near = abs(self.chance_level - (low + high) / 2) < high - low
        if near:  # else a line would leave the scores no height
            axes.axhline(self.chance_level, color=GREY, linestyle=":", linewidth=1, zorder=0)
        axes.text(
            0.99,
            self.chance_level if near else 0.01,
            "random codes" if near else f"random codes: {self.chance_level:.3f}",
            transform=axes.get_yaxis_transform() if near else axes.transAxes,
            horizontalalignment="right",
            verticalalignment="bottom",
            color="0.35",
            fontsize="small",
        )

    def _plot_lengths(self, axes):
        lengths = np.unique(np.asarray(self.n_bits)[np.isfinite(self.n_bits)])
        axes.set_xscale("log", base=2)
        if len(lengths):
            axes.set_xlim(lengths[0] / 1.25, lengths[-1] * 1.25)
        if len(lengths) <= 8:
            axes.set_xticks(lengths, [f"{length:g}" for length in lengths])
        axes.minorticks_off()
        axes.set_xlabel("bits")
        if self.chosen is not None:
            hasher, n_bits = self.hashers[self.chosen], self.n_bits[self.chosen]
            bits = "" if np.isnan(n_bits) else f", {n_bits:g} bits"
            axes.set_title(fill(f"Chosen: {hasher}{bits}", 46), loc="left", **_TITLE)

    def _plot_seconds(self, axes):
        low, high = np.log10([self._seconds().min(), self._seconds().max()])
        margin = max(0.2 * (high - low), 0.5 - (high - low) / 2)  # a factor of ten, at least
        low, high = low - margin, high + margin
        steps = (1, 2, 5) if high - low < 2.5 else (1,)
        ticks = [step * 10.0**n for n in range(int(low) - 1, int(high) + 2) for step in steps]
        ticks = [tick for tick in ticks if low <= np.log10(tick) <= high]
        axes.set_xscale("log")
        axes.set_xlim(10**low, 10**high)
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.set_xlabel("seconds to fit, mean over the folds")
        axes.margins(y=0.15)
        if self.finished is not None and not np.all(self.finished):
            axes.set_title("Hollow: dropped early, with fewer resources", loc="left", **_TITLE)

    def _label(self, panels, lines):
        colours = [_darken(colour) for _, colour, _ in lines.values()]
        scores, spreads = np.asarray(self.scores), np.asarray(self.spreads)
        (upper, places), (lower, seconds) = panels
        ends = []
        for points, colour, _ in lines.values():
            known = points[np.isfinite(places[points])]
            if len(known):
                ends.append((places[known[-1]], scores[known[-1]]))
            else:
                best = scores[points].max()
                upper.axhline(best, color=colour, linestyle=":", linewidth=1.4)
                ends.append((upper.get_xlim()[1], best))
        self.labels_ += label_ends(upper, ends, list(lines), colours)
        self.figure_.draw_without_rendering()  # the labels have made the axes narrower
        paths = [np.column_stack([seconds, scores])[points] for points, *_ in lines.values()]
        rings = [ring.get_xydata()[0] for ring in self.chosen_ if ring.axes is lower]
        bars = [spreads[points] for points, *_ in lines.values()]
        self.labels_ += label_beside(lower, paths, bars, list(lines), colours, rings)


def _darken(colour):
    """Make a colour of the palette dark enough for text on white."""
    return "#" + "".join(f"{int(int(colour[i : i + 2], 16) * 0.72):02x}" for i in (1, 3, 5))
