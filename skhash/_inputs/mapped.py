"""Arrays that are views of a file, a memory map."""

import mmap
from contextlib import suppress
from weakref import WeakKeyDictionary

import numpy as np

_RESIDENT = 1 << 29  # bytes of a file that may be resident
_AROUND = 1 << 21  # bytes that the system may map around a single row
_SCATTERED = 256  # rows that are read at a time if they are not next to each other
_read = WeakKeyDictionary()  # bytes of each file since its pages were given back


def file_of(array):
    """Return the ``mmap.mmap`` that an array is a view of, or None."""
    while isinstance(array, np.ndarray):
        array = array.base
    return array if isinstance(array, mmap.mmap) else None


def is_mapped(array):
    """Say whether an array is a view of a file."""
    return file_of(array) is not None


def take(array, rows):
    """Return rows of an array. Of a file, give pages that were read before back to the system.

    The system keeps them as long as no one needs the memory, so that reading them again is fast;
    but they do not count as memory of this process. Only of files that are open for reading alone.

    Parameters
    ----------
    array : ndarray or sparse matrix of shape (n, d)
        What to read.
    rows : slice or array-like of int or bool
        Which rows, as indexing takes them.

    Returns
    -------
    ndarray or sparse matrix of shape (m, d)
        The rows.
    """
    file = file_of(array)
    if file is None or not hasattr(mmap, "MADV_DONTNEED") or not memoryview(file).readonly:
        return array[rows]
    if isinstance(rows, slice):
        taken = array[rows]
        _give_back(file, _extent(taken))
        return taken
    rows = np.asarray(rows)
    rows = np.flatnonzero(rows) if rows.dtype == bool else rows.astype(np.intp)
    taken = np.empty((len(rows), *array.shape[1:]), dtype=array.dtype)
    for start in range(0, len(rows), _SCATTERED):
        part = rows[start : start + _SCATTERED]
        taken[start : start + len(part)] = array[part]
        _give_back(file, len(part) * _AROUND)
    return taken


def _extent(taken):
    """Return about how many bytes of a file rows that lie next to each other are read from."""
    outer = max(range(taken.ndim), key=lambda axis: abs(taken.strides[axis]))
    stride = abs(taken.strides[outer])
    return taken.shape[outer] * (stride if outer == 0 else min(stride, _AROUND))


def _give_back(file, n_bytes):
    """Give the pages of a file back to the system if many were read since the last time."""
    _read[file] = _read.get(file, 0) + n_bytes
    if _read[file] >= _RESIDENT:
        with suppress(OSError):  # pages that are locked stay
            file.madvise(mmap.MADV_DONTNEED)
        _read[file] = 0
