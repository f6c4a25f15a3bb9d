"""From codes to words, part by part, so that codes on disk stay there."""

import numpy as np
from sklearn.utils import gen_batches

from .._hamming.engine_numpy import to_words
from .._hamming.shards import ShardedWords
from .._inputs.mapped import is_mapped
from ..codes import format_of, pack_read

_PART = 1 << 20  # entries of an array that are read at a time


class MappedWords:
    """Words of packed codes that lie row by row in a file; a part is made when it is asked for.

    It looks like the array of words, and is indexed by words and codes: ``words[:, 100:200]``.

    Parameters
    ----------
    rows : ndarray of shape (n_codes, n_bytes), uint8
        The packed codes, a view of a memory map.
    """

    ndim = 2

    def __init__(self, rows):
        self.rows = rows
        none = to_words(rows[:0])
        self.dtype, self.itemsize = none.dtype, none.itemsize
        self.shape = len(none), len(rows)

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, key):
        words, codes = key
        return np.require(to_words(self.rows[codes])[words], requirements="A")


def words_of(codes):
    """Return the words of codes in any format.

    Packed codes of a memory map stay in their file. All others are copied, in parts.

    Parameters
    ----------
    codes : ndarray of shape (n_codes, n_columns)
        Codes that have been read.

    Returns
    -------
    ndarray or MappedWords of shape (n_words, n_codes), unsigned
        Their words.
    """
    if format_of(codes) == "packed" and is_mapped(codes):
        first = to_words(codes[:2])
        if np.may_share_memory(first, codes) and first.flags.aligned:
            return to_words(codes)  # a view: the bytes of a row are a word already
        return MappedWords(codes)
    none = to_words(pack_read(codes[:0]))
    words = np.empty((len(none), len(codes)), dtype=none.dtype)
    for part in parts(codes.T):
        words[:, part] = to_words(pack_read(codes[part]))
    return words


def join_words(first, second):
    """Copy two sets of words into one array; those of Dask workers stay where they are."""
    if isinstance(first, ShardedWords):
        if not isinstance(second, ShardedWords):
            raise TypeError(
                "the codes of the index are on Dask workers, got codes in the memory of this "
                "process: give dask.array.from_array(codes)."
            )
        return first.join(second)
    n_first, n_second = first.shape[1], second.shape[1]
    words = np.empty((len(first), n_first + n_second), dtype=first.dtype)
    for held, start in ((first, 0), (second, n_first)):
        for part in parts(held):
            words[:, start + part.start : start + part.stop] = held[:, part]
    return words


def take_words(words, rows):
    """Copy the words of some codes, in the order of their rows."""
    if isinstance(words, ShardedWords):
        return words.taken(rows)
    return np.ascontiguousarray(words[:, rows])


def parts(array):
    """Yield slices of the columns of an array, of about a million entries each."""
    n_lines, n_columns = array.shape
    return gen_batches(n_columns, max(1, _PART // max(1, n_lines))) if n_columns else iter(())
