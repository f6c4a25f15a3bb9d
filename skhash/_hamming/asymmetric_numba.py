"""Exact search by asymmetric distance, compiled; see `asymmetric_numpy` and `engine_numba`.

A block of codes is opened if one of them has a lower bound below the query's k-th distance so far:
two population counts a word. Only the codes that pass are measured, by tables of bytes. Many
queries are searched by lookups instead where the processor has them; see `asymmetric_planes_numba`.
"""

# pyright: reportCallIssue=false

import numpy as np
from numba import njit

from . import asymmetric_planes_numba as lookups
from .asymmetric_numpy import FARTHEST, coarse_levels, fine_levels, guess_limits
from .words_numba import call, compiled, popcount, read_only, replace

__all__ = ["nearest"]

_CACHE = 1 << 15  # bytes of the gallery that a batch of queries passes over
_BATCH = 64  # queries in a batch
_CANDIDATES = 1 << 20  # bytes that the tables or the candidates of a batch may take
_BLOCK = 64  # codes in a block


@njit(inline="always")
def _bound(planes, signs, gallery, start, size, bound):
    """Write the bounds of `size` codes, from two planes."""
    for w in range(planes.shape[1]):
        a, p, q = gallery[w, start : start + size], planes[0, w], planes[1, w]
        r, s = signs[0, w], signs[1, w]
        if w == 0:
            for i in range(size):
                high = popcount((a[i] & p) ^ r)
                bound[i] = high + high + popcount((a[i] & q) ^ s)
        else:
            for i in range(size):
                high = popcount((a[i] & p) ^ r)
                bound[i] += high + high + popcount((a[i] & q) ^ s)


@njit(inline="always")
def _fine_bound(planes, signs, gallery, start, size, bound):
    """Write the bounds of `size` codes, from three planes."""
    for w in range(planes.shape[1]):
        a, p, q, r = gallery[w, start : start + size], planes[0, w], planes[1, w], planes[2, w]
        s, t, u = signs[0, w], signs[1, w], signs[2, w]
        if w == 0:
            for i in range(size):
                high = popcount((a[i] & p) ^ s)
                high = high + high + popcount((a[i] & q) ^ t)
                bound[i] = high + high + popcount((a[i] & r) ^ u)
        else:
            for i in range(size):
                high = popcount((a[i] & p) ^ s)
                high = high + high + popcount((a[i] & q) ^ t)
                bound[i] += high + high + popcount((a[i] & r) ^ u)


@njit(inline="always")
def _any_below(unrolled, planes, signs, gallery, start, limit, bound):
    """Say whether the bound of one code of a block is below a limit."""
    below = False
    if len(unrolled) == 1:
        a, p, q = gallery[0, start : start + _BLOCK], planes[0, 0], planes[1, 0]
        r, s = signs[0, 0], signs[1, 0]
        for i in range(_BLOCK):
            high = popcount((a[i] & p) ^ r)
            below |= high + high + popcount((a[i] & q) ^ s) < limit
    elif len(unrolled) == 2:
        a, p, q = gallery[0, start : start + _BLOCK], planes[0, 0], planes[1, 0]
        b, t, u = gallery[1, start : start + _BLOCK], planes[0, 1], planes[1, 1]
        r, s, v, w = signs[0, 0], signs[1, 0], signs[0, 1], signs[1, 1]
        for i in range(_BLOCK):
            high = popcount((a[i] & p) ^ r) + popcount((b[i] & t) ^ v)
            low = popcount((a[i] & q) ^ s) + popcount((b[i] & u) ^ w)
            below |= high + high + low < limit
    else:
        _bound(planes, signs, gallery, start, _BLOCK, bound)
        for i in range(_BLOCK):
            below |= bound[i] < limit
    return below


@njit
def _next(unrolled, planes, signs, gallery, start, end, limit, bound):
    """Return the start of the next block that has a code whose bound is below, or `end`."""
    while start + _BLOCK <= end:
        if _any_below(unrolled, planes, signs, gallery, start, limit, bound):
            return start
        start += _BLOCK
    return start


@njit(inline="always")
def _open(planes, signs, gallery, start, size, limit, bound, place):
    """List the places of a block's codes whose finer bound is below a limit, and say how many."""
    if size == _BLOCK:  # whose length the compiler knows
        _fine_bound(planes, signs, gallery, start, _BLOCK, bound)
    else:
        _fine_bound(planes, signs, gallery, start, size, bound)
        bound[size:] = limit
    below, n_below = False, 0
    for i in range(_BLOCK):
        below |= bound[i] < limit
    if below:
        for i in range(_BLOCK):  # without a branch, which the processor could not predict
            place[n_below] = i
            n_below += bound[i] < limit
    return n_below


@njit
def _fill(weights, tables):
    """Sum the weights of each byte's bits, for each of a query's bytes."""
    for b in range(len(tables)):
        tables[b, 0] = 0
        for j in range(8):
            weight, half = weights[8 * b + j], 1 << j
            for byte in range(half):
                tables[b, half + byte] = tables[b, byte] + weight


