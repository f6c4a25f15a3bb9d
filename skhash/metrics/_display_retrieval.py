"""Queries and their results, as pictures and texts."""

import numbers
from itertools import chain

import numpy as np

from .._hamming import search as _search
from .._hamming.comparable import comparable, is_binary
from .._inputs.checks import check_flag, check_integer
from .._ranking.relevance import encode_labels
from ._display import BLUE, GREY, ORANGE, encode_sides, subplots
from ._display_fonts import Writing
from ._display_items import column_items, open_image, write

_INCHES = {"image": 1.35, "text": 1.8}  # width of a cell
_FRAMES = {True: (BLUE, "✓ ", 2.5), False: (ORANGE, "✗ ", 2.5), None: (GREY, "", 0.8)}


class RetrievalDisplay:
    """Show a few queries, a line each, with their nearest items.

    Each row shows a query on the left, and then its results with their distances, nearest first.
    Relevant results have a blue frame and a ✓, others a vermilion frame and a ✗.

    Create it with :meth:`from_codes` or :meth:`from_estimator`. All parameters are stored as
    attributes. An item is a text (str) or an image: a PIL image, an array of uint8 of shape
    (height, width), (height, width, 3) or (height, width, 4), the bytes of a file, or a path, which
    must be a :class:`pathlib.Path`, since a str is a text.

    Characters that the fonts of ``matplotlib.rcParams["font.family"]`` lack are drawn with an
    installed font that has them; a warning names those that no font has and a font to install.

    Parameters
    ----------
    queries : list of item
        The queries.
    results : list of list of item
        The results of each query, the same number for each.
    distances : ndarray of shape (n_queries, n_neighbors), int or float
        Distances of the results: Hamming distances (int) or cosine distances (float).
    relevant : ndarray of shape (n_queries, n_neighbors), bool, default=None
        Whether each result is relevant. ``None`` means that results are not marked.
    name : str, default=None
        Title of the figure.

    Attributes
    ----------
    axes_ : ndarray of shape (n_queries, 1 + n_neighbors) of matplotlib Axes
        A row for each query, with the query first.
    figure_ : matplotlib Figure
        The figure.

    Examples
    --------
    >>> import numpy as np
    >>> from skhash.metrics import RetrievalDisplay
    >>> words = ["a dog", "a cat", "a hat"]
    >>> codes = np.array([[0, 0, 0, 0], [0, 0, 0, 1], [1, 1, 1, 1]], dtype=bool)
    >>> display = RetrievalDisplay.from_codes(
    ...     codes, codes, words, words, n_queries=1, n_neighbors=2
    ... )
    >>> display.results, display.distances
    ([['a dog', 'a cat']], array([[0, 1]], dtype=int32))
    """

    def __init__(self, queries, results, distances, relevant=None, *, name=None):
        self.queries = queries
        self.results = results
        self.distances = distances
        self.relevant = relevant
        self.name = name

    def plot(self, ax=None, *, name=None):
        """Draw the queries and their results.

        Parameters
        ----------
        ax : array-like of matplotlib Axes, default=None
            Axes to draw on, ``1 + n_neighbors`` for each query. ``None`` creates a new figure.
        name : str, default=None
            Title, if a new figure is created. ``None`` means the `name` of the constructor.

        Returns
        -------
        RetrievalDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If an item is neither a text nor an image.
        ValueError
            If an image cannot be read, or the number of axes is wrong.
        """
        n_queries, n_neighbors = np.shape(self.distances)
        lines = [
            [item if isinstance(item, str) else open_image(item) for item in (query, *line)]
            for query, line in zip(self.queries, self.results, strict=True)
        ]
        widths = [_INCHES["text" if isinstance(item, str) else "image"] for item in lines[0]]
        size = sum(widths) + 0.2 * len(widths), n_queries * (_INCHES["image"] + 0.45) + 0.4
        self.axes_ = subplots(
            "RetrievalDisplay", (n_queries, 1 + n_neighbors), ax, figsize=size, width_ratios=widths
        )
        self.figure_ = self.axes_[0, 0].figure
        name = self.name if name is None else name
        texts = [item for item in chain.from_iterable(lines) if isinstance(item, str)]
        writing = Writing([*texts, str(name)] if ax is None and name is not None else texts)
        if ax is None and name is not None:
            self.figure_.suptitle(writing.drawable(str(name)), fontfamily=writing.families)

        cells = list(zip(self.axes_.flat, chain.from_iterable(lines), strict=True))
        for axes, item in cells:
            axes.set(xticks=[], yticks=[])
            if not isinstance(item, str):
                axes.imshow(item)
                axes.set_box_aspect(1)  # pictures of any shape in equal frames
        self.axes_[0, 0].set_title("query", fontsize=9)
        for axes in self.axes_[:, 0]:
            axes.spines[:].set_visible(False)
        distances = np.asarray(self.distances)
        for place, axes in np.ndenumerate(self.axes_[:, 1:]):
            right = None if self.relevant is None else bool(np.asarray(self.relevant)[place])
            colour, mark, linewidth = _FRAMES[right]
            axes.spines[:].set(color=colour, linewidth=linewidth)
            axes.set_xlabel(mark + _describe(distances[place]), color=colour, fontsize=9)

        self.figure_.canvas.figure.draw_without_rendering()  # now the cells have their sizes
        for axes, item in cells:
            if isinstance(item, str):
                write(axes, writing.drawable(item), writing.families)
        return self

    @classmethod
    def from_codes(
        cls,
        query_codes,
        gallery_codes,
        query_items,
        gallery_items,
        y_query=None,
        y_gallery=None,
        *,
        n_queries=None,
        n_neighbors=None,
        mark_relevant=True,
        name=None,
        ax=None,
    ):
        """Search a gallery for the first queries and draw the results.

        Parameters
        ----------
        query_codes : array-like of shape (n_codes, n_columns), bool, uint8, int8 or float
            Codes of the queries, in any format of :mod:`skhash.codes`. Real codes are compared by
            cosine distance.
        gallery_codes : array-like of shape (n_gallery, n_columns)
            Codes of the items, in the same format.
        query_items : sequence of length n_codes
            The encoded queries: texts (str) or images, as described in the class.
        gallery_items : sequence of length n_gallery
            The encoded items of the gallery, likewise.
        y_query : array-like of shape (n_codes,) or (n_codes, n_labels), default=None
            Ids, classes or label indicators, as in :func:`skhash.metrics.average_precision`;
            ``None`` means that only row i of the gallery is relevant to query i.
        y_gallery : array-like of shape (n_gallery,) or (n_gallery, n_labels), default=None
            The same for the items.
        n_queries : int, default=None
            Number of queries to show, from the first one on. ``None`` means 4, or all if there are
            fewer.
        n_neighbors : int, default=None
            Number of results to show. ``None`` means 5, or all if there are fewer.
        mark_relevant : bool, default=True
            Whether to mark relevant results. With False, no labels are needed.
        name : str, default=None
            Title, if a new figure is created.
        ax : array-like of matplotlib Axes, default=None
            Axes to draw on, ``1 + n_neighbors`` for each query. ``None`` creates a new figure.

        Returns
        -------
        RetrievalDisplay
            The display, after drawing.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If the formats of the codes differ, or an item is neither a text nor an image.
        ValueError
            If the numbers of items and codes differ, if `n_queries` or `n_neighbors` is out of
            range, if labels do not fit the codes, if an image cannot be read, or if the number of
            axes is wrong.
        """
        queries, gallery = comparable(query_codes, gallery_codes)
        query_items = _check_items(query_items, queries.shape[1], "query")
        gallery_items = _check_items(gallery_items, gallery.shape[1], "gallery")
        n_queries = min(4, len(query_items)) if n_queries is None else n_queries
        n_neighbors = min(5, len(gallery_items)) if n_neighbors is None else n_neighbors
        n_queries = check_integer(n_queries, "n_queries", high=len(query_items))
        n_neighbors = check_integer(n_neighbors, "n_neighbors", high=len(gallery_items))
        check_flag(mark_relevant, "mark_relevant")
        distances, rows = _nearest(queries[:, :n_queries], gallery, n_neighbors)
        relevant = None
        if mark_relevant:
            y_query, y_gallery = encode_labels(
                y_query, y_gallery, len(query_items), len(gallery_items)
            )
            relevant = _relevance_of(y_query[..., :n_queries], y_gallery, rows)
        results = [[gallery_items[row] for row in line] for line in rows]
        display = cls(query_items[:n_queries], results, distances, relevant, name=name)
        return display.plot(ax)

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y=None,
        *,
        direction="text_to_image",
        gallery=None,
        gallery_y=None,
        name=None,
        **kwargs,
    ):
        """Encode a raw table, search it with its first rows and draw the results.

        Parameters
        ----------
        estimator : estimator
            A fitted estimator whose ``transform`` returns the codes of both modalities, image codes
            first.
        X : table of shape (n_samples, n_columns)
            Dataframe with the columns ``image`` and ``text``. A str in the column ``image`` is a
            path.
        y : array-like of shape (n_samples,) or (n_samples, n_labels), default=None
            Ids, classes or label indicators; ``None`` means that only the two halves of a row are
            relevant to each other.
        direction : {"image_to_text", "text_to_image"}, default="text_to_image"
            Which modality the queries have, and which the gallery.
        gallery : table, default=None
            Table to search, with the same columns. ``None`` means `X` itself.
        gallery_y : array-like of shape (n_gallery,) or (n_gallery, n_labels), default=None
            Labels of the gallery.
        name : str, default=None
            Title, if a new figure is created. ``None`` means the direction.
        **kwargs : dict
            Keyword arguments of :meth:`from_codes`.

        Returns
        -------
        RetrievalDisplay
            The display, after drawing.

        Raises
        ------
        ValueError
            If a table lacks one of the columns, if `direction` is unknown, or as in
            :meth:`from_codes`.
        """
        queries, items, *labels = encode_sides(estimator, X, y, direction, gallery, gallery_y)
        source, target = direction.split("_to_")
        sides = column_items(X, source), column_items(X if gallery is None else gallery, target)
        name = f"{source} → {target}" if name is None else name
        return cls.from_codes(queries, items, *sides, *labels, name=name, **kwargs)


def _check_items(items, n_codes, side):
    items = list(items)
    if len(items) != n_codes:
        raise ValueError(
            f"every code needs its item, got {len(items)} {side} items for {n_codes} codes."
        )
    return items


def _nearest(queries, gallery, k):
    if is_binary(queries):
        return _search.nearest(queries, gallery, k)
    distances = np.maximum(1 - queries.T @ gallery, 0).astype(np.float32)
    rows = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, rows, axis=1), rows


def _relevance_of(y_query, y_gallery, rows):
    """Say which of the items in `rows` are relevant, one line per query."""
    if y_query.ndim == 1:
        return y_query[:, None] == y_gallery[rows]
    return (y_query[..., None] & y_gallery[:, rows]).any(axis=0)


def _describe(distance):
    if isinstance(distance, numbers.Integral):
        return f"{distance} bit" if distance == 1 else f"{distance} bits"
    return f"distance {distance:.2f}"
