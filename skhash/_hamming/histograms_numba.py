"""Counting items by distance and grade of relevance, compiled; see `engine_numba`.

Distances and grades of 1,024 items become numbers, *keys*, by vector instructions. Counting keys is
what takes the time, since it goes one by one. So two keys are counted as one pair wherever a table
of all pairs is small beside the gallery, which halves the work.
"""

# pyright: reportCallIssue=false

import numpy as np
from numba import njit

from .engine_numpy import n_distances
from .words_numba import call, compiled, measure, popcount, read_only

_LINE = 1024  # items whose keys are made at a time
_CHUNK = _LINE * 127  # items whose pairs are counted at a time, less than 2 ** 16
_BATCH = 8  # queries that pass over them
_TABLES = 1 << 20  # bytes that the tables of a batch may take


@njit
def _keys(y_query, y_gallery, start, same, n_bins, n_grades, distance, shared, key):
    """Write a number for each grade and distance: the bins of grade 0 come first."""
    size = len(key)
    if same:
        a, x = y_gallery[0, start : start + size], y_query[0]
        for i in range(size):
            key[i] = distance[i] + n_bins * (a[i] == x)
    elif n_grades == 2:
        _binary_keys(y_query, y_gallery, start, n_bins, distance, shared, key)
    else:
        highest = np.uint64(n_grades - 1)
        for i in range(size):
            shared[i] = 0
        for w in range(len(y_query)):
            a, x = y_gallery[w, start : start + size], y_query[w]
            for i in range(size):
                shared[i] += popcount(a[i] & x)
        for i in range(size):
            key[i] = distance[i] + n_bins * min(shared[i], highest)


@njit
def _binary_keys(y_query, y_gallery, start, n_bins, distance, shared, key):
    """Do so for shared labels or none; words in which the query has none are passed over."""
    size, n_used, first, second = len(key), 0, 0, 0
    for w in range(len(y_query)):
        if y_query[w] != 0:
            first, second = second, w
            n_used += 1
    b, y = y_gallery[second, start : start + size], y_query[second]
    if n_used < 2:
        for i in range(size):
            key[i] = distance[i] + n_bins * ((b[i] & y) != 0)
    elif n_used == 2:
        a, x = y_gallery[first, start : start + size], y_query[first]
        for i in range(size):
            key[i] = distance[i] + n_bins * (((a[i] & x) | (b[i] & y)) != 0)
    else:
        for i in range(size):
            shared[i] = 0
        for w in range(len(y_query)):
            a, x = y_gallery[w, start : start + size], y_query[w]
            for i in range(size):
                shared[i] |= a[i] & x
        for i in range(size):
            key[i] = distance[i] + n_bins * (shared[i] != 0)


@compiled
def _histograms(queries, gallery, begin, end, y_queries, y_gallery, same, n_grades, pairs, counts):
    n_queries, n_keys = counts.shape
    n_bins = np.uint64(n_keys // n_grades)  # signed numbers would make floats of the unsigned
    distance = np.empty(_LINE, gallery.dtype)
    shared = np.empty(_LINE, np.uint64)
    key = np.empty(_LINE, np.uint32)
    sums = np.empty(n_keys, np.uint32)
    for first in range(0, n_queries, len(pairs)):
        batch = min(len(pairs), n_queries - first)
        for chunk in range(begin, end, _CHUNK):
            stop = min(end, chunk + _CHUNK)
            pairs[:] = 0
            for start in range(chunk, stop, _LINE):
                size = min(_LINE, stop - start)
                for q in range(batch):
                    y_query, line = y_queries[first + q], key[:size]
                    measure(queries[first + q], gallery, start, size, distance)
                    _keys(y_query, y_gallery, start, same, n_bins, n_grades, distance, shared, line)
                    _count(line, n_keys, pairs[q], counts[first + q])
            for q in range(batch):
                _add_pairs(pairs[q], n_keys, sums, counts[first + q])


@njit
def _count(key, n_keys, pairs, counts):
    """Count keys, a key of the first half of a line and one of the second together."""
    n_pairs = len(key) // 2 if len(pairs) else 0
    for i in range(n_pairs):
        key[i] += key[n_pairs + i] * np.uint32(n_keys)
    for i in range(n_pairs):
        pairs[key[i]] += np.uint16(1)
    for i in range(2 * n_pairs, len(key)):
        counts[key[i]] += 1


@njit
def _add_pairs(pairs, n_keys, sums, counts):
    """Add the counts of pairs to those of their two keys."""
    sums[:] = 0
    for start in range(0, len(pairs), n_keys):
        row, total = pairs[start : start + n_keys], np.uint32(0)
        for i in range(n_keys):
            total += np.uint32(row[i])
            sums[i] += np.uint32(row[i])
        counts[start // n_keys] += total
    for i in range(n_keys):
        counts[i] += sums[i]


def histograms(queries, gallery, part, y_query, y_gallery, n_grades, *, verbose=0):
    """Count the codes at each distance by grade, as `engine_numpy.histograms` does."""
    same = y_query.ndim == 1
    if same:
        y_query, y_gallery = y_query.view(np.uint64)[None], y_gallery.view(np.uint64)[None]
    n_bins = n_distances(gallery)
    n_keys = n_bins * n_grades
    counts = np.zeros((queries.shape[1], n_keys), dtype=np.int64)
    n_pairs = n_keys**2 if n_keys**2 <= 2 * (part.stop - part.start) else 0
    batch = max(1, min(_BATCH, len(counts), _TABLES // max(1, 2 * n_pairs)))
    call(
        _histograms,
        *read_only(queries.T, gallery),
        part.start,
        part.stop,
        *read_only(y_query.T, y_gallery),
        same,
        n_grades,
        np.empty((batch, n_pairs), dtype=np.uint16),
        counts,
        verbose=verbose,
    )
    return counts.reshape(-1, n_grades, n_bins).transpose(0, 2, 1)
