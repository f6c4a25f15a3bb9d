"""Who is near a query: exactly, or in the lists of faiss."""

import numpy as np
from scipy import sparse

from .._hamming import search as _search
from .._inputs.checks import (
    check_choice,
    check_flag,
    check_integer,
    check_n_jobs,
    check_parameter,
    check_real,
    check_verbose,
)
from ._base import CodeIndex
from ._ivf import InvertedLists, import_faiss

_ALGORITHMS = (*_search.ALGORITHMS, "faiss-ivf")


class NeighborIndex(CodeIndex):
    """An index of codes that finds neighbours.

    A subclass has the parameters of `HammingRetriever`.
    """

    n_neighbors: int
    radius: float
    algorithm: str
    n_jobs: int | None
    nprobe: int
    n_lists: int | None
    verbose: int

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

    def __getstate__(self):
        state = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_lists"}

    def _check_parameters(self):
        check_parameter(self, "n_neighbors", check_integer)
        check_parameter(self, "radius", check_real, "[0, inf]")
        check_choice(self.algorithm, "algorithm", _ALGORITHMS)
        check_n_jobs(self.n_jobs)
        check_parameter(self, "paired", check_flag, optional=True)
        check_parameter(self, "nprobe", check_integer)
        check_parameter(self, "n_lists", check_integer, optional=True)
        check_verbose(self.verbose)
        if self.algorithm == "faiss-ivf":
            import_faiss()

    def _extend(self, X, y, *, reset):
        super()._extend(X, y, reset=reset)
        if reset:
            self._lists = {}  # faiss's objects, which no pickle holds
            if self.algorithm == "faiss-ivf":
                for block in self.words_:
                    self._inverted_lists(block)

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
        """Return the lists of a block, with the codes that were appended since the last search."""
        words, made_of = self.words_[block], (self._n_trained, self.n_lists)
        held = vars(self).setdefault("_lists", {})
        lists = held.get(block)
        if lists is None or lists.made_of != made_of:
            lists = InvertedLists(words, *made_of)
        elif lists.n_codes < words.shape[1]:
            del held[block]  # until they are whole again
            lists.add(words)
        held[block] = lists
        return lists

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

    def _engine(self):
        return {"algorithm": self.algorithm, "n_jobs": self.n_jobs, "verbose": self.verbose}


def _split(found, starts):
    """Cut what all queries found into an array a query."""
    n_queries = len(starts) - 1
    return np.fromiter(np.split(found, starts[1:-1]), dtype=object, count=n_queries)
