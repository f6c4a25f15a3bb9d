"""Ids of items: checked, and found again."""

from collections.abc import Set
from typing import Any

import numpy as np

from .._inputs.ids import as_array, of_one_kind
from .._inputs.messages import shorten

_KINDS = {"i": "integers", "U": "strings"}


def read_ids(ids, name="ids", *, ordered=True):
    """Return ids as an array of one of the two types that an index holds.

    Parameters
    ----------
    ids : array-like or set of shape (n_ids,)
        Integers, strings or paths.
    name : str, default="ids"
        What they are called in an error message.
    ordered : bool, default=True
        Whether each belongs to a row, so that a set will not do.

    Returns
    -------
    ndarray of shape (n_ids,), int64 or str of fixed width
        The ids; int64 where there are none.

    Raises
    ------
    TypeError
        If they are neither integers nor strings, or not of one kind.
    ValueError
        If they have not one dimension, one is missing or does not fit its type.
    """
    if ordered and isinstance(ids, Set):
        raise TypeError(f"{name} must have an order, one a row, got a set: give a list.")
    values = as_array(list(ids) if isinstance(ids, Set) else ids, name)
    if values.ndim != 1:
        raise ValueError(
            f"{name} must have one dimension, got the shape {values.shape}: give one id per item."
        )
    if not len(values):
        return np.empty(0, dtype=np.int64)
    values = of_one_kind(values, name)
    if values.dtype.kind == "O":
        if any(value.endswith("\0") for value in values):
            raise ValueError(
                f"{name} must not end with a zero character, which arrays of strings do not keep: "
                "strip it."
            )
        values = values.astype(np.str_)
    if values.dtype.kind == "U":
        return values.astype(values.dtype.newbyteorder("="))
    if values.dtype.kind not in "iu":
        raise TypeError(
            f"{name} must be integers or strings, got the dtype {values.dtype}, such as "
            f"{shorten(values.tolist()[0])}: turn them into strings."
        )
    if values.dtype.kind == "u" and values.max() > np.iinfo(np.int64).max:
        raise ValueError(
            f"{name} must be below 2 ** 63, got {values.max()}: turn them into strings."
        )
    return values.astype(np.int64)


