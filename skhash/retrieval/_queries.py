"""What an index answers: neighbours of queries, and what is made of them."""

import numpy as np
from scipy import sparse
from sklearn.utils.validation import check_is_fitted

from .._hamming import search as _search
from .._inputs.checks import check_choice, check_flag, check_integer, check_real
from .._inputs.lazy import refuse_lazy
from .._ranking.scores import average_precisions
from ._base import Index
from ._index import read_words
from ._ivf import updated_lists

# The block of the index that answers the queries of a block.
_ANSWERS = {"image": "text", "text": "image", "codes": "codes"}


class QueriesMixin(Index):
    """Queries to an index."""

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
        check_flag(return_distance, "return_distance")
        queries, block = self._one_search(X)
        alone = X is None
        k = self._check_n_neighbors(n_neighbors, self.n_samples_fit_ - alone)
        distances, rows = self._nearest(queries, block, k + alone)
        if alone:
            others = rows != np.arange(len(rows))[:, None]
            others[others.all(axis=1), -1] = (
                False  # k items at distance 0 come before the row itself
            )
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
        check_flag(return_distance, "return_distance")
        queries, block = self._one_search(X)
        radius = check_real(self.radius if radius is None else radius, "radius", "[0, inf]")
        distances, rows, starts = self._within_radius(queries, block, radius)
        if X is None:
            query = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
            others = rows != query
            distances, rows = distances[others], rows[others]
            starts = np.searchsorted(query[others], np.arange(len(starts)))
        distances, rows = _split(distances, starts), _split(rows, starts)
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
        check_choice(mode, "mode", ("connectivity", "distance"))
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

        All items are ranked, exactly, whatever the `algorithm`.

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
        options = {"k": None, "ties": "expected", "normalize": "hits", "n_jobs": self.n_jobs}
        if self.algorithm != "faiss-ivf":
            options["algorithm"] = self.algorithm
        scores = [
            average_precisions(queries, self.words_[block], y, self.y_, **options).mean()
            for queries, block in self._searches(X)
        ]
        return float(np.mean(scores))

    def recall_against_exact(self, X, n_neighbors=None):
        """Measure how many of the nearest items :meth:`kneighbors` finds.

        Of several items at the distance of the last neighbour, one is as good as another.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_queries, n_columns)
            Codes of the queries.
        n_neighbors : int, default=None
            Number of neighbours; ``None`` takes that of the constructor.

        Returns
        -------
        float
            Share of the found items that are no farther than the last exact neighbour; 1 for an
            exact `algorithm`.

        Raises
        ------
        ValueError
            As in :meth:`kneighbors`.
        """
        queries, block = self._one_search(X)
        k = self._check_n_neighbors(n_neighbors, self.n_samples_fit_)
        found, _ = self._nearest(queries, block, k)
        exact, _ = _search.nearest(queries, self.words_[block], k, n_jobs=self.n_jobs)
        return float(np.mean(found <= exact[:, -1:]))

    def _searches(self, X):
        """Pair the words of each block of queries with the block of the index that answers it."""
        check_is_fitted(self)
        refuse_lazy(X, "queries")
        words = read_words(self, X, reset=False)
        return [(words[block][:, :], _ANSWERS[block]) for block in words]

    def _one_search(self, X):
        """Return the words of the queries, of the index itself if `X` is None, and the block."""
        check_is_fitted(self)
        if X is None and not self.paired_:
            return np.ascontiguousarray(self.words_["codes"][:, :]), "codes"
        searches = [] if X is None else self._searches(X)
        if len(searches) != 1:
            raise ValueError(
                "pairs search a paired index in two directions, so their neighbours are ambiguous: "
                "give the image__* or the text__* columns alone."
            )
        return searches[0]

    def _check_n_neighbors(self, n_neighbors, n_items):
        k = self.n_neighbors if n_neighbors is None else n_neighbors
        k = check_integer(k, "n_neighbors")
        if k > n_items:
            raise ValueError(
                f"n_neighbors must be at most the number of items, got n_neighbors={k} "
                f"for {n_items} items."
            )
        return k

    def _inverted_lists(self, block):
        """Return faiss's lists of a block, which no pickle holds, with all codes of the index."""
        held = vars(self).setdefault("_lists", {})
        return updated_lists(held, block, self.words_[block], self._n_trained, self.n_lists)

    def _nearest(self, queries, block, k):
        gallery = self.words_[block]
        if self.algorithm == "faiss-ivf":
            lists = self._inverted_lists(block)
            return lists.nearest(queries, gallery, k, nprobe=self.nprobe, n_jobs=self.n_jobs)
        return _search.nearest(queries, gallery, k, **self._engine())

    def _within_radius(self, queries, block, radius):
        if self.algorithm == "faiss-ivf":
            lists = self._inverted_lists(block)
            return lists.within_radius(queries, radius, nprobe=self.nprobe, n_jobs=self.n_jobs)
        return _search.within_radius(queries, self.words_[block], radius, **self._engine())


def _split(found, starts):
    """Split the results of all queries into one array per query."""
    n_queries = len(starts) - 1
    return np.fromiter(np.split(found, starts[1:-1]), dtype=object, count=n_queries)
