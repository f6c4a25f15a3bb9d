"""What an index answers: neighbours of queries, and what is made of them."""

import numpy as np
from scipy import sparse
from sklearn.utils.validation import check_is_fitted

from .._hamming import search as _search
from .._inputs.checks import check_choice, check_flag, check_real
from .._ranking.scores import average_precisions
from ._base import at_once
from ._engines import EnginesMixin


class QueriesMixin(EnginesMixin):
    """Queries to an index."""

    def kneighbors(self, X=None, n_neighbors=None, return_distance=True, *, vectors=None):
        """Find the nearest items of each query, as arrays of distances and rows.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_queries, n_columns), default=None
            Codes of the queries. ``None`` means the items of the index; none finds itself.
        n_neighbors : int, default=None
            Number of neighbours; ``None`` means that of the constructor.
        return_distance : bool, default=True
            Whether to return the distances.
        vectors : array-like of shape (n_queries, n_features), default=None
            Vectors of the queries, with ``rerank="vectors"``, in one space with those of the items.

        Returns
        -------
        distances : ndarray of shape (n_queries, n_neighbors), int32 or float64
            Hamming distances in bits (int32), in ascending order; only if `return_distance`. With
            ``rerank="asymmetric"``, sums of absolute real values, and with ``rerank="vectors"``,
            cosine distances (float64).
        rows : ndarray of shape (n_queries, n_neighbors), int64
            Rows of the index.

        Raises
        ------
        ValueError
            If there are fewer items or candidates than `n_neighbors`, or the queries or their
            vectors do not fit the index.
        """
        check_flag(return_distance, "return_distance")
        held, alone = at_once(self), X is None
        queries, block = held._one_search(X, vectors)
        k = held._check_n_neighbors(n_neighbors, len(held) - alone)
        distances, rows = held._nearest(queries, block, k + alone)
        if alone:
            others = rows != held._item_rows()[:, None]
            others[others.all(axis=1), -1] = (
                False  # k items at distance 0 come before the row itself
            )
            distances, rows = (found[others].reshape(-1, k) for found in (distances, rows))
        return (distances, rows) if return_distance else rows

    def radius_neighbors(self, X=None, radius=None, return_distance=True):
        """Find all items within a Hamming distance of each query; `rerank` is not used.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_queries, n_columns), default=None
            Codes of the queries. ``None`` means the items of the index; none finds itself.
        radius : float, default=None
            Largest distance in bits; ``None`` means that of the constructor.
        return_distance : bool, default=True
            Whether to return the distances.

        Returns
        -------
        distances : ndarray of shape (n_queries,) of ndarray, int32
            For each query, distances of the items found, in bits and in ascending order; only if
            `return_distance`.
        rows : ndarray of shape (n_queries,) of ndarray, int64
            For each query, rows of the items found.

        Raises
        ------
        ValueError
            If the radius is negative, or the queries do not fit the index.
        """
        check_flag(return_distance, "return_distance")
        held = at_once(self)
        queries, block = held._one_search(X, by_bits=True)
        radius = check_real(self.radius if radius is None else radius, "radius", "[0, inf]")
        distances, rows, starts = held._within_radius(queries, block, radius)
        if X is None:
            query = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
            others = rows != held._item_rows()[query]
            distances, rows = distances[others], rows[others]
            starts = np.searchsorted(query[others], np.arange(len(starts)))
        distances, rows = _split(distances, starts), _split(rows, starts)
        return (distances, rows) if return_distance else rows

    def kneighbors_graph(self, X=None, n_neighbors=None, mode="connectivity", *, vectors=None):
        """Build the graph from each query to its nearest items.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_queries, n_columns), default=None
            Codes of the queries. ``None`` means the items of the index; none finds itself.
        n_neighbors : int, default=None
            Number of neighbours; ``None`` means that of the constructor.
        mode : {"connectivity", "distance"}, default="connectivity"
            Weight of an edge: 1, or the distance as in :meth:`kneighbors`.
        vectors : array-like of shape (n_queries, n_features), default=None
            Vectors of the queries, with ``rerank="vectors"``, in one space with those of the items.

        Returns
        -------
        csr_matrix of shape (n_queries, n_samples_fit_), float64
            The graph. Distances of 0 are stored explicitly.

        Raises
        ------
        ValueError
            If `mode` is unknown, or as in :meth:`kneighbors`.
        """
        check_choice(mode, "mode", ("connectivity", "distance"))
        held = at_once(self)
        distances, rows = held.kneighbors(X, n_neighbors, vectors=vectors)
        n_queries, k = rows.shape
        weights = distances if mode == "distance" else np.ones(rows.shape)
        starts = np.arange(0, n_queries * k + 1, k)
        parts = weights.ravel().astype(np.float64), rows.ravel(), starts
        return sparse.csr_matrix(parts, shape=(n_queries, held.n_samples_fit_))

    def predict(self, X, *, vectors=None):
        """Return the label of the nearest item of each query.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_queries, n_columns)
            Codes of the queries.
        vectors : array-like of shape (n_queries, n_features), default=None
            Vectors of the queries, with ``rerank="vectors"``, in one space with those of the items.

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
        held = at_once(self)
        if held.y_ is None:
            raise ValueError(
                "the index has no labels to predict: call fit(X, y), or kneighbors for the rows."
            )
        _, rows = held.kneighbors(X, 1, vectors=vectors)
        return held.y_[rows[:, 0]]

    def score(self, X, y=None, *, vectors=None):
        """Compute the mean average precision of queries against the index.

        All items are ranked, exactly, with any `algorithm`. With ``rerank="vectors"``, the
        `n_candidates` nearest items come first, re-ranked, and then the others by Hamming distance.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_queries, n_columns)
            Codes of the queries. For pairs, the score is the mean of both directions.
        y : array-like of shape (n_queries,) or (n_queries, n_labels), default=None
            Ids, classes or label indicators of the queries. If neither the queries nor the index
            have labels, only item i of the index is relevant to query i.
        vectors : array-like of shape (n_queries, n_features), default=None
            Vectors of the queries, with ``rerank="vectors"``. For pairs, image vectors come first.

        Returns
        -------
        float
            The mean average precision, in expectation over ties.

        Raises
        ------
        ValueError
            If only the queries or only the index have labels, or labels do not fit the queries.
        """
        options = {"k": None, "ties": "expected", "normalize": "hits", "n_jobs": self.n_jobs}
        if self.algorithm != "faiss-ivf":
            options["algorithm"] = self.algorithm
        held = at_once(self)
        searches = held._searches(X, vectors)
        if not len(held):
            raise ValueError("the index holds no items to rank: append some with partial_fit.")
        gallery_y = held.y_ if held.y_ is None or held._keep is None else held.y_[held._keep]
        scores = [
            average_precisions(*held._ranking(queries, block), y, gallery_y, **options).mean()
            for queries, block in searches
        ]
        return float(np.mean(scores))

    def recall_against_exact(self, X, n_neighbors=None):
        """Measure how many of the nearest items by Hamming distance the `algorithm` finds.

        If several items are tied at the distance of the last neighbour, any of them counts as
        found.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_queries, n_columns)
            Codes of the queries.
        n_neighbors : int, default=None
            Number of neighbours; ``None`` means that of the constructor.

        Returns
        -------
        float
            Share of the items found whose distance is at most that of the last exact neighbour. It
            is 1 for an exact `algorithm`.

        Raises
        ------
        ValueError
            As in :meth:`kneighbors`.
        """
        held = at_once(self)
        queries, block = held._one_search(X, by_bits=True)
        k = held._check_n_neighbors(n_neighbors, len(held))
        found, _ = held._nearest(queries, block, k)
        exact, _ = _search.nearest(queries, held._only_items(block), k, n_jobs=self.n_jobs)
        return float(np.mean(found <= exact[:, -1:]))


def _split(found, starts):
    """Split the results of all queries into one array per query."""
    n_queries = len(starts) - 1
    return np.fromiter(np.split(found, starts[1:-1]), dtype=object, count=n_queries)