class Ids:
    """Ids of the rows of an index, which never change: other ids are another object.

    Parameters
    ----------
    values : ndarray of shape (n_rows,), int64 or str, or None
        The ids; None where row i is number i.
    own : bool
        Whether they were given. If not, they are the numbers at which the rows were added.
    n_added : int
        How many rows were ever added: the next number.
    """

    def __init__(self, values, own, n_added):
        self.values, self.own, self.n_added = values, own, n_added
        self._order = None

    def __getstate__(self):
        return {**vars(self), "_order": None}

    @classmethod
    def first(cls, ids, n_rows):
        """Return the ids of the first rows, given or None."""
        if ids is None:
            return cls(None, False, n_rows)
        return cls(ids[:0], True, 0).extended(ids, n_rows, None)

    def of(self, rows):
        """Return the ids of rows."""
        return rows if self.values is None else np.asarray(self.values[rows])

    def extended(self, ids, n_rows, keep):
        """Return these ids and those of rows that are added.

        Parameters
        ----------
        ids : ndarray of shape (n_rows,), int64 or str, or None
            The ids of the new rows, or None where they are numbered.
        n_rows : int
            Number of new rows.
        keep : ndarray of bool or None
            Which of the rows that are there are not removed, whose ids are in use.

        Returns
        -------
        Ids
            The ids of all rows.
        """
        if (ids is not None) != self.own:
            raise ValueError(
                "the index was fitted with ids, got none for the new items: give ids in every "
                "call, as ids=...; the second argument is labels."
                if self.own
                else "the index was fitted without ids, so that its items are numbered as they are "
                "added, got ids: leave them out, or fit again with the ids of all items."
            )
        end = self.n_added + n_rows
        if not self.own:
            if self.values is None:
                return Ids(None, False, end)
            return Ids(np.concatenate([self.values, np.arange(self.n_added, end)]), False, end)
        if len(ids) != n_rows:
            raise ValueError(
                f"ids must hold one id per item, got {len(ids)} ids for {n_rows} items."
            )
        held: Any = self.values
        if len(held):
            self._check_kind(ids, "ids")
        check_unique(ids)
        used = self.find(ids, keep) >= 0
        if used.any():
            raise ValueError(
                f"ids must be new, got {_some(ids[used])} of items that the index holds: call "
                "update to replace their codes, or remove them first."
            )
        joined = Ids(np.concatenate([held, ids]) if len(held) else ids.copy(), True, end)
        new = np.argsort(ids, kind="stable")
        places = np.searchsorted(
            joined.values[: len(held)], ids[new], side="right", sorter=self._sorted()
        )
        joined._order = np.insert(self._sorted(), places, len(held) + new)
        return joined

    def taken(self, rows):
        """Return the ids of some rows, which become the only ones."""
        return Ids(self.of(rows), self.own, self.n_added)

    def rows(self, ids, keep, name="ids"):
        """Return the rows of ids, all of which must be there.

        Parameters
        ----------
        ids : ndarray of shape (n_ids,), int64 or str
            What `read_ids` returned.
        keep : ndarray of bool or None
            Which rows are not removed.
        name : str, default="ids"
            What the ids are called in an error message.

        Returns
        -------
        ndarray of shape (n_ids,), int64
            Their rows.
        """
        if not len(ids):
            return np.empty(0, dtype=np.int64)
        self._check_kind(ids, name)
        rows = self.find(ids, keep)
        unknown = rows < 0
        if unknown.any():
            raise ValueError(
                f"{name} must be of items that the index holds, got {_some(ids[unknown])}: leave "
                "out what was never added, or was removed."
            )
        return rows

    def find(self, ids, keep):
        """Return the row of each id, -1 where no row has it that is not removed."""
        if self.values is None:
            rows = np.where((ids >= 0) & (ids < self.n_added), ids, -1)
        elif not len(self.values):
            return np.full(len(ids), -1)
        else:
            order = self._sorted()
            # Without the cast NumPy would convert all ids that are held to the longer type.
            probe = ids.astype(self.values.dtype, copy=False)
            # An id that was removed and added again has several rows, of which the last counts.
            rows = order[np.searchsorted(self.values, probe, side="right", sorter=order) - 1]
            rows = np.where(self.values[rows] == ids, rows, -1)
        return rows if keep is None else np.where(keep[rows], rows, -1)

    def _sorted(self):
        """Return the rows in the order of their ids, those of equal ids in the order of rows."""
        if self._order is None:
            self._order = np.argsort(self.values, kind="stable")
        return self._order

    def _check_kind(self, ids, name):
        kind = "integers" if self.values is None else _KINDS[self.values.dtype.kind]
        if _KINDS[ids.dtype.kind] != kind:
            held = f"ids of the index are {kind}"
            if not self.own:
                held = "items of the index have no ids but the numbers at which they were added"
            raise TypeError(
                f"the {held}, got {_KINDS[ids.dtype.kind]} as {name}, such as {_some(ids[:1])}: "
                f"give {kind}."
            )


def check_unique(ids):
    """Check that no id occurs twice."""
    ordered = np.sort(ids)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(twice):
        first, second = np.flatnonzero(ids == twice[0])[:2]
        raise ValueError(
            f"ids must be unique, got {_some(np.unique(twice))} more than once, first at positions "
            f"{first} and {second}: give each item an id of its own."
        )


def _some(ids):
    """Quote an id, and say how many there are beside it."""
    more = f" and {len(ids) - 1} more" if len(ids) > 1 else ""
    return shorten(ids[0].item(), 60) + more
