"""What compiled searches find on the way: candidates for the k nearest, codes within a radius."""

# pyright: reportCallIssue=false

from numba import njit

from .words_numba import compiled


@njit(inline="always")
def drop(near, where, limit, n_at_limit):
    """Drop candidates beyond the limit; of those at the limit, keep the first."""
    kept = 0
    for i in range(len(near)):
        if near[i] < limit or (near[i] == limit and n_at_limit > 0):
            n_at_limit -= near[i] == limit
            near[kept], where[kept] = near[i], where[i]
            kept += 1
    return kept


@njit
def add(near, where, counts, distance, row, limit, n_below, length, k):
    """Append a candidate nearer than the limit; return the new limit and both new numbers.

    Parameters
    ----------
    near, where : arrays of shape (capacity,)
        Distances and rows of the candidates, in the order of their rows.
    counts : array of shape (n_distances + 1,)
        Candidates by distance.
    distance, row : int
        The candidate.
    limit : int
        Distance from which on nothing is among the k nearest.
    n_below : int
        Candidates nearer than the limit, fewer than `k`.
    length : int
        Candidates that are kept.
    k : int
        Number of neighbours.
    """
    if length == len(near):
        length = drop(near, where, limit, k - n_below)
    near[length], where[length] = distance, row
    counts[distance] += 1
    n_below += 1
    while n_below >= k:
        limit -= 1
        n_below -= counts[limit]
    return limit, n_below, length + 1


@njit(inline="always")
def sort(near, where, length, starts, found, rows):
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


@compiled
def arrange(owner, near, where, n_listed, starts, found, rows):
    """Write codes listed in the order of their rows to their places, by query and distance."""
    for i in range(n_listed):
        q, d = owner[i], near[i]
        found[starts[q, d]], rows[starts[q, d]] = d, where[i]
        starts[q, d] += 1
