"""Exact search in Hamming space, compiled.

The functions of `_popcount`, with the same results. Compiled code is cached on disk.

What makes it fast: 16 kilobytes of the gallery stay in a core's first cache while many queries pass
over them; a block of codes is opened only if one of them beats the query's k-th distance so far,
which costs one comparison a vector of distances; and words lie so that the compiler turns xor and
population count into vector instructions. `unrolled` is a tuple with an entry a word, since the
length of a tuple is known to the compiler; it is empty for numbers of words that are not written
out.
"""

# An intrinsic is defined with the compiler's context as its first argument and called without.
# pyright: reportCallIssue=false

from time import perf_counter

import numpy as np
from numba import njit, typeof, types
from numba.extending import intrinsic

from ._popcount import n_distances

_CACHE = 1 << 14  # bytes of the gallery that a batch of queries passes over
_BATCH = 64  # queries in a batch
_CANDIDATES = 1 << 19  # bytes that the candidates of a batch may take
_NARROW, _WIDE = 64, 256  # codes in a block, where words are written out and where not
_LINE = 2048  # codes whose keys are counted at a time


@intrinsic
def _popcount(typing, word):
    """Count the bits of a word by the processor's instruction, which numba does not offer."""

    def generate(context, builder, signature, arguments):
        return builder.ctpop(arguments[0])

    return (word(word), generate) if isinstance(word, types.Integer) else None


@njit(inline="always")
def _any_below(unrolled, query, gallery, start, limit, distance):
    """Say whether one code of a block is nearer than a limit."""
    below = False
    if len(unrolled) == 1:
        a, w = gallery[0, start : start + _NARROW], query[0]
        for i in range(_NARROW):
            below |= _popcount(w ^ a[i]) < limit
    elif len(unrolled) == 2:
        a, w = gallery[0, start : start + _NARROW], query[0]
        b, x = gallery[1, start : start + _NARROW], query[1]
        for i in range(_NARROW):
            below |= _popcount(w ^ a[i]) + _popcount(x ^ b[i]) < limit
    elif len(unrolled) == 4:
        a, w = gallery[0, start : start + _NARROW], query[0]
        b, x = gallery[1, start : start + _NARROW], query[1]
        c, y = gallery[2, start : start + _NARROW], query[2]
        d, z = gallery[3, start : start + _NARROW], query[3]
        for i in range(_NARROW):
            near = _popcount(w ^ a[i]) + _popcount(x ^ b[i])
            below |= near + (_popcount(y ^ c[i]) + _popcount(z ^ d[i])) < limit
    else:
        _measure(query, gallery, start, _WIDE, distance)
        for i in range(_WIDE):
            below |= distance[i] < limit
    return below


@njit(inline="always")
def _measure(query, gallery, start, size, distance):
    """Write the distances from a query to `size` codes."""
    n_words, w = len(query), 1
    a, x = gallery[0, start : start + size], query[0]
    for i in range(size):
        distance[i] = _popcount(x ^ a[i])
    while w + 2 <= n_words:
        a, x = gallery[w, start : start + size], query[w]
        b, y = gallery[w + 1, start : start + size], query[w + 1]
        for i in range(size):
            distance[i] += _popcount(x ^ a[i]) + _popcount(y ^ b[i])
        w += 2
    if w < n_words:
        a, x = gallery[w, start : start + size], query[w]
        for i in range(size):
            distance[i] += _popcount(x ^ a[i])


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
def _open(query, gallery, start, size, limit, distance, place):
    """Measure a block; list the places of its codes nearer than a limit, and say how many."""
    _measure(query, gallery, start, size, distance)
    n_below = 0
    for i in range(size):  # without a branch: nobody can predict which code passes
        place[n_below] = i
        n_below += np.int64(distance[i]) < limit
    return n_below


@njit(nogil=True, cache=True)
def _nearest(unrolled, queries, gallery, begin, end, n_bins, batch, step, found, rows):
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
            for q in range(size):
                query, t, c, m = queries[first + q], limit[q], n_below[q], length[q]
                row = _next(unrolled, query, gallery, start, stop, word(t), distance)
                while row < stop:
                    width = min(block, stop - row)
                    for i in range(_open(query, gallery, row, width, t, distance, place)):
                        d = np.int64(distance[place[i]])
                        if d >= t:
                            continue
                        if m == capacity:
                            m = _drop(near[q], where[q], t, k - c)
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
            _sort(near[q], where[q], length[q], counts[q], found[first + q], rows[first + q])


