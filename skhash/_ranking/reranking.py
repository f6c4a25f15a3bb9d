"""Queries that rank binary codes by more than bits: by real codes, or by vectors of a shortlist.

They take the place of the words of queries: they have their shape, and parts of them are taken
likewise, ``queries[:, part]``.
"""

from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils import gen_batches

from .._hamming import search as _search
from .._hamming.asymmetric import nearest_asymmetric
from .._hamming.engine_numpy import to_words
from .._inputs.checks import check_choice, check_integer
from .._inputs.messages import shorten
from ..codes import format_of, pack_read

RERANK = (None, "asymmetric", "vectors")
_VALUES = 1 << 22  # values of candidates' vectors that are held at a time


class Asymmetric:
    """Queries by real codes: an item's distance is the sum of the values whose bits differ.

    Parameters
    ----------
    words : ndarray of shape (n_words, n_queries), unsigned
        Words of the signs.
    real : ndarray of shape (n_queries, n_bits), float
        The real codes.
    """

    dtype = np.dtype(np.float64)

    def __init__(self, words, real):
        self.words, self.real, self.shape = words, real, words.shape

    @classmethod
    def of(cls, codes):
        """Return the queries of codes that have been read."""
        if codes.dtype.kind != "f":
            raise TypeError(
                "rerank='asymmetric' needs real codes of the queries to weight the bits, got "
                f"{format_of(codes)}: use a hasher with output='real'."
            )
        return cls(to_words(pack_read(codes)), codes)

    def __getitem__(self, key):
        words, queries = key
        return Asymmetric(self.words[words, queries], self.real[queries])

    def nearest(self, gallery, k, *, keep=None, **engine):
        """Find the `k` nearest codes of each query, as `nearest_asymmetric` does."""
        return nearest_asymmetric(self.words, self.real, gallery, k, keep=keep, **engine)

    def rank(self, gallery, **engine):
        """Return the ranks of all codes, equal ones for equal distances, and the codes' rows."""
        distances, rows = self.nearest(gallery, gallery.shape[1], **engine)
        return _ranks(distances), rows


