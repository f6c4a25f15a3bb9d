"""Searching the words of an index: what is asked, which rows are looked at, by which engine."""

from functools import partial
from typing import NamedTuple

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._blocks import table_columns
from .._hamming import search as _search
from .._hamming.search import TakenWords
from .._hamming.shards import ShardedWords
from .._inputs.checks import check_integer
from .._inputs.lazy import refuse_lazy
from .._inputs.mapped import is_mapped
from .._ranking.reranking import Asymmetric, Rescored, check_rerank
from .._ranking.scorer import paired_codes
from ._index import read_blocks
from ._ivf import updated_lists
from ._rerank import ANSWERS, RerankMixin, check_modality
from ._rows import words_of

# Where more than this part of the rows is removed, the others are searched in a copy.
_FEW_REMOVED = 8
# Copying the word of a row takes as long as comparing it with so many queries.
_COPY = 25


class Dense(NamedTuple):
    """A copy of the words of some rows."""

    of: np.ndarray  # the mask of the rows that were there when this was made
    rows: np.ndarray
    words: np.ndarray
    keep: np.ndarray | None  # which of them have not been removed since


class Passing(NamedTuple):
    """The items that a filter lets pass."""

    mask: np.ndarray  # an entry a row, False for removed ones
    n_items: int


class EnginesMixin(RerankMixin):
    """Engines of an index."""

    def _searches(self, X, vectors=None, *, by_bits=False):
        """Pair each block of queries with the block of the index that answers it.

        Queries are words; or `Asymmetric` or `Rescored` queries, if `rerank` says so and not
        `by_bits`.
        """
        check_is_fitted(self)
        refuse_lazy(X, "queries")
        searches, blocks = [], read_blocks(self, X, reset=False, queries=True)
        check_modality(vectors, X, paired=self.paired_)
        for block, codes in blocks.items():
            words, some = words_of(codes)[:, :], vectors
            if vectors is not None and len(blocks) == 2:
                some = paired_codes(np.asarray(vectors), table_columns(vectors))[block]
            queries = words if by_bits else self._reranked(codes, words, block, some)
            searches.append((queries, ANSWERS[block]))
        return searches

    def _one_search(self, X, vectors=None, *, by_bits=False):
        """Return the queries, those of the index itself if `X` is None, and the block."""
        check_is_fitted(self)
        if X is None and not self.paired_:
            words = np.ascontiguousarray(self._only_items("codes")[:, :])
            return (words if by_bits else self._own_queries(words)), "codes"
        searches = [] if X is None else self._searches(X, vectors, by_bits=by_bits)
        if len(searches) != 1:
            raise ValueError(
                "pairs search a paired index in two directions, so their neighbours are ambiguous: "
                "give the image__* or the text__* columns alone."
            )
        return searches[0]

    def _check_n_neighbors(self, n_neighbors, n_items):
        k = self.n_neighbors if n_neighbors is None else n_neighbors
        k = check_integer(k, "n_neighbors")
        check_rerank(self.rerank, self.n_candidates, k)
        if k > n_items:
            raise ValueError(
                f"n_neighbors must be at most the number of items, got n_neighbors={k} "
                f"for {n_items} items."
            )
        return k

    def _nearest(self, queries, block, k, passing=None):
        """Find the `k` nearest items: all ways to search end here.

        Parameters
        ----------
        queries : ndarray of shape (n_words, n_queries), Asymmetric or Rescored
            Words of the queries, or what takes their place.
        block : str
            The block to search.
        k : int
            Number of neighbours, from 1 to the number of items that pass.
        passing : Passing, default=None
            Which items are searched; ``None`` means all that are not removed.

        Returns
        -------
        distances : ndarray of shape (n_queries, k), int32 or float64
            Distances, ascending.
        rows : ndarray of shape (n_queries, k), int64
            Rows of the index; of equal distances the lowest row comes first.
        """
        if isinstance(queries, Rescored):
            n_passing = len(self) if passing is None else passing.n_items
            n_searched = min(max(k, queries.n_searched), n_passing)
            _, rows = self._nearest(queries.words, block, n_searched, passing)
            return queries.rescore(queries.with_own(rows), k)
        if passing is None and self.algorithm == "faiss-ivf":
            lists, words, rows = self._inverted_lists(block)
            options = {"nprobe": self.nprobe, "n_jobs": self.n_jobs}
            distances, found = lists.nearest(queries, words, k, **options)
        else:
            if passing is None:
                words, rows, keep = self._items(block)
            else:
                words, rows, keep = self._some(block, passing, queries.shape[1])
            find = partial(_search.nearest, queries)
            if isinstance(queries, Asymmetric):
                find = queries.nearest
            distances, found = find(words, k, keep=keep, **self._engine())
        return distances, found if rows is None else rows[found]

    def _within_radius(self, queries, block, radius):
        """Find the items within a distance, as `_search.within_radius` does."""
        if not len(self):
            nothing = np.empty(0, dtype=np.int32), np.empty(0, dtype=np.int64)
            return *nothing, np.zeros(queries.shape[1] + 1, dtype=np.int64)
        if self.algorithm == "faiss-ivf":
            lists, words, rows = self._inverted_lists(block)
            options = {"nprobe": self.nprobe, "n_jobs": self.n_jobs}
            distances, found, starts = lists.within_radius(queries, words, radius, **options)
        else:
            words, rows, keep = self._items(block)
            distances, found, starts = _search.within_radius(
                queries, words, radius, keep=keep, **self._engine()
            )
        return distances, found if rows is None else rows[found], starts

    def _engine(self):
        exact = "auto" if self.algorithm == "faiss-ivf" else self.algorithm
        return {"algorithm": exact, "n_jobs": self.n_jobs, "verbose": self.verbose}

    def _items(self, block):
        """Return words, the rows that they are of (None for all), and which of them count."""
        words, keep = self.words_[block], self._keep
        n_rows, n_items = self.n_samples_fit_, len(self)
        in_memory = isinstance(words, np.ndarray) and not is_mapped(words)
        if keep is None or not in_memory or _FEW_REMOVED * (n_rows - n_items) <= n_rows:
            return words, None, keep
        held = vars(self).setdefault("_dense", {})
        dense = held.get(block)
        if dense is None or dense.of is not keep:
            if dense is not None and _FEW_REMOVED * n_items >= (_FEW_REMOVED - 1) * len(dense.rows):
                dense = dense._replace(of=keep, keep=keep[dense.rows])
            else:
                rows = np.flatnonzero(keep)
                dense = Dense(keep, rows, np.ascontiguousarray(words[:, rows]), None)
            held[block] = dense
        return dense.words, dense.rows, dense.keep

    def _some(self, block, passing, n_queries):
        """Do so for the rows that pass a filter: few are copied, of many the others are masked."""
        words, (mask, n_items) = self.words_[block], passing
        if isinstance(words, ShardedWords):
            return words, None, mask
        if _COPY * n_items < n_queries * (len(mask) - n_items):
            rows = np.flatnonzero(mask)
            return TakenWords(words, rows), rows, None
        return words, None, mask

    def _only_items(self, block):
        """Return the words of all items that are not removed, and of nothing else."""
        words, _, keep = self._items(block)
        if keep is None:
            return words
        rows = np.flatnonzero(keep)
        return words.taken(rows) if isinstance(words, ShardedWords) else TakenWords(words, rows)

    def _ranking(self, queries, block):
        """Return queries and the words of all items, for a ranking of these."""
        if isinstance(queries, Rescored) and self._keep is not None:
            queries = queries.taken(np.flatnonzero(self._keep))
        return queries, self._only_items(block)

    def _inverted_lists(self, block):
        """Return faiss's lists of all items of a block, the items' words, and their rows."""
        held, words = vars(self).setdefault("_lists", {}), self.words_[block]
        rows = None
        if self._keep is not None:
            rows = np.flatnonzero(self._keep)
            words = TakenWords(words, rows)
        lists = updated_lists(held, block, words, self._n_items_trained(), self.n_lists)
        return lists, words, rows

    def _n_items_trained(self):
        """Return how many items that are not removed train inverted lists."""
        if self._keep is None:
            return self._n_trained
        return int(np.count_nonzero(self._keep[: self._n_trained]))