@njit(inline="always")
def _measure(query, tables, gallery, row):
    """Return the distance of a code."""
    total, n_bytes = np.int64(0), len(tables) // len(query)
    for w in range(len(query)):
        x = np.uint64(query[w] ^ gallery[w, row])
        for b in range(n_bytes):
            total += np.int64(tables[w * n_bytes + b, x & np.uint64(255)])
            x >>= np.uint64(8)
    return total


@njit(inline="always")
def _limit(distance, grid, slack, highest):
    """Return what the bound of a code is below if its distance is below `distance`."""
    distance += slack
    return min(distance // grid + (distance % grid > 0), highest)


@compiled
def _nearest(
    unrolled,
    queries,
    weights,
    planes,
    signs,
    grids,
    slacks,
    planes2,
    signs2,
    grids2,
    slacks2,
    gallery,
    begin,
    end,
    keep,
    batch,
    step,
    found,
    rows,
):
    n_queries, n_bits, word = len(queries), weights.shape[1], gallery.dtype.type
    tables = np.empty((batch, n_bits // 8, 256), np.uint32)
    limits = np.empty((batch, 2), gallery.dtype)
    bound = np.empty(_BLOCK, gallery.dtype)
    place = np.empty(_BLOCK + 1, np.int64)
    for first in range(0, n_queries, batch):
        size = min(batch, n_queries - first)
        for q in range(size):
            n = first + q
            _fill(weights[n], tables[q])
            limits[q, 0] = _limit(found[n, 0], grids[n], slacks[n], 3 * n_bits + 1)
            limits[q, 1] = _limit(found[n, 0], grids2[n], slacks2[n], 7 * n_bits + 1)
        for start in range(begin, end, step):
            stop = min(end, start + step)
            for q in range(size):
                n, t, u = first + q, limits[q, 0], limits[q, 1]
                plane, sign = planes[n], signs[n]
                row = _next(unrolled, plane, sign, gallery, start, stop, t, bound)
                while row < stop:
                    width = min(_BLOCK, stop - row)
                    n_below = _open(planes2[n], signs2[n], gallery, row, width, u, bound, place)
                    for i in range(n_below):
                        item = row + place[i]
                        if len(keep) and not keep[item]:
                            continue
                        d = _measure(queries[n], tables[q], gallery, item)
                        if d < found[n, 0]:
                            replace(found[n], rows[n], d, item)
                            t = word(_limit(found[n, 0], grids[n], slacks[n], 3 * n_bits + 1))
                            u = word(_limit(found[n, 0], grids2[n], slacks2[n], 7 * n_bits + 1))
                    row = _next(unrolled, plane, sign, gallery, row + _BLOCK, stop, t, bound)
                limits[q, 0], limits[q, 1] = t, u


def nearest(queries, weights, gallery, part, k, keep=None, *, verbose=0):
    """Find the `k` nearest codes, as `asymmetric_numpy.nearest` does."""
    n_codes = part.stop - part.start if keep is None else np.count_nonzero(keep[part])
    found = np.repeat(guess_limits(weights, k, n_codes)[:, None], k, axis=1)
    rows = np.full(found.shape, FARTHEST)
    keep = np.empty(0, dtype=bool) if keep is None else keep

    def search(queries, weights, found, rows):
        pass_over = lookups.pass_over if lookups.suits(weights) else _pass_over
        pass_over(queries, weights, gallery, part, keep, found, rows, verbose)

    search(queries, weights, found, rows)
    again = np.flatnonzero(rows[:, 0] == FARTHEST)  # fewer than k are nearer than was guessed
    if len(again):
        nearest_ones = np.full((2, len(again), k), FARTHEST)
        search(queries[:, again], weights[again], *nearest_ones)
        found[again], rows[again] = nearest_ones
    order = np.lexsort((rows, found))
    return np.take_along_axis(found, order, axis=1), np.take_along_axis(rows, order, axis=1)


def _pass_over(queries, weights, gallery, part, keep, found, rows, verbose):
    """Put the codes that are nearer than what is found into heaps of the nearest."""
    n_words, k = len(gallery), found.shape[1]
    n_bytes = max(4 * 256 * n_words * gallery.itemsize, 16 * k)
    batch = max(1, min(_BATCH, len(found), _CANDIDATES // n_bytes))
    step = max(_BLOCK, _CACHE // (gallery.itemsize * n_words) // _BLOCK * _BLOCK)
    sizes = batch, gallery.shape[1] if batch == 1 else step
    unrolled = (0,) * n_words if n_words <= 2 else ()
    levels = *coarse_levels(weights, queries), *fine_levels(weights, queries)
    sides = read_only(queries.T, weights, *levels, gallery)
    place = part.start, part.stop, *read_only(keep)
    call(_nearest, unrolled, *sides, *place, *sizes, found, rows, verbose=verbose)
