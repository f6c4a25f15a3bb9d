"""Exact search by asymmetric distance for many queries, compiled for x86; see `asymmetric_numba`.

The bound of a distance is a sum of bytes, one for each four bits of a code: the weights of those of
the four that differ, in steps so large that the query's k-th distance so far is 254 steps or less.
Each byte is rounded down, by half a step on average, which is too much for many bytes. So of longer
codes the halves are summed apart, in steps of nearly half the size, and the bound is the mean.
The sums are looked up, as `planes_numba` describes.
"""

# pyright: reportCallIssue=false, reportIndexIssue=false

import numpy as np
from numba import njit

from .planes_numba import FEW, GROUP, LOOKS_UP, below, count_groups, new_masks, new_planes, split
from .words_numba import call, compiled, keeps_none, read_only, replace

_BATCH = 256  # queries in a batch
_HALVED = 128  # bits of a code, above which its halves are summed apart
_STEPS = 254, 420  # in a query's k-th distance so far, for one sum or two
_LONG = 512  # bits of a code, above which the sums in steps are too coarse a bound


def suits(weights):
    """Say whether the search is possible on this processor and fast for these queries."""
    n_queries, n_bits = weights.shape
    return LOOKS_UP and n_queries >= FEW and n_bits <= _LONG


@njit
def _fill(queries, weights, n, limit, n_parts, sums, tables):
    """Write the sums of a query's weights by the value of four bits, and the same in steps.

    Returns the step of the bound, which is `n_parts` steps of the tables. A limit, or the largest
    distance, is at most 254 of them; of two parts at most 210, so that a byte also holds the sum of
    a part that is larger than the mean.
    """
    total, n_bits = np.int64(0), 8 * queries.itemsize
    for bit in range(weights.shape[1]):
        total += weights[n, bit]
    step = min(limit, total) // _STEPS[n_parts - 1] + 1
    for m in range(len(sums)):
        own = np.int64(queries[n, 4 * m // n_bits] >> np.uint64(4 * m % n_bits)) & 15
        for value in range(16):
            differing, partial = value ^ own, np.int64(0)
            for bit in range(4):
                partial += (differing >> bit & 1) * np.int64(weights[n, 4 * m + bit])
            sums[m, value], tables[m, value] = partial, min(partial // step, 255)
    return n_parts * step


@njit(inline="always")
def _limit(distance, step):
    """Return what the bound of a code is below if its distance is at most `distance`."""
    return np.uint8(min(distance // step + 1, 255))


@njit
def _measure(sums, q, gallery, row):
    """Return the distance of a code."""
    total, n_planes = np.int64(0), 2 * gallery.itemsize
    for w in range(len(gallery)):
        word = np.uint64(gallery[w, row])
        for m in range(w * n_planes, (w + 1) * n_planes):
            total += np.int64(sums[q, m, word & np.uint64(15)])
            word >>= np.uint64(4)
    return total


@compiled
def _nearest(queries, weights, gallery, begin, end, keep, n_groups, batch, found, rows):
    n_queries, n_planes, size = len(queries), weights.shape[1] // 4, n_groups * GROUP
    n_parts = 1 if weights.shape[1] <= _HALVED else 2
    planes, masks = new_planes(n_groups, n_planes), new_masks()
    near = np.empty(GROUP, np.int64)
    sums = np.empty((batch, n_planes, 16), np.uint32)
    tables = np.empty((batch, n_planes, 16), np.uint8)
    steps = np.empty(batch, np.int64)
    for first in range(0, n_queries, batch):
        last = min(n_queries, first + batch)
        for n in range(first, last):
            q = n - first
            steps[q] = _fill(queries, weights, n, found[n, 0], n_parts, sums[q], tables[q])
        for start in range(begin, end, size):
            stop = min(end, start + size)
            if keeps_none(keep, start, stop):
                continue
            part = start, stop, keep
            split(gallery, start, stop, planes)
            for n in range(first, last):
                q = n - first
                limit = _limit(found[n, 0], steps[q])
                for group in range((stop - start + GROUP - 1) // GROUP):
                    for i in range(
                        below(planes, group, tables, q, n_parts, limit, part, masks, near)
                    ):
                        row = near[i]
                        d = _measure(sums, q, gallery, row)
                        if d < found[n, 0] or (d == found[n, 0] and row < rows[n, 0]):
                            replace(found[n], rows[n], d, row)
                            limit = _limit(found[n, 0], steps[q])


def pass_over(queries, weights, gallery, part, keep, found, rows, verbose):
    """Put the codes that are nearer than what is found into heaps of the nearest."""
    sizes = count_groups(weights.shape[1]), min(_BATCH, len(weights))
    sides = read_only(queries.T, weights, gallery)
    place = part.start, part.stop, *read_only(keep)
    call(_nearest, *sides, *place, *sizes, found, rows, verbose=verbose)
