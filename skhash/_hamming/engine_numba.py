"""Exact search in Hamming space, compiled.

The functions of `engine_numpy`, with the same results. Compiled code is cached on disk.

What makes it fast: 16 kilobytes of the gallery stay in a core's first cache while many queries pass
over them; a block of codes is opened only if one of them beats the query's k-th distance so far,
which costs one comparison a vector of distances; and words lie so that the compiler turns xor and
population count into vector instructions. `unrolled` is a tuple with an entry a word, since the
length of a tuple is known to the compiler; it is empty for numbers of words that are not written
out.
"""

# pyright: reportCallIssue=false

import numpy as np
from numba import njit

from . import nearest_planes_numba as lookups
from .candidates_numba import arrange, drop, sort
from .engine_numpy import n_distances
from .histograms_numba import histograms
from .words_numba import call, compiled, keeps_none, measure, popcount, read_only

__all__ = ["histograms", "nearest", "within_radius"]

_CACHE = 1 << 14  # bytes of the gallery that a batch of queries passes over
_BATCH = 64  # queries in a batch
_CANDIDATES = 1 << 19  # bytes that the candidates of a batch may take
_LISTED = 1 << 20  # codes within a radius that are listed on the way
_NARROW, _WIDE = 64, 256  # codes in a block, where words are written out and where not

_ALL = read_only(np.empty(0, dtype=bool))[0]


@njit(inline="always")
def _any_below(unrolled, query, gallery, start, limit, distance):
    """Say whether one code of a block is nearer than a limit."""
    below = False
    if len(unrolled) == 1:
        a, w = gallery[0, start : start + _NARROW], query[0]
        for i in range(_NARROW):
            below |= popcount(w ^ a[i]) < limit
    elif len(unrolled) == 2:
        a, w = gallery[0, start : start + _NARROW], query[0]
        b, x = gallery[1, start : start + _NARROW], query[1]
        for i in range(_NARROW):
            below |= popcount(w ^ a[i]) + popcount(x ^ b[i]) < limit
    elif len(unrolled) == 4:
        a, w = gallery[0, start : start + _NARROW], query[0]
        b, x = gallery[1, start : start + _NARROW], query[1]
        c, y = gallery[2, start : start + _NARROW], query[2]
        d, z = gallery[3, start : start + _NARROW], query[3]
        for i in range(_NARROW):
            near = popcount(w ^ a[i]) + popcount(x ^ b[i])
            below |= near + (popcount(y ^ c[i]) + popcount(z ^ d[i])) < limit
    else:
        measure(query, gallery, start, _WIDE, distance)
        for i in range(_WIDE):
            below |= distance[i] < limit
    return below


@njit
def _next(unrolled, query, gallery, start, end, limit, distance):
    """Return the start of the next block that has a code nearer than a limit, or `end`."""
    block = _NARROW if len(unrolled) else _WIDE
    while start + block <= end:
        if _any_below(unrolled, query, gallery, start, limit, distance):
            return start
        start += block
    return start


@njit
def _sift(keep, start, place, n_places):
    """Keep those places of a block that a mask keeps, and say how many."""
    n_kept = 0
    for i in range(n_places):
        place[n_kept] = place[i]
        n_kept += keep[start + place[i]]
    return n_kept


@njit
def _open(query, gallery, start, size, limit, keep, distance, place):
    """Measure a block; list the places of its codes nearer than a limit, and say how many."""
    measure(query, gallery, start, size, distance)
    n_below = 0
    for i in range(size):  # without a branch, which the processor could not predict
        place[n_below] = i
        n_below += np.int64(distance[i]) < limit
    return _sift(keep, start, place, n_below) if len(keep) else n_below


@compiled
def _nearest(unrolled, queries, gallery, begin, end, keep, n_bins, batch, step, found, rows):
    n_queries, k = found.shape
    block, word = _NARROW if len(unrolled) else _WIDE, gallery.dtype.type
    capacity = min(2 * k + 256, end - begin)
    near = np.empty((batch, capacity), np.int16)  # candidates in the order of their rows
    where = np.empty((batch, capacity), np.int64)
    length = np.empty(batch, np.int64)
    limit = np.empty(batch, np.int64)  # what is not nearer is not among the k nearest
    n_below = np.empty(batch, np.int64)  # candidates nearer than the limit: fewer than k
    counts = np.empty((batch, n_bins + 1), np.int64)  # candidates by distance
    distance = np.empty(_WIDE, gallery.dtype)
    place = np.empty(_WIDE + 1, np.int64)
    for first in range(0, n_queries, batch):
        size = min(batch, n_queries - first)
        length[:], limit[:], n_below[:], counts[:] = 0, n_bins, 0, 0
        for start in range(begin, end, step):
            stop = min(end, start + step)
            if keeps_none(keep, start, stop):
                continue
            for q in range(size):
                query, t, c, m = queries[first + q], limit[q], n_below[q], length[q]
                row = _next(unrolled, query, gallery, start, stop, word(t), distance)
                while row < stop:
                    width = min(block, stop - row)
                    for i in range(_open(query, gallery, row, width, t, keep, distance, place)):
                        d = np.int64(distance[place[i]])
                        if d >= t:
                            continue
                        if m == capacity:  # what `add` does, which would take a fifth longer
                            m = drop(near[q], where[q], t, k - c)
                        near[q, m], where[q, m] = d, row + place[i]
                        m += 1
                        counts[q, d] += 1
                        c += 1
                        while c >= k:
                            t -= 1
                            c -= counts[q, t]
                    row = _next(unrolled, query, gallery, row + block, stop, word(t), distance)
                limit[q], n_below[q], length[q] = t, c, m
        for q in range(size):
            sort(near[q], where[q], length[q], counts[q], found[first + q], rows[first + q])