@njit(inline="always")
def _drop(near, where, limit, n_at_limit):
    """Drop the candidates that are beaten; of those at the limit the first stay."""
    kept = 0
    for i in range(len(near)):
        if near[i] < limit or (near[i] == limit and n_at_limit > 0):
            n_at_limit -= near[i] == limit
            near[kept], where[kept] = near[i], where[i]
            kept += 1
    return kept


@njit(inline="always")
def _sort(near, where, length, starts, found, rows):
    """Write the first candidates by distance, and by row where distances are equal."""
    starts[:] = 0
    for i in range(length):
        starts[near[i] + 1] += 1
    for d in range(1, len(starts)):
        starts[d] += starts[d - 1]
    for i in range(length):
        target = starts[near[i]]
        starts[near[i]] += 1
        if target < len(found):
            found[target], rows[target] = near[i], where[i]


@njit(nogil=True, cache=True)
def _within(unrolled, queries, gallery, begin, end, step, starts, fill, found, rows):
    """Count what is within a radius by query and distance, or `fill` the places counted before."""
    n_queries, n_near = starts.shape
    block, word = _NARROW if len(unrolled) else _WIDE, gallery.dtype.type
    distance = np.empty(_WIDE, gallery.dtype)
    place = np.empty(_WIDE + 1, np.int64)
    for first in range(0, n_queries, _BATCH):
        for start in range(begin, end, step):
            stop = min(end, start + step)
            for q in range(first, min(first + _BATCH, n_queries)):
                query = queries[q]
                row = _next(unrolled, query, gallery, start, stop, word(n_near), distance)
                while row < stop:
                    width = min(block, stop - row)
                    for i in range(_open(query, gallery, row, width, n_near, distance, place)):
                        d = np.int64(distance[place[i]])
                        if fill:
                            found[starts[q, d]], rows[starts[q, d]] = d, row + place[i]
                        starts[q, d] += 1
                    row = _next(unrolled, query, gallery, row + block, stop, word(n_near), distance)


@njit
def _key(y_query, y_gallery, start, size, same, n_grades, distance, key):
    """Write a number for each distance and grade."""
    a, x = y_gallery[0, start : start + size], y_query[0]
    if same:
        for i in range(size):
            key[i] = distance[i] * n_grades + (a[i] == x)
    elif n_grades == 2 and len(y_query) == 1:
        for i in range(size):
            key[i] = 2 * distance[i] + ((a[i] & x) != 0)
    elif n_grades == 2 and len(y_query) == 2:
        b, y = y_gallery[1, start : start + size], y_query[1]
        for i in range(size):
            key[i] = 2 * distance[i] + (((a[i] & x) | (b[i] & y)) != 0)
    else:
        for i in range(size):
            key[i] = _popcount(a[i] & x)
        for w in range(1, len(y_query)):
            b, y = y_gallery[w, start : start + size], y_query[w]
            for i in range(size):
                key[i] += _popcount(b[i] & y)
        for i in range(size):
            key[i] = distance[i] * n_grades + min(key[i], n_grades - 1)


