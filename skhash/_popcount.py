"""Exact search in Hamming space with NumPy alone.

The kernels are pure functions of *words*: packed codes held word-major, as an unsigned array of
shape ``(n_words, n_codes)``. A word has 64 bits, or fewer where a whole code is shorter.
"""

import numpy as np
from sklearn.utils import gen_batches

_TILE = 1 << 15  # entries of a tile: its temporaries stay in the cache of a core
_BLOCK = 1 << 22  # distances held at a time: a few megabytes


def to_words(packed):
    """Turn packed codes into words.

    Parameters
    ----------
    packed : ndarray of shape (n_codes, n_bytes), uint8
        The packed codes.

    Returns
    -------
    ndarray of shape (n_words, n_codes), uint8, uint16, uint32 or uint64
        The same bits, word-major and contiguous, padded with zeros.
    """
    n_codes, n_bytes = packed.shape
    size = next((size for size in (1, 2, 4) if n_bytes <= size), 8)
    n_padding = -n_bytes % size
    if n_padding:
        packed = np.hstack([packed, np.zeros((n_codes, n_padding), dtype=np.uint8)])
    return np.ascontiguousarray(np.ascontiguousarray(packed).view(f"u{size}").T)


def distances(queries, gallery):
    """Compute all Hamming distances between two sets of codes.

    Parameters
    ----------
    queries : ndarray of shape (n_words, n_queries)
        Words of the queries.
    gallery : ndarray of shape (n_words, n_codes)
        Words of the gallery, of the same dtype.

    Returns
    -------
    ndarray of shape (n_queries, n_codes), uint8 or uint16
        The distances in bits, in the smallest dtype that holds them.
    """
    n_words, n_queries = queries.shape
    n_codes = gallery.shape[1]
    dtype = np.uint8 if 8 * gallery.itemsize * n_words < 256 else np.uint16
    result = np.empty((n_queries, n_codes), dtype=dtype)
    for rows in gen_batches(n_queries, max(1, _TILE // n_codes)):
        for columns in gen_batches(n_codes, _TILE):
            tile = result[rows, columns]
            np.bitwise_count(queries[0, rows, None] ^ gallery[0, columns], out=tile)
            for word in range(1, n_words):
                tile += np.bitwise_count(queries[word, rows, None] ^ gallery[word, columns])
    return result


def nearest(queries, gallery, k):
    """Find the `k` nearest codes of each query.

    Parameters
    ----------
    queries : ndarray of shape (n_words, n_queries)
        Words of the queries.
    gallery : ndarray of shape (n_words, n_codes)
        Words of the gallery.
    k : int
        Number of neighbours, from 1 to ``n_codes``.

    Returns
    -------
    distances : ndarray of shape (n_queries, k), int32
        Distances in bits, ascending.
    rows : ndarray of shape (n_queries, k), int64
        Rows of the gallery; of equal distances the lowest row comes first.
    """
    shape = (queries.shape[1], k)
    found, rows = np.empty(shape, dtype=np.int32), np.empty(shape, dtype=np.int64)
    for query, line in _lines(queries, gallery):
        rows[query] = _smallest(line, k)
        found[query] = line[rows[query]]
    return found, rows


def within_radius(queries, gallery, radius):
    """Find all codes within a Hamming ball around each query.

    Parameters
    ----------
    queries : ndarray of shape (n_words, n_queries)
        Words of the queries.
    gallery : ndarray of shape (n_words, n_codes)
        Words of the gallery.
    radius : float
        Largest distance in bits that counts.

    Returns
    -------
    distances : list of ndarray of shape (n_found,), int32
        Distances in bits, ascending, an array a query.
    rows : list of ndarray of shape (n_found,), int64
        Rows of the gallery; of equal distances the lowest row comes first.
    """
    found, rows = [], []
    for _, line in _lines(queries, gallery):
        inside = _up_to(line, radius)
        found.append(line[inside].astype(np.int32))
        rows.append(inside.astype(np.int64, copy=False))
    return found, rows


def _lines(queries, gallery):
    """Yield each query's number and its distances, computed a block of queries at a time."""
    n_codes = gallery.shape[1]
    for batch in gen_batches(queries.shape[1], max(1, _BLOCK // n_codes)):
        yield from enumerate(distances(queries[:, batch], gallery), batch.start)


def _smallest(line, k):
    """Return the first `k` entries of a stable argsort without sorting the rest."""
    low, high = 0, int(line.max())
    while low < high:  # the k-th distance is the first that has k entries up to it
        middle = (low + high) // 2
        if np.count_nonzero(line <= middle) >= k:
            high = middle
        else:
            low = middle + 1
    return _up_to(line, low)[:k]


def _up_to(line, limit):
    candidates = np.flatnonzero(line <= limit)
    return candidates[np.argsort(line[candidates], kind="stable")]
