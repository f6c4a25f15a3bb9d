"""Diagnostics of a set of codes: balance, correlation, distances."""

import numpy as np
from sklearn.utils import gen_batches

from .._hamming import search as _search
from .._hamming.comparable import check_bits, compare_read
from .._ranking.relevance import encode_labels
from ..codes import convert_codes, read_codes
from ._display import BLUE, GREY, ORANGE, encode_sides, hide_spines, subplots

_BATCH = 1 << 10  # queries whose histograms are held at a time
_ROWS = 1 << 16  # codes counted at a time: sums of as many ones are exact in single precision


class CodeDisplay:
    r"""Show whether the bits of codes vary, differ from each other, and separate related pairs.

    *Bit balance*: the share of ones of each bit. A bit with a share of 0 or 1 is constant and
    carries no information; a share of one half is best. The title counts the bits that are constant
    for the queries or for the gallery. *Bit correlation*: the Pearson correlation of any two bits
    of the gallery. Two bits with a correlation of 1 or -1 are redundant. The title counts the bits
    that repeat an earlier one, or, if there are none, gives the mean absolute correlation. Constant
    bits are grey. *Distances*: histograms of the distances between queries and related items, and
    between queries and unrelated items, with their means. The area under the ROC curve is the
    probability that a related pair is nearer than an unrelated one; equal distances count one half:

    .. math:: AUC = P(d_{related} < d_{unrelated}) + \tfrac{1}{2} P(d_{related} = d_{unrelated})

    Create it with :meth:`from_codes` or :meth:`from_estimator`. All parameters are stored as
    attributes.

    Parameters
    ----------
    query_balance, gallery_balance : ndarray of shape (n_bits,), float
        Share of ones of each bit, from 0 to 1.
    correlation : ndarray of shape (n_bits, n_bits), float
        Correlation of the bits, from -1 to 1; NaN for constant bits.
    related, unrelated : ndarray of shape (n_bits + 1,), int
        Number of pairs at each Hamming distance.
    name : str, default=None
        Title of the figure.

    Attributes
    ----------
    balance_ : list of matplotlib Line2D
        The lines of the queries and of the gallery.
    im_ : matplotlib AxesImage
        The image of the correlations.
    histograms_ : list of matplotlib StepPatch
        The histograms of related and of unrelated pairs.
    axes_ : ndarray of shape (3,) of matplotlib Axes
        The three panels.
    figure_ : matplotlib Figure
        The figure.

    Examples
    --------
    >>> import numpy as np
    >>> from skhash.metrics import CodeDisplay
    >>> codes = np.random.default_rng(0).random((50, 16)) < 0.5
    >>> display = CodeDisplay.from_codes(codes, codes)
    >>> display.auc
    1.0
    """

    def __init__(
        self, query_balance, gallery_balance, correlation, related, unrelated, *, name=None
    ):
        self.query_balance = query_balance
        self.gallery_balance = gallery_balance
        self.correlation = correlation
        self.related = related
        self.unrelated = unrelated
        self.name = name

    @property
    def auc(self):
        """Probability that a related pair is nearer than an unrelated one (float).

        NaN where all pairs are of one kind.
        """
        related, unrelated = (_shares(c) for c in (self.related, self.unrelated))
        farther = 1 - np.cumsum(unrelated) + unrelated / 2
        return float(related @ farther)

    def plot(self, ax=None, *, name=None):
        """Draw the three panels.

        Parameters
        ----------
        ax : array-like of 3 matplotlib Axes, default=None
            Axes to draw on. ``None`` creates a new figure.
        name : str, default=None
            Title, if a new figure is created. ``None`` means the `name` of the constructor.

        Returns
        -------
        CodeDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If the number of axes is not 3.
        """
        options = {"figsize": (11, 3.4), "width_ratios": (1.15, 1, 1.15)}
        self.axes_ = subplots("CodeDisplay", (1, 3), ax, **options).ravel()
        self.figure_ = self.axes_[0].figure
        name = self.name if name is None else name
        if ax is None and name is not None:
            self.figure_.suptitle(name)
        self._plot_balance(self.axes_[0])
        self._plot_correlation(self.axes_[1])
        self._plot_distances(self.axes_[2])
        return self

    def _plot_balance(self, ax):
        constant = np.isin(self.query_balance, (0, 1)) | np.isin(self.gallery_balance, (0, 1))
        size = 4 if len(constant) <= 64 else 2
        ax.axhline(0.5, color=GREY, linewidth=0.8)
        # Rings around dots, so that neither hides the other.
        rings = {"markersize": 1.6 * size, "fillstyle": "none", "label": "queries"}
        dots = {"markersize": size, "label": "gallery"}
        self.balance_ = [
            *ax.plot(self.query_balance, "o", color=ORANGE, **rings),
            *ax.plot(self.gallery_balance, "o", color=BLUE, **dots),
        ]
        ax.set(xlabel="bit", ylabel="share of ones", ylim=(-0.03, 1.2))
        ax.set_yticks((0, 0.25, 0.5, 0.75, 1))
        ax.set_title("Bit balance" + (f": {constant.sum()} constant" if constant.any() else ""))
        _finish(ax)

    def _plot_correlation(self, ax):
        pairs = np.abs(self.correlation[np.triu_indices_from(self.correlation, 1)])
        known = pairs[np.isfinite(pairs)]
        # A bit that repeats three others is one bit too many, not three.
        repeats = np.triu(np.abs(self.correlation) > 1 - 1e-9, 1).any(axis=0).sum()
        note = f": {repeats} repeated" if repeats else ""
        if len(known) and not repeats:
            note = f": mean |r| {known.mean():.2f}"
        ax.set_facecolor(GREY)  # shows through where a correlation is unknown
        self.im_ = ax.imshow(
            self.correlation, cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest"
        )
        ax.set(xlabel="bit", ylabel="bit", title="Bit correlation" + note)
        # Inside the axes, so that the figure keeps its number of axes.
        ax.figure.colorbar(self.im_, cax=ax.inset_axes((1.03, 0, 0.05, 1)), ticks=(-1, 0, 1))
        ax.locator_params(integer=True, nbins=5)

    def _plot_distances(self, ax):
        edges = np.arange(len(self.related) + 1) - 0.5
        kinds = [(self.related, BLUE, "related"), (self.unrelated, ORANGE, "unrelated")]
        self.histograms_ = []
        for counts, colour, label in kinds:
            shares = _shares(counts)
            mean = float(shares @ np.arange(len(counts)))
            look = {"fill": True, "facecolor": (colour, 0.25), "edgecolor": colour}
            label = f"no {label} pair" if np.isnan(mean) else f"{label}, mean {mean:.1f}"
            self.histograms_.append(ax.stairs(shares, edges, linewidth=1.2, label=label, **look))
            ax.axvline(mean, ymax=0.75, color=colour, linestyle="--", linewidth=1)
        farthest = np.flatnonzero(np.add(self.related, self.unrelated)).max()
        ax.set(xlabel="Hamming distance in bits", ylabel="share of pairs")
        ax.set_xlim(-0.5, max(farthest, 1) + 0.5)
        ax.set_title("Distances" + ("" if np.isnan(self.auc) else f": AUC {self.auc:.3f}"))
        ax.set_ylim(0, ax.dataLim.ymax / 0.78)
        _finish(ax)

    @classmethod
    def from_codes(
        cls,
        query_codes,
        gallery_codes,
        y_query=None,
        y_gallery=None,
        *,
        n_bits=None,
        name=None,
        ax=None,
    ):
        """Compute the three panels of two sets of codes and draw them.

        Parameters
        ----------
        query_codes : array-like of shape (n_queries, n_columns), bool, uint8 or int8
            Codes of the queries, in a binary format of :mod:`skhash.codes`.
        gallery_codes : array-like of shape (n_gallery, n_columns)
            Codes of the items, in the same format.
        y_query : array-like of shape (n_queries,) or (n_queries, n_labels), default=None
            Ids, classes or label indicators, as in :func:`skhash.metrics.average_precision`.
            ``None`` means that only row i of the gallery is related to query i.
        y_gallery : array-like of shape (n_gallery,) or (n_gallery, n_labels), default=None
            The same for the items.
        n_bits : int, default=None
            Length of packed codes in bits. ``None`` means 8 bits for each byte.
        name : str, default=None
            Title, if a new figure is created.
        ax : array-like of 3 matplotlib Axes, default=None
            Axes to draw on. ``None`` creates a new figure.

        Returns
        -------
        CodeDisplay
            The display, after drawing.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If the codes are real, or their formats differ.
        ValueError
            If codes are empty or of different lengths, if labels do not fit them, or if the number
            of axes is not 3.
        """
        known = n_bits is not None
        codes = [read_codes(codes, packed=known) for codes in (query_codes, gallery_codes)]
        queries, gallery = compare_read(*codes)
        check_bits(queries)
        query_bits, gallery_bits = (convert_codes(side, "bits", n_bits=n_bits) for side in codes)
        labels = encode_labels(y_query, y_gallery, queries.shape[1], gallery.shape[1])
        unrelated, related = _count_pairs(queries, gallery, *labels)[: gallery_bits.shape[1] + 1].T
        balance, correlation = _bit_statistics(gallery_bits)
        display = cls(query_bits.mean(axis=0), balance, correlation, related, unrelated, name=name)
        return display.plot(ax)

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
        n_bits=None,
        name=None,
        ax=None,
    ):
        """Encode pairs and draw the diagnostics of their codes.

        Parameters
        ----------
        estimator : estimator
            A fitted estimator whose ``transform`` returns the codes of both modalities, image codes
            first.
        X : table or array of shape (n_samples, n_columns)
            Pairs: rows with both modalities.
        y : array-like of shape (n_samples,) or (n_samples, n_labels), default=None
            Ids, classes or label indicators; ``None`` means that only the two halves of a row are
            related.
        direction : {"image_to_text", "text_to_image"}, default="image_to_text"
            Which modality the queries have, and which the gallery.
        gallery : table or array, default=None
            Pairs to search. ``None`` means `X` itself.
        gallery_y : array-like of shape (n_gallery,) or (n_gallery, n_labels), default=None
            Labels of the gallery.
        n_bits : int, default=None
            Length of packed codes in bits. ``None`` means 8 bits for each byte.
        name : str, default=None
            Title, if a new figure is created.
        ax : array-like of 3 matplotlib Axes, default=None
            Axes to draw on. ``None`` creates a new figure.

        Returns
        -------
        CodeDisplay
            The display, after drawing.

        Raises
        ------
        ValueError
            If `direction` is unknown, or as in :meth:`from_codes`.
        """
        sides = encode_sides(estimator, X, y, direction, gallery, gallery_y)
        return cls.from_codes(*sides, n_bits=n_bits, name=name, ax=ax)


