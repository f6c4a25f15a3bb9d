r"""Rows of one width, found by keys of 16 bytes, in files that never change. Format version 1.

A folder holds **shards** named ``<16 hexadecimal digits>.shard``, where the digits are drawn at
random. A shard is two arrays in ``.npy`` format (NEP 1, version 1.0), one after the other in one
file, for its distinct keys in ascending order:

* the index, of shape ``(n_rows,)``: the ``key``, 16 bytes, and its ``check``, an unsigned number;
* the rows, of shape ``(n_rows, width)``.

**The check** of a row is :math:`\sum_i m_i w_i + m_k` modulo :math:`2^{64}`. The :math:`w_i` are
the key and then the row, cut into :math:`k` words of 4 bytes, lowest byte first. The :math:`m_i`
are words of 8 bytes, likewise, of SHAKE-256 of the salt of the folder, each with its lowest bit
set. So a row is whole, belongs to its key, and was written for this folder.

**Writing**: a shard is written under another name that ends in ``.tmp``, flushed to the disk and
renamed. Many shards of like size are merged into one, and deleted when that one is there. So any
number of processes write and read at once, and a crash leaves at most a ``.tmp`` file, which is
deleted an hour later. A key may be in several shards. **Reading**: whoever finds a shard gone lists
the folder again; a shard with anything wrong is left out.
"""

import hashlib
import time
from collections import defaultdict
from contextlib import suppress

import numpy as np
from sklearn.utils import gen_batches

from ..._inputs.messages import warn
from .files import BLOCK, INDEX, KEY, SHARD, gathered, only_one, open_shard, write_shard

_MANY = 32  # shards of like size that are merged
_LARGE = 32 << 20  # bytes from which a shard is not merged any more
_OLD = 3600  # seconds after which a temporary file has no writer