@njit(nogil=True, cache=True)
def _histograms(queries, gallery, begin, end, y_queries, y_gallery, same, n_grades, counts):
    """Count into four histograms in turn: adding to one number twice in a row is slow."""
    n_queries, n_keys = counts.shape
    batch = max(1, min(8, n_queries, _CANDIDATES // (16 * n_keys)))
    distance = np.empty(_LINE, gallery.dtype)
    key = np.empty(_LINE, np.uint32)
    four = np.empty((4, batch, n_keys), np.uint32)
    for first in range(0, n_queries, batch):
        four[:] = 0
        for start in range(begin, end, _LINE):
            size = min(_LINE, end - start)
            for q in range(min(batch, n_queries - first)):
                _measure(queries[first + q], gallery, start, size, distance)
                y_query = y_queries[first + q]
                _key(y_query, y_gallery, start, size, same, n_grades, distance, key)
                a, b, c, d = four[0, q], four[1, q], four[2, q], four[3, q]
                whole = size - size % 4
                for i in range(0, whole, 4):
                    a[key[i]] += np.uint32(1)
                    b[key[i + 1]] += np.uint32(1)
                    c[key[i + 2]] += np.uint32(1)
                    d[key[i + 3]] += np.uint32(1)
                for i in range(whole, size):
                    a[key[i]] += np.uint32(1)
        for q in range(min(batch, n_queries - first)):
            for i in range(n_keys):
                total = np.int64(four[0, q, i]) + four[1, q, i]
                counts[first + q, i] += total + four[2, q, i] + four[3, q, i]


def nearest(queries, gallery, part, k, *, verbose=0):
    """Find the `k` nearest codes of each query, as `_popcount.nearest` does."""
    shape = n_queries, k = queries.shape[1], k
    found, rows = np.empty(shape, dtype=np.int32), np.empty(shape, dtype=np.int64)
    batch = _CANDIDATES // (10 * min(2 * k + 256, part.stop - part.start))
    batch = max(1, min(batch, _BATCH, n_queries))
    arguments = *_words(queries, gallery), part.start, part.stop, n_distances(gallery), batch
    _call(_nearest, *arguments, _step(gallery, batch), found, rows, verbose=verbose)
    return found, rows


def within_radius(queries, gallery, part, radius, *, verbose=0):
    """Find all codes within a Hamming ball, as `_popcount.within_radius` does."""
    n_near = min(radius + 1, n_distances(gallery))
    counts = np.zeros((queries.shape[1], n_near), dtype=np.int64)
    arguments = *_words(queries, gallery), part.start, part.stop, _step(gallery, _BATCH)
    nothing = np.empty(0, dtype=np.int32), np.empty(0, dtype=np.int64)
    _call(_within, *arguments, counts, False, *nothing, verbose=verbose)
    ends = counts.cumsum().reshape(counts.shape)
    found, rows = np.empty(ends[-1, -1], dtype=np.int32), np.empty(ends[-1, -1], dtype=np.int64)
    _call(_within, *arguments, ends - counts, True, found, rows, verbose=verbose)
    return found, rows, np.concatenate([[0], ends[:, -1]])


def histograms(queries, gallery, part, y_query, y_gallery, n_grades, *, verbose=0):
    """Count the codes at each distance by grade, as `_popcount.histograms` does."""
    same = y_query.ndim == 1
    if same:
        y_query, y_gallery = y_query.view(np.uint64)[None], y_gallery.view(np.uint64)[None]
    _, queries, gallery = _words(queries, gallery)
    _, y_query, y_gallery = _words(y_query, y_gallery)
    n_bins = n_distances(gallery)
    counts = np.zeros((len(queries), n_bins * n_grades), dtype=np.int64)
    arguments = queries, gallery, part.start, part.stop, y_query, y_gallery, same, n_grades
    _call(_histograms, *arguments, counts, verbose=verbose)
    return counts.reshape(-1, n_bins, n_grades)


def _words(queries, gallery):
    """Return what the kernels take of words; read-only, so that one version serves files too."""
    queries, gallery = np.ascontiguousarray(queries.T), np.asarray(gallery).view()
    queries.flags.writeable = gallery.flags.writeable = False
    return (0,) * len(gallery) if len(gallery) in (1, 2, 4) else (), queries, gallery


def _step(gallery, batch):
    """Return how many codes a batch of queries passes over at a time."""
    if batch == 1:
        return gallery.shape[1]
    return max(_WIDE, _CACHE // (gallery.itemsize * len(gallery)) // _WIDE * _WIDE)


def _call(kernel, *arguments, verbose):
    """Call a kernel; if `verbose`, say so where it is not compiled yet."""
    signature = tuple(map(typeof, arguments))
    if verbose and signature not in kernel.overloads:
        print("[skhash] preparing a compiled search kernel ...", flush=True)
        started, n_cached = perf_counter(), sum(kernel.stats.cache_hits.values())
        kernel.compile(signature)
        cached = sum(kernel.stats.cache_hits.values()) > n_cached
        how = "loaded from the cache" if cached else "compiled, and cached for later processes"
        print(f"[skhash] {how} in {perf_counter() - started:.1f} s", flush=True)
    kernel(*arguments)