def _finish(ax):
    """Put the legend into the space above the data, and ticks at whole bits."""
    ax.legend(loc="upper right", frameon=False, handlelength=1.2)
    ax.xaxis.get_major_locator().set_params(integer=True)
    hide_spines(ax)


def _shares(counts):
    counts = np.asarray(counts, dtype=np.float64)
    total = counts.sum()
    return counts / total if total else np.full_like(counts, np.nan)


def _count_pairs(queries, gallery, y_query, y_gallery):
    """Count the unrelated and the related pairs at each distance: shape (n_bins, 2)."""
    counts = [
        _search.histograms(queries[:, batch], gallery, y_query[..., batch], y_gallery).sum(axis=0)
        for batch in gen_batches(queries.shape[1], _BATCH)
    ]
    return np.sum(counts, axis=0)


def _bit_statistics(bits):
    """Return the share of ones of each bit, and the correlations, NaN where a bit is constant."""
    together = np.zeros((bits.shape[1],) * 2)
    for rows in gen_batches(len(bits), _ROWS):
        part = bits[rows].astype(np.float32)
        together += part.T @ part
    share = together.diagonal() / len(bits)
    deviation = np.sqrt(share * (1 - share))
    deviation[deviation == 0] = np.nan
    covariance = together / len(bits) - np.outer(share, share)
    return share, covariance / np.outer(deviation, deviation)