class Shards:
    """Rows by keys in one folder.

    Parameters
    ----------
    folder : Path
        The folder; made by the first `put`, inside one that exists.
    dtype : dtype
        Of the rows.
    width : int
        Number of columns; a row must have a multiple of 4 bytes.
    salt : bytes
        What the rows are of: those written with another salt are not read.
    """

    def __init__(self, folder, dtype, width, *, salt):
        self.folder, self.dtype, self.width = folder, np.dtype(dtype), width
        n_words = (KEY.itemsize + self.dtype.itemsize * width) // 4
        words = hashlib.shake_256(salt).digest(8 * (n_words + 1))
        self._multipliers = np.frombuffer(words, dtype="<u8") | np.uint64(1)
        self._names = []  # of all shards that were ever met, by number
        self._damaged = set()
        # Runs of (sorted keys, number of the shard and row of each), each less than half as long
        # as the one before: adding n keys one by one moves each of them log n times.
        self._runs = []

    def get(self, keys):
        """Look keys up, in what any process has put by now.

        Parameters
        ----------
        keys : ndarray of shape (n_keys,), S16
            The keys.

        Returns
        -------
        found : ndarray of shape (n_keys,), bool
            Which are there.
        rows : ndarray of shape (n_keys, width)
            Their rows; zeros for the others.
        """
        found = np.zeros(len(keys), dtype=bool)
        rows = np.zeros((len(keys), self.width), dtype=self.dtype)
        lost = True
        while lost:
            self._refresh()
            number, place = self._find(keys)
            number[found] = -1
            lost = []
            for shard in np.unique(number[number >= 0]):
                at = np.flatnonzero(number == shard)
                if self._copy(shard, place[at], keys, at, rows):
                    found[at] = True
                else:
                    rows[at] = 0
                    lost.append(shard)
            self._forget(lost)
        return found, rows

    def put(self, keys, rows):
        """Write rows; they are on the disk when this returns.

        Parameters
        ----------
        keys : ndarray of shape (n_keys,), S16
            The keys.
        rows : ndarray of shape (n_keys, width)
            Their rows.
        """
        keys, first = np.unique(keys, return_index=True)
        if not len(keys):
            return
        rows = np.ascontiguousarray(rows[first], dtype=self.dtype)
        index = np.empty(len(keys), dtype=INDEX)
        index["key"] = keys
        for block in gen_batches(len(keys), BLOCK):
            index["check"][block] = self._checks(keys[block], rows[block])
        write_shard(self.folder, index, [rows], self.dtype, self.width)
        with suppress(OSError):  # another has merged, or the disk is full; what was put is there
            self._merge()

    def keys(self):
        """Return the distinct keys in ascending order."""
        self._refresh()
        return np.unique(np.concatenate([np.empty(0, KEY), *(keys for keys, _ in self._runs)]))

    def files(self):
        """List (name, size in bytes) of the shards, and delete temporary files without a writer."""
        shards = []
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            with suppress(OSError):  # others delete, too, or the disk may only be read
                if SHARD.fullmatch(path.name):
                    shards.append((path.name, path.stat().st_size))
                elif path.suffix == ".tmp" and time.time() - path.stat().st_mtime > _OLD:
                    path.unlink()
        return shards

    def _checks(self, keys, rows):
        """Return the check of each row; einsum multiplies without converting all of them."""
        of_key, of_row, last = np.split(self._multipliers, [4, len(self._multipliers) - 1])
        words = np.ascontiguousarray(keys).view("<u4").reshape(-1, 4)
        return (
            np.einsum("ij,j->i", words, of_key)
            + np.einsum("ij,j->i", rows.view("<u4"), of_row)
            + last
        )

    def _refresh(self):
        """Load the keys of new shards and forget those of shards that are gone."""
        vanished = True
        while vanished:
            vanished = False
            there = {name for name, _ in self.files()} - self._damaged
            known = {name: number for number, name in enumerate(self._names) if name}
            self._forget([number for name, number in known.items() if name not in there])
            for name in sorted(there - known.keys()):
                try:
                    index, _ = self._open(name)
                except FileNotFoundError:  # merged since: its keys are in a new shard
                    vanished = True
                except ValueError:
                    self._report(name)
                else:
                    self._add(index["key"])
                    self._names.append(name)

    def _add(self, keys):
        """Add the keys of the next shard."""
        place = np.empty((len(keys), 2), dtype=np.int32)
        place[:, 0], place[:, 1] = len(self._names), np.arange(len(keys))
        self._runs.append((keys, place))
        while len(self._runs) > 1 and 2 * len(self._runs[-1][0]) >= len(self._runs[-2][0]):
            pairs = zip(self._runs.pop(), self._runs.pop(), strict=True)
            keys, place = (np.concatenate(pair) for pair in pairs)
            order = np.argsort(keys, kind="stable")
            self._runs.append((keys[order], place[order]))

    def _forget(self, numbers):
        if len(numbers):
            kept = [~np.isin(place[:, 0], numbers) for _, place in self._runs]
            self._runs = [
                (keys[keep], place[keep])
                for (keys, place), keep in zip(self._runs, kept, strict=True)
                if keep.any()
            ]
            for number in numbers:
                self._names[number] = None

    def _find(self, keys):
        """Return the number of a shard that has each key, -1 where none has, and the row in it."""
        number, place = np.full(len(keys), -1), np.zeros(len(keys), dtype=np.intp)
        for run, places in self._runs:
            at = np.minimum(np.searchsorted(run, keys), len(run) - 1)
            hit = run[at] == keys
            number[hit], place[hit] = places[at[hit]].T
        return number, place

    def _copy(self, number, place, keys, at, rows):
        """Copy the rows at `place` of a shard to `rows[at]`; say whether they are all sound."""
        name = self._names[number]
        try:
            index, values = self._open(name)
        except FileNotFoundError:
            return False
        except ValueError:
            return self._report(name)
        for block in gen_batches(len(at), BLOCK):
            taken = np.ascontiguousarray(values[place[block]])
            check = index["check"][place[block]]
            if not np.array_equal(check, self._checks(keys[at[block]], taken)):
                return self._report(name)
            rows[at[block]] = taken
        return True

    def _report(self, name):
        self._damaged.add(name)
        warn(
            f"{self.folder / name} is damaged and ignored, its features are computed again: "
            "delete it.",
        )
        return False

    def _open(self, name):
        return open_shard(self.folder / name, self.dtype, self.width)

    def _merge(self):
        """Merge one crowd of shards of like size, if no other process does."""
        crowds = defaultdict(list)
        for name, size in self.files():
            if size < _LARGE and name not in self._damaged:
                crowds[size.bit_length() // 4].append(name)
        crowd = max(crowds.values(), key=len, default=[])
        if len(crowd) < _MANY:
            return
        with only_one(self.folder) as alone:
            if alone:
                self._merge_all(sorted(crowd))

    def _merge_all(self, names):
        shards = []
        for name in names:
            try:
                index, values = self._open(name)
            except ValueError:
                self._report(name)
                continue
            blocks = gen_batches(len(index), BLOCK)
            checks = [self._checks(index["key"][block], values[block]) for block in blocks]
            if np.array_equal(np.concatenate(checks), index["check"]):
                shards.append((name, index, values))
            else:
                self._report(name)
        if not shards:
            return
        index = np.concatenate([index for _, index, _ in shards])
        shard = np.repeat(np.arange(len(shards)), [len(index) for _, index, _ in shards])
        row = np.concatenate([np.arange(len(index)) for _, index, _ in shards])
        _, first = np.unique(index["key"], return_index=True)
        rows = gathered([values for _, _, values in shards], shard[first], row[first])
        write_shard(self.folder, index[first], rows, self.dtype, self.width)
        for name, _, _ in shards:
            with suppress(OSError):  # another has deleted it; Windows keeps what is mapped
                (self.folder / name).unlink()
