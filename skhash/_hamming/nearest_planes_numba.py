"""Exact search in Hamming space for many queries, compiled for x86 without population counts.

Where the processor does not count the bits of all words of a register by one instruction, the
distances are looked up, as `planes_numba` describes. They are sums in bytes, so that codes are
measured one by one until the k-th distance so far fits into a byte.
"""

# pyright: reportCallIssue=false, reportIndexIssue=false

import numpy as np
from numba import njit

from .candidates_numba import add, sort
from .planes_numba import (
    FASTER_THAN_COUNTS,
    FEW,
    GROUP,
    below,
    count_groups,
    new_masks,
    new_planes,
    split,
)
from .words_numba import call, compiled, keeps_none, popcount

_BATCH = 256  # queries in a batch, which share the work of splitting the codes
_HALVED, _LONG = 256, 512  # bits of a code, above which its halves are summed apart, and at most
_MOST = 255  # what a byte holds: a larger sum counts as this one


def suits(gallery, n_queries, limit=0):
    """Say whether the search is possible on this processor, and faster for so many queries."""
    n_bits = 8 * gallery.itemsize * len(gallery)
    is_fast = FASTER_THAN_COUNTS and n_queries >= FEW
    return is_fast and n_bits <= _LONG and limit <= _MOST


@njit(inline="always")
def _count_parts(n_planes):
    """Return the number of parts of the planes that are summed apart."""
    return 1 if 4 * n_planes <= _HALVED else 2


@njit(inline="always")
def _bound(limit, n_parts):
    """Return what the mean of the parts is below if their sum is below a limit."""
    return np.uint8((limit + n_parts - 1) >> (n_parts - 1))


@njit
def _fill(query, table):
    """Write the distances of a query by the value of four bits."""
    n_bits = 8 * query.itemsize
    for m in range(len(table)):
        own = np.int64(query[4 * m // n_bits] >> np.uint64(4 * m % n_bits)) & 15
        for value in range(16):
            table[m, value] = popcount(np.uint64(value ^ own))


@njit(inline="always")
def _measure(query, gallery, row):
    """Return the distance of a code."""
    distance = np.int64(0)
    for w in range(len(query)):
        distance += np.int64(popcount(query[w] ^ gallery[w, row]))
    return distance


@compiled
def _nearest(queries, gallery, begin, end, keep, n_bins, batch, n_groups, found, rows):
    n_queries, k = found.shape
    capacity = min(2 * k + 256, end - begin)
    n_planes, size = 2 * gallery.itemsize * len(gallery), n_groups * GROUP
    planes, masks = new_planes(n_groups, n_planes), new_masks()
    near_rows = np.empty(GROUP, np.int64)
    tables = np.empty((batch, n_planes, 16), np.uint8)
    n_parts = _count_parts(n_planes)
    near = np.empty((batch, capacity), np.int16)  # candidates in the order of their rows
    where = np.empty((batch, capacity), np.int64)
    length = np.empty(batch, np.int64)
    limit = np.empty(batch, np.int64)  # what is not nearer is not among the k nearest
    n_below = np.empty(batch, np.int64)  # candidates nearer than the limit: fewer than k
    passed = np.empty(batch, np.int64)  # the row before which codes have been measured
    counts = np.empty((batch, n_bins + 1), np.int64)  # candidates by distance
    for first in range(0, n_queries, batch):
        n_own = min(batch, n_queries - first)
        limit[:], counts[:] = n_bins, 0
        for q in range(n_own):
            query, t, c, m, row = queries[first + q], limit[q], 0, 0, begin
            _fill(query, tables[q])
            while t > _MOST * n_parts and row < end:
                d = _measure(query, gallery, row)
                if d < t and (not len(keep) or keep[row]):
                    t, c, m = add(near[q], where[q], counts[q], d, row, t, c, m, k)
                row += 1
            limit[q], n_below[q], length[q], passed[q] = t, c, m, row
        for start in range(begin, end, size):
            stop = min(end, start + size)
            if keeps_none(keep, start, stop):
                continue
            part = start, stop, keep
            split(gallery, start, stop, planes)
            for q in range(n_own):
                query, t, c, m = queries[first + q], limit[q], n_below[q], length[q]
                for group in range((stop - start + GROUP - 1) // GROUP):
                    bound = _bound(t, n_parts)
                    for i in range(
                        below(planes, group, tables, q, n_parts, bound, part, masks, near_rows)
                    ):
                        row = near_rows[i]
                        d = _measure(query, gallery, row)
                        if d < t and row >= passed[q]:
                            t, c, m = add(near[q], where[q], counts[q], d, row, t, c, m, k)
                limit[q], n_below[q], length[q] = t, c, m
        for q in range(n_own):
            sort(near[q], where[q], length[q], counts[q], found[first + q], rows[first + q])


@compiled
def _within(queries, gallery, begin, end, keep, n_groups, counts, owner, found, rows):
    n_queries, limit = counts.shape
    n_planes, size, length = 2 * gallery.itemsize * len(gallery), n_groups * GROUP, 0
    planes, masks = new_planes(n_groups, n_planes), new_masks()
    near_rows = np.empty(GROUP, np.int64)
    tables = np.empty((_BATCH, n_planes, 16), np.uint8)
    n_parts = _count_parts(n_planes)
    bound = _bound(limit, n_parts)
    for first in range(0, n_queries, _BATCH):
        n_own = min(_BATCH, n_queries - first)
        for q in range(n_own):
            _fill(queries[first + q], tables[q])
        for start in range(begin, end, size):
            stop = min(end, start + size)
            if keeps_none(keep, start, stop):
                continue
            part = start, stop, keep
            split(gallery, start, stop, planes)
            for q in range(n_own):
                n = first + q
                for group in range((stop - start + GROUP - 1) // GROUP):
                    for i in range(
                        below(planes, group, tables, q, n_parts, bound, part, masks, near_rows)
                    ):
                        d = _measure(queries[n], gallery, near_rows[i])
                        if d >= limit:
                            continue
                        if length < len(owner):
                            owner[length], found[length], rows[length] = n, d, near_rows[i]
                            length += 1
                        counts[n, d] += 1


def nearest(queries, gallery, begin, end, keep, n_bins, batch, found, rows, *, verbose):
    """Write the nearest codes of each query, as the search by population counts does."""
    n_groups = count_groups(8 * gallery.itemsize * len(gallery))
    place = begin, end, keep, n_bins, min(batch, _BATCH), n_groups
    call(_nearest, queries, gallery, *place, found, rows, verbose=verbose)


def within_radius(queries, gallery, begin, end, keep, counts, owner, found, rows, *, verbose):
    """Count and list what is within a radius, as the search by population counts does."""
    place = begin, end, keep, count_groups(8 * gallery.itemsize * len(gallery))
    call(_within, queries, gallery, *place, counts, owner, found, rows, verbose=verbose)
