"""Arrays that are views of a file, a memory map."""

import mmap
from weakref import WeakKeyDictionary

import numpy as np

_RESIDENT = 1 << 27  # bytes of a file that may stay resident
_AROUND = 1 << 16  # bytes that the system maps around a byte that is read
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
    rows : slice or array-like of int
        Which rows.

    Returns
    -------
    ndarray or sparse matrix of shape (m, d)
        The rows.
    """
    taken, file = array[rows], file_of(array)
    if file is not None and hasattr(mmap, "MADV_DONTNEED") and memoryview(file).readonly:
        scattered = 0 if isinstance(rows, slice) else len(taken) * _AROUND
        _read[file] = _read.get(file, 0) + max(taken.nbytes, scattered)
        if _read[file] >= _RESIDENT:
            file.madvise(mmap.MADV_DONTNEED)
            _read[file] = 0
    return taken