@compiled
def _within(unrolled, queries, gallery, begin, end, keep, step, starts, fill, owner, found, rows):
    """Count what is within a radius by query and distance, and list it as far as there is space.

    With `fill`, write it instead to the places that follow from the counts.
    """
    n_queries, n_near = starts.shape
    block, word, length = _NARROW if len(unrolled) else _WIDE, gallery.dtype.type, 0
    distance = np.empty(_WIDE, gallery.dtype)
    place = np.empty(_WIDE + 1, np.int64)
    for first in range(0, n_queries, _BATCH):
        for start in range(begin, end, step):
            stop = min(end, start + step)
            if keeps_none(keep, start, stop):
                continue
            for q in range(first, min(first + _BATCH, n_queries)):
                query = queries[q]
                row = _next(unrolled, query, gallery, start, stop, word(n_near), distance)
                while row < stop:
                    width = min(block, stop - row)
                    n_open = _open(query, gallery, row, width, n_near, keep, distance, place)
                    for i in range(n_open):
                        d = np.int64(distance[place[i]])
                        if fill:
                            found[starts[q, d]], rows[starts[q, d]] = d, row + place[i]
                        elif length < len(owner):
                            owner[length], found[length], rows[length] = q, d, row + place[i]
                            length += 1
                        starts[q, d] += 1
                    row = _next(unrolled, query, gallery, row + block, stop, word(n_near), distance)


def nearest(queries, gallery, part, k, keep=None, *, verbose=0):
    """Find the `k` nearest codes of each query, as `engine_numpy.nearest` does."""
    shape = n_queries, k = queries.shape[1], k
    found, rows = np.empty(shape, dtype=np.int32), np.empty(shape, dtype=np.int64)
    batch = _CANDIDATES // (10 * min(2 * k + 256, part.stop - part.start))
    batch = max(1, min(batch, n_queries))
    unrolled, *words = _words(queries, gallery)
    arguments = *words, part.start, part.stop, _mask(keep), n_distances(gallery)
    if lookups.suits(gallery, batch):
        lookups.nearest(*arguments, batch, found, rows, verbose=verbose)
    else:
        sizes = min(batch, _BATCH), _step(gallery, batch, keep)
        call(_nearest, unrolled, *arguments, *sizes, found, rows, verbose=verbose)
    return found, rows


def within_radius(queries, gallery, part, radius, keep=None, *, verbose=0):
    """Find all codes within a Hamming ball, as `engine_numpy.within_radius` does."""
    n_near = min(radius + 1, n_distances(gallery))
    counts = np.zeros((queries.shape[1], n_near), dtype=np.int64)
    unrolled, *words = _words(queries, gallery)
    place = part.start, part.stop, _mask(keep)
    arguments = unrolled, *words, *place, _step(gallery, _BATCH, keep)
    listed = tuple(np.empty(_LISTED, dtype) for dtype in (np.int32, np.int32, np.int64))
    if lookups.suits(gallery, len(counts), n_near):
        lookups.within_radius(*words, *place, counts, *listed, verbose=verbose)
    else:
        call(_within, *arguments, counts, False, *listed, verbose=verbose)
    ends = counts.cumsum().reshape(counts.shape)
    starts, n_found = ends - counts, ends[-1, -1]
    found, rows = np.empty(n_found, dtype=np.int32), np.empty(n_found, dtype=np.int64)
    if n_found <= _LISTED:
        call(arrange, *listed, n_found, starts, found, rows, verbose=verbose)
    else:
        call(_within, *arguments, starts, True, listed[0], found, rows, verbose=verbose)
    return found, rows, np.concatenate([[0], ends[:, -1]])


def _words(queries, gallery):
    unrolled = (0,) * len(gallery) if len(gallery) in (1, 2, 4) else ()
    return unrolled, *read_only(queries.T, gallery)


def _mask(keep):
    """Return a mask as the kernels take it: empty where all codes count."""
    return _ALL if keep is None else read_only(keep)[0]


def _step(gallery, batch, keep):
    """Return how many codes a batch of queries passes over at a time."""
    if batch == 1 and keep is None:
        return gallery.shape[1]
    return max(_WIDE, _CACHE // (gallery.itemsize * len(gallery)) // _WIDE * _WIDE)