class Rescored:
    """Queries by vectors: the nearest codes by Hamming distance are ordered by cosine distance.

    Parameters
    ----------
    words : ndarray of shape (n_words, n_queries), unsigned
        Words of the queries.
    vectors : ndarray of shape (n_queries, n_features), float
        Vectors of the queries.
    gallery_vectors : ndarray or memmap of shape (n_codes, n_features), float
        Those of the gallery, of which only the candidates' rows are read.
    n_candidates : int
        Number of codes that are ordered anew.
    own : ndarray of shape (n_queries,), int64, default=None
        Row of the gallery that each query is itself, which is not one of these.
    """

    dtype = np.dtype(np.float64)

    def __init__(self, words, vectors, gallery_vectors: Any, n_candidates, own=None):
        self.words, self.vectors, self.shape = words, vectors, words.shape
        self.gallery_vectors, self.n_candidates, self.own = gallery_vectors, n_candidates, own

    def __getitem__(self, key):
        words, queries = key
        some = self.words[words, queries], self.vectors[queries]
        own = None if self.own is None else self.own[queries]
        return Rescored(*some, self.gallery_vectors, self.n_candidates, own)

    def taken(self, rows):
        """Return the same queries, for a gallery of some of the rows."""
        gallery = TakenRows(self.gallery_vectors, rows)
        return Rescored(self.words, self.vectors, gallery, self.n_candidates)

    @property
    def n_searched(self):
        """Number of codes to find by Hamming distance: the candidates, and the query itself."""
        return self.n_candidates + (self.own is not None)

    def with_own(self, rows):
        """Return the `n_searched` nearest rows, the query itself in each.

        Where it is not among them, it takes the last place: each query has as many others.
        """
        if self.own is None or rows.shape[1] != self.n_searched:
            return rows
        return np.column_stack(
            [
                rows[:, :-1],
                np.where((rows[:, :-1] == self.own[:, None]).any(1), rows[:, -1], self.own),
            ]
        )

    def rescore(self, rows, k):
        """Order candidates by cosine distance.

        Parameters
        ----------
        rows : ndarray of shape (n_queries, n_candidates), int64
            Rows of the gallery.
        k : int
            How many to return.

        Returns
        -------
        distances : ndarray of shape (n_queries, k), float64
            Cosine distances, ascending: 1 minus the cosine, which is 0 with a vector of zeros.
        rows : ndarray of shape (n_queries, k), int64
            The rows; of equal distances the lowest row comes first.
        """
        distances = np.empty(rows.shape)
        size = max(1, _VALUES // max(1, rows.shape[1] * self.vectors.shape[1]))
        for batch in gen_batches(len(rows), size):
            read, places = np.unique(rows[batch], return_inverse=True)
            items = _unit_rows(self.gallery_vectors[read], "vectors of the index")
            queries = _unit_rows(self.vectors[batch], "vectors of the queries")
            # Not by BLAS, where equal vectors may have different sums.
            cosines = np.einsum("qcd,qd->qc", items[places.reshape(rows[batch].shape)], queries)
            distances[batch] = 1 - cosines.astype(np.float64)
        order = np.lexsort((rows, distances))[:, :k]
        return np.take_along_axis(distances, order, axis=1), np.take_along_axis(rows, order, axis=1)

    def rank(self, gallery, **engine):
        """Return the ranks of all codes and their rows: the candidates, then the others by bits."""
        distances, rows = _search.nearest(self.words, gallery, gallery.shape[1], **engine)
        n_first = min(self.n_candidates, gallery.shape[1])
        cosine, first = self.rescore(rows[:, :n_first], n_first)
        ranks = np.hstack([_ranks(cosine), n_first + _ranks(distances[:, n_first:])])
        return ranks, np.hstack([first, rows[:, n_first:]])


class TakenRows:
    """Some rows of an array, read when they are asked for."""

    def __init__(self, array, rows):
        self.array, self.rows = array, rows

    def __getitem__(self, rows):
        return self.array[self.rows[rows]]


def _ranks(distances):
    """Return 0 for the smallest distances, 1 for the next, of ascending distances."""
    ranks = np.zeros(distances.shape, dtype=np.int64)
    np.cumsum(distances[:, 1:] != distances[:, :-1], axis=1, out=ranks[:, 1:])
    return ranks


def _unit_rows(vectors, name):
    vectors = np.asarray(vectors, dtype=np.float32)
    if not np.isfinite(vectors).all():
        raise ValueError(
            f"the {name} must be finite, got NaN or infinity: remove these rows, or give other "
            "vectors for them."
        )
    largest = np.abs(vectors).max(axis=1, keepdims=True, initial=0)
    vectors = vectors / np.where(largest > 0, largest, 1)  # whose squares do not overflow
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(norms > 0, norms, 1)


def check_rerank(rerank, n_candidates, k=None):
    """Check the parameters of re-ranking, and that candidates are at least the results wanted."""
    check_choice(rerank, "rerank", RERANK)
    n_candidates = check_integer(n_candidates, "n_candidates")
    if rerank == "vectors" and k is not None and n_candidates < k:
        raise ValueError(
            f"n_candidates must be at least n_neighbors, got n_candidates={n_candidates} for "
            f"n_neighbors={k}: raise n_candidates, or ask for fewer neighbours."
        )


def read_vectors(vectors, n_rows, width=None, name="vectors"):
    """Read vectors; an array or memory map of float16 or float32 is not copied.

    Parameters
    ----------
    vectors : array-like or dataframe of shape (n_rows, n_features)
        The vectors. Float64 becomes float32, but in memory maps.
    n_rows : int
        How many there must be.
    width : int, default=None
        How many features there must be.
    name : str, default="vectors"
        What they are called in an error message.

    Returns
    -------
    ndarray or memmap of shape (n_rows, n_features), float16 or float32
        The vectors. Those of memory maps have not been read.
    """
    if sparse.issparse(vectors):
        raise TypeError(f"{name} must be dense, got a sparse matrix: use vectors.toarray().")
    if np.ma.is_masked(vectors):
        raise ValueError(f"{name} must have no masked values: drop these rows.")
    vectors = np.asanyarray(vectors)
    if vectors.ndim != 2 or vectors.dtype.kind != "f":
        raise TypeError(
            f"{name} must be floats of shape (n_samples, n_features), got {vectors.dtype} of shape "
            f"{shorten(vectors.shape)}: give features of one space, or real codes."
        )
    if len(vectors) != n_rows:
        raise ValueError(
            f"{name} must hold one row per code, got {len(vectors)} rows for {n_rows} codes."
        )
    if width is not None and vectors.shape[1] != width:
        raise ValueError(
            f"{name} have {vectors.shape[1]} columns, those of the index {width}: give vectors of "
            "one space, such as CLIP's features of both modalities, or real codes."
        )
    if not vectors.shape[1]:
        raise ValueError(f"{name} have no columns: give at least one feature.")
    if isinstance(vectors, np.memmap):
        return vectors
    if vectors.dtype.itemsize > 4:
        with np.errstate(over="ignore"):  # infinity is refused
            vectors = vectors.astype(np.float32)
    if not np.isfinite(vectors).all():
        raise ValueError(
            f"{name} must be finite numbers of float32, got NaN or infinity: remove these rows."
        )
    return vectors
