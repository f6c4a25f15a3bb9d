"""Exact nearest neighbours in Hamming space."""

import numbers
from itertools import chain

import numpy as np
from joblib import Parallel, delayed
from scipy import sparse
from sklearn.utils import check_scalar, gen_batches
from sklearn.utils.validation import check_is_fitted

from .._popcount import nearest, within_radius
from .._ranking import average_precisions
from .._scorer import RetrievalScorer
from ._base import CodeIndex

_PART = 256  # queries that a thread takes at a time


class HammingRetriever(CodeIndex):
    """Find the nearest codes, exactly, by Hamming distance.

    Codes come in any of the four formats of :mod:`skhash.codes`: real ones count by their sign.
    Items at equal distance are ordered by row, lowest first.

    A *paired* index holds an image and a text code a row. It answers queries of one modality from
    the other: a table of ``image__*`` columns searches the text codes, a table of ``text__*``
    columns the image codes.

    Parameters
    ----------
    n_neighbors : int, default=5
        Number of neighbours that :meth:`kneighbors` finds.
    radius : float, default=2
        Distance in bits up to which :meth:`radius_neighbors` finds items.
    algorithm : {"auto", "numpy"}, default="auto"
        Search engine; ``"auto"`` takes the fastest that is there. All give the same result.
    n_jobs : int, default=None
        Number of threads, each with a part of the queries; ``-1`` uses all cores.
    paired : bool, default=None
        Whether a row holds two codes. ``None``: if a table has both ``image__*`` and ``text__*``
        columns. ``True``: split arrays in the middle, image codes first. ``False``: never.

    Attributes
    ----------
    words_ : dict of str to ndarray of shape (n_words, n_samples_fit_), unsigned
        The packed codes, word by word: under ``"codes"``, or ``"image"`` and ``"text"`` if paired.
    y_ : ndarray of shape (n_samples_fit_,) or (n_samples_fit_, n_labels), or None
        What was given as `y`.
    paired_ : bool
        Whether the index holds an image and a text code a row.
    packed_ : bool
        Whether the columns are bytes of eight bits.
    n_samples_fit_ : int
        Number of rows in the index.
    n_features_in_ : int
        Number of columns, of both blocks if paired.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where a table of other than block columns was given.

    Examples
    --------
    >>> import numpy as np
    >>> from skhash.retrieval import HammingRetriever
    >>> codes = np.array([[False, False, False], [True, False, False], [True, True, True]])
    >>> index = HammingRetriever(n_neighbors=2).fit(codes, y=["cat", "dog", "fox"])
    >>> distances, rows = index.kneighbors([[True, True, False]])
    >>> distances, rows
    (array([[1, 1]], dtype=int32), array([[1, 2]]))
    >>> index.predict([[True, True, False]])
    array(['dog'], dtype='<U3')
    """

    def __init__(self, n_neighbors=5, *, radius=2, algorithm="auto", n_jobs=None, paired=None):
        self.n_neighbors = n_neighbors
        self.radius = radius
        self.algorithm = algorithm
        self.n_jobs = n_jobs
        self.paired = paired

    def kneighbors(self, X=None, n_neighbors=None, return_distance=True):
        """Find the nearest items of each query.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_queries, n_columns), default=None
            Codes of the queries; ``None`` means the rows of the index, each without itself.
        n_neighbors : int, default=None
            Number of neighbours; ``None`` takes that of the constructor.
        return_distance : bool, default=True
            Whether to return the distances.

        Returns
        -------
        distances : ndarray of shape (n_queries, n_neighbors), int32
            Distances in bits, ascending; only if `return_distance`.
        rows : ndarray of shape (n_queries, n_neighbors), int64
            Rows of the index.

        Raises
        ------
        ValueError
            If there are fewer items than neighbours asked for, or the queries do not fit the index.
        """
        queries, gallery = self._one_search(X)
        k = self.n_neighbors if n_neighbors is None else n_neighbors
        check_scalar(k, "n_neighbors", numbers.Integral, min_val=1)
        alone = X is None
        if k + alone > self.n_samples_fit_:
            raise ValueError(
                f"n_neighbors must be at most the number of items, got n_neighbors={k} "
                f"for {self.n_samples_fit_ - alone} items."
            )
        parts = self._run(nearest, queries, gallery, k + alone)
        distances, rows = (np.concatenate(part) for part in zip(*parts, strict=True))
        if alone:
            others = rows != np.arange(len(rows))[:, None]
            others[others.all(axis=1), -1] = False  # k items as near as itself stand before it
            distances, rows = (found[others].reshape(-1, k) for found in (distances, rows))
        return (distances, rows) if return_distance else rows

    def radius_neighbors(self, X=None, radius=None, return_distance=True):
        """Find all items within a distance of each query.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_queries, n_columns), default=None
            Codes of the queries; ``None`` means the rows of the index, each without itself.
        radius : float, default=None
            Largest distance in bits; ``None`` takes that of the constructor.
        return_distance : bool, default=True
            Whether to return the distances.

        Returns
        -------
        distances : ndarray of shape (n_queries,) of ndarray, int32
            Distances in bits of each query's items, ascending; only if `return_distance`.
        rows : ndarray of shape (n_queries,) of ndarray, int64
            Their rows in the index.

        Raises
        ------
        ValueError
            If the radius is negative, or the queries do not fit the index.
        """
        queries, gallery = self._one_search(X)
        radius = self.radius if radius is None else radius
        check_scalar(radius, "radius", numbers.Real, min_val=0)
        parts = self._run(within_radius, queries, gallery, radius)
        distances, rows = (list(chain(*part)) for part in zip(*parts, strict=True))
        if X is None:
            others = [found != row for row, found in enumerate(rows)]
            distances = [found[keep] for found, keep in zip(distances, others, strict=True)]
            rows = [found[keep] for found, keep in zip(rows, others, strict=True)]
        distances, rows = _object_array(distances), _object_array(rows)
        return (distances, rows) if return_distance else rows

    def kneighbors_graph(self, X=None, n_neighbors=None, mode="connectivity"):
        """Build the graph from each query to its nearest items.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_queries, n_columns), default=None
            Codes of the queries; ``None`` means the rows of the index, each without itself.
        n_neighbors : int, default=None
            Number of neighbours; ``None`` takes that of the constructor.
        mode : {"connectivity", "distance"}, default="connectivity"
            Whether an edge weighs 1, or its distance in bits.

        Returns
        -------
        csr_matrix of shape (n_queries, n_samples_fit_), float64
            The graph; a distance of 0 is stored.

        Raises
        ------
        ValueError
            If `mode` is unknown, or as in :meth:`kneighbors`.
        """
        if mode not in {"connectivity", "distance"}:
            raise ValueError(f"mode must be 'connectivity' or 'distance', got {mode!r}.")
        distances, rows = self.kneighbors(X, n_neighbors)
        n_queries, k = rows.shape
        weights = distances if mode == "distance" else np.ones(rows.shape)
        starts = np.arange(0, n_queries * k + 1, k)
        parts = weights.ravel().astype(np.float64), rows.ravel(), starts
        return sparse.csr_matrix(parts, shape=(n_queries, self.n_samples_fit_))

    def predict(self, X):
        """Return the label of the nearest item of each query.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_queries, n_columns)
            Codes of the queries.

        Returns
        -------
        ndarray of shape (n_queries,) or (n_queries, n_labels)
            Rows of `y_`.

        Raises
        ------
        ValueError
            If the index has no labels.
        """
        check_is_fitted(self)
        if self.y_ is None:
            raise ValueError(
                "the index has no labels to predict: call fit(X, y), or kneighbors for the rows."
            )
        _, rows = self.kneighbors(X, 1)
        return self.y_[rows[:, 0]]

    def score(self, X, y=None):
        """Compute the mean average precision of queries against the index.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_queries, n_columns)
            Codes of the queries; pairs score the mean of both directions.
        y : array-like of shape (n_queries,) or (n_queries, n_labels), default=None
            Their ids, classes or label indicators; ``None``, where the index has no labels either,
            means that row i of the index alone is relevant to query i.

        Returns
        -------
        float
            The mean average precision, with the expectation over ties.

        Raises
        ------
        ValueError
            If only the queries or only the index have labels, or labels do not fit the queries.
        """
        options = {"k": None, "ties": "expected", "normalize": "hits"}
        searches = self._searches(X)
        scores = [average_precisions(*pair, y, self.y_, **options).mean() for pair in searches]
        return float(np.mean(scores))

    @staticmethod
    def as_scorer(
        metric="map",
        *,
        k=None,
        direction="mean",
        gallery=None,
        gallery_y=None,
        ties="expected",
        normalize="hits",
    ):
        """Make a scorer of pipelines that end before the retriever.

        Parameters
        ----------
        metric : {"map"}, default="map"
            Mean average precision.
        k : int, default=None
            Cut-off; ``None`` ranks the whole gallery.
        direction : {"mean", "image_to_text", "text_to_image"}, default="mean"
            What queries what.
        gallery : table or array, default=None
            Database to search; ``None`` searches the scored rows themselves.
        gallery_y : array-like of shape (n_gallery,) or (n_gallery, n_labels), default=None
            Labels of the database.
        ties : {"expected", "optimistic", "pessimistic", "index"}, default="expected"
            As in :func:`skhash.metrics.average_precision`.
        normalize : {"hits", "possible", "relevant"}, default="hits"
            As in :func:`skhash.metrics.average_precision`.

        Returns
        -------
        RetrievalScorer
            A callable for ``scoring=``; see :class:`skhash.metrics.RetrievalScorer`.
        """
        return RetrievalScorer(
            metric,
            k=k,
            direction=direction,
            gallery=gallery,
            gallery_y=gallery_y,
            ties=ties,
            normalize=normalize,
        )

    def _check_parameters(self):
        check_scalar(self.n_neighbors, "n_neighbors", numbers.Integral, min_val=1)
        check_scalar(self.radius, "radius", numbers.Real, min_val=0)
        if self.algorithm not in {"auto", "numpy"}:
            raise ValueError(f"algorithm must be 'auto' or 'numpy', got {self.algorithm!r}.")

    def _run(self, kernel, queries, gallery, argument):
        """Run a kernel on parts of the queries, in threads: NumPy releases the lock."""
        return Parallel(n_jobs=self.n_jobs, require="sharedmem")(
            delayed(kernel)(queries[:, part], gallery, argument)
            for part in gen_batches(queries.shape[1], _PART)
        )


def _object_array(arrays):
    result = np.empty(len(arrays), dtype=object)
    for position, array in enumerate(arrays):  # one by one: NumPy would stack arrays of one length
        result[position] = array
    return result
