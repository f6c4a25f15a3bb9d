"""What a search finds as a table: ids and labels, of items that pass a filter, one a group."""

import os
from collections.abc import Set

import numpy as np
import pandas as pd
from sklearn.utils import gen_batches

from .._inputs.checks import check_integer
from .._inputs.ids import as_array, check_ids
from .._inputs.messages import shorten
from .._ranking.reranking import Rescored, check_rerank
from ._base import at_once
from ._engines import EnginesMixin, Passing
from ._ids import read_ids

_GROW = 4  # times as many neighbours are searched where groups lack
_PAIRS = 1 << 22  # neighbours that are held at a time, of all queries together


class ResultsMixin(EnginesMixin):
    """Tables of results of an index."""

    def search(self, X=None, n_neighbors=None, *, where=None, groups=None, vectors=None):
        """Find the nearest items of each query, as a table of ids, distances and labels.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_queries, n_columns), default=None
            Codes of the queries. ``None`` means the items of the index; none finds itself.
        n_neighbors : int, default=None
            Largest number of results of a query. ``None`` means that of the constructor.
        where : array-like, set or callable, default=None
            Filter: which items may be found. A mask of shape (n_samples_fit_,), bool, with an entry
            for each row, including removed ones; or ids; or a function of ``y_`` that returns such
            a mask. The search is then exact, with any `algorithm`, and it is faster with fewer
            items.
        groups : array-like of shape (n_samples_fit_,) or callable, default=None
            Group of each row, including removed ones, or a function of ``y_`` that returns the
            groups. A query finds only the nearest item of each group, or the one with the lowest
            row if several are equally near.
        vectors : array-like of shape (n_queries, n_features), default=None
            Vectors of the queries, with ``rerank="vectors"``. With `groups`, more than
            `n_candidates` items are re-ranked if necessary.

        Returns
        -------
        DataFrame
            A row for each result, with the columns ``query`` (position of the query), ``rank``
            (from 1), ``id``, ``distance`` (as in :meth:`kneighbors`), and ``label`` if the index
            has labels. For label indicators, ``label`` is a tuple of the columns that are not 0.
            Results of a query are ordered by distance, then by row. A query has fewer than
            `n_neighbors` results if fewer items may be found.

        Raises
        ------
        TypeError
            If `where` or `groups` has an unsupported type, or contains ids of another type than
            those of the index.
        ValueError
            If the queries do not fit the index, a mask or groups have the wrong length, an id is
            unknown, or a function of labels is given and the index has no labels.

        Examples
        --------
        >>> import numpy as np
        >>> from skhash.retrieval import HammingRetriever
        >>> codes = np.array([[False, False], [False, True], [True, True]])
        >>> names = ["a.jpg", "b.jpg", "c.jpg"]
        >>> index = HammingRetriever().fit(codes, ["cat", "dog", "cat"], ids=names)
        >>> index.search([[False, True]])
           query  rank     id  distance label
        0      0     1  b.jpg         0   dog
        1      0     2  a.jpg         1   cat
        2      0     3  c.jpg         1   cat
        >>> index.search([[False, True]], 1, where=lambda labels: labels == "cat")
           query  rank     id  distance label
        0      0     1  a.jpg         1   cat
        """
        held = at_once(self)
        queries, block = held._one_search(X, vectors)
        k = check_integer(held.n_neighbors if n_neighbors is None else n_neighbors, "n_neighbors")
        check_rerank(held.rerank, held.n_candidates, k)
        itself = held._item_rows() if X is None else np.full(queries.shape[1], -1)
        passing = held._passing(where)
        if groups is None:
            found = held._neighbors_of(queries, block, k, passing, itself)
        else:
            found = held._one_a_group(queries, block, k, passing, itself, held._groups(groups))
        return held._table(*found)

    def _passing(self, where):
        """Return the items that a filter lets pass; None if all that are not removed."""
        if where is None:
            return None
        n_rows, name = self.n_samples_fit_, "where"
        if callable(where):
            where, name = where(self._labels_for("where")), "where(y_)"
        if isinstance(where, (str, bytes, os.PathLike)):
            raise TypeError(
                f"{name} must be a mask, a list or set of ids, or a function of the labels, got "
                f"{shorten(where)}: give [{shorten(where)}] for the item of this id, or lambda "
                f"labels: labels == {shorten(where)} for items of this label."
            )
        mask = as_array(list(where) if isinstance(where, Set) else where, name)
        if mask.dtype.kind in "iu" and len(mask) == n_rows > 2 and np.isin(mask, [0, 1]).all():
            raise TypeError(
                f"{name} holds zeros and ones, one per row: use astype(bool) for a mask, and name "
                "each item once in a list of ids."
            )
        if mask.dtype.kind != "b" and name == "where":
            rows = self._ids.rows(read_ids(mask, "where"), self._keep, "where")
            mask = np.zeros(n_rows, dtype=bool)
            mask[rows] = True
            return Passing(mask, int(np.count_nonzero(mask)))
        if mask.dtype.kind != "b":
            raise TypeError(
                f"{name} must be a mask of True and False, got the dtype {mask.dtype}: compare the "
                "labels, for example lambda labels: labels == 'dog'."
            )
        if mask.shape != (n_rows,):
            raise ValueError(
                f"{name} must hold one entry per row of the index, those of removed items included "
                f"({n_rows}), got the shape {mask.shape}."
            )
        mask = mask if self._keep is None else mask & self._keep
        return Passing(mask, int(np.count_nonzero(mask)))

    def _groups(self, groups):
        if callable(groups):
            groups, name = groups(self._labels_for("groups")), "groups(y_)"
        else:
            name = "groups"
        groups = as_array(groups, name)
        if len(groups) != self.n_samples_fit_:
            raise ValueError(
                f"{name} must hold one entry per row of the index, those of removed items included "
                f"({self.n_samples_fit_}), got {len(groups)}."
            )
        return check_ids(groups, name, self.n_samples_fit_)

    def _labels_for(self, name):
        if self.y_ is None:
            raise ValueError(
                f"{name} is a function of the labels, and the index has none: fit it with y, or "
                "give an array."
            )
        return self.y_

    def _neighbors_of(self, queries, block, k, passing, itself):
        """Return the results of all queries, one after another: query, rank, distance and row."""
        n_passing = len(self) if passing is None else passing.n_items
        n_found = min(n_passing, k + int(itself.max(initial=-1) >= 0))
        if not n_found or not queries.shape[1]:
            return _nothing()
        distances, rows = self._nearest(queries, block, n_found, passing)
        return _first(np.arange(len(rows)), distances, rows, rows != itself[:, None], k)

    def _one_a_group(self, queries, block, k, passing, itself, groups):
        """Do so with the nearest item of each group alone.

        Neighbours are searched, more and more for the queries that have found too few groups.
        """
        n_passing = len(self) if passing is None else passing.n_items
        parts, left, wanted = [], np.arange(queries.shape[1]), k
        n_found = _GROW * (k + 1)
        if isinstance(queries, Rescored):  # first the candidates of a search without groups
            n_found = max(k + int(itself.max(initial=-1) >= 0), queries.n_searched)
        while n_passing and len(left):
            n_found, lacking = min(n_passing, n_found), []
            for batch in gen_batches(len(left), max(1, _PAIRS // n_found)):
                some = left[batch]
                asked = queries[:, some]
                distances, rows = self._nearest(asked, block, n_found, passing)
                counted = _first_of_groups(rows, groups, rows != itself[some][:, None])
                done = (counted.sum(axis=1) >= wanted) | (n_found == n_passing)
                parts.append(_first(some[done], distances[done], rows[done], counted[done], k))
                lacking.append(some[~done])
            left, n_found = np.concatenate(lacking), _GROW * n_found
            if wanted == k and len(left):  # are there so many groups?
                there = groups[
                    self._item_rows() if passing is None else np.flatnonzero(passing.mask)
                ]
                wanted = min(k, len(pd.unique(there)))
        if not parts:
            return _nothing()
        found = [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]
        order = np.argsort(found[0], kind="stable")
        return [array[order] for array in found]

    def _table(self, query, rank, distances, rows):
        columns = {"query": query, "rank": rank, "id": self._ids.of(rows), "distance": distances}
        if self.y_ is not None:
            columns["label"] = _label_column(self.y_, rows)
        return pd.DataFrame(columns)


def _nothing():
    numbers = np.empty(0, dtype=np.int64)
    return numbers, numbers, np.empty(0, dtype=np.int32), numbers


def _first(query, distances, rows, counted, k):
    """List the first `k` of the neighbours that count, with their ranks."""
    rank = counted.cumsum(axis=1)
    chosen = counted & (rank <= k)
    query = np.broadcast_to(query[:, None], rows.shape)
    return query[chosen], rank[chosen], distances[chosen], rows[chosen]


def _first_of_groups(rows, groups, counted):
    """Say which neighbours are the first of their group, among those that count."""
    codes = pd.factorize(groups[rows].ravel())[0].reshape(rows.shape)
    codes[~counted] = -1
    order = np.argsort(codes, axis=1, kind="stable")
    ordered = np.take_along_axis(codes, order, axis=1)
    first = np.ones(rows.shape, dtype=bool)
    first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    found = np.empty_like(first)
    np.put_along_axis(found, order, first, axis=1)
    return found & counted


def _label_column(y, rows):
    """Return the labels of rows; of indicators, tuples of the columns that are not 0."""
    if y.ndim == 1:
        return np.asarray(y[rows])
    distinct, place = np.unique(rows, return_inverse=True)
    row, column = np.nonzero(y[distinct])
    starts = np.searchsorted(row, np.arange(1, len(distinct)))
    tuples = (tuple(part.tolist()) for part in np.split(column, starts))
    return np.fromiter(tuples, dtype=object, count=len(distinct))[place]
