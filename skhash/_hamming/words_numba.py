"""What all compiled kernels use: distances between words, and a function that calls a kernel."""

# An intrinsic is defined with the compiler's context as its first argument and called without.
# pyright: reportCallIssue=false

from time import perf_counter

import numpy as np
from numba import njit, typeof, types
from numba.extending import intrinsic


@intrinsic
def popcount(typing, word):
    """Count the bits of a word by the processor's instruction, which numba does not offer."""

    def generate(context, builder, signature, arguments):
        return builder.ctpop(arguments[0])

    return (word(word), generate) if isinstance(word, types.Integer) else None


@njit(inline="always")
def measure(query, gallery, start, size, distance):
    """Write the distances from a query to `size` codes."""
    n_words, w = len(query), 1
    a, x = gallery[0, start : start + size], query[0]
    for i in range(size):
        distance[i] = popcount(x ^ a[i])
    while w + 2 <= n_words:
        a, x = gallery[w, start : start + size], query[w]
        b, y = gallery[w + 1, start : start + size], query[w + 1]
        for i in range(size):
            distance[i] += popcount(x ^ a[i]) + popcount(y ^ b[i])
        w += 2
    if w < n_words:
        a, x = gallery[w, start : start + size], query[w]
        for i in range(size):
            distance[i] += popcount(x ^ a[i])


@njit
def replace(found, rows, distance, row):
    """Put a code in the place of the worst, the root of a heap; of equal ones the last row is."""
    k, i = len(found), 0
    while True:
        child = 2 * i + 1
        if child >= k:
            break
        if child + 1 < k and (
            found[child + 1] > found[child]
            or (found[child + 1] == found[child] and rows[child + 1] > rows[child])
        ):
            child += 1
        if found[child] < distance or (found[child] == distance and rows[child] < row):
            break
        found[i], rows[i] = found[child], rows[child]
        i = child
    found[i], rows[i] = distance, row


def read_only(*arrays):
    """Return contiguous views that cannot be written, so that one compilation serves files too."""
    views = [np.ascontiguousarray(array).view() for array in arrays]
    for view in views:
        view.flags.writeable = False
    return views


def call(kernel, *arguments, verbose):
    """Call a kernel; if `verbose`, print a line where it has to be compiled first."""
    if verbose and (signature := tuple(map(typeof, arguments))) not in kernel.overloads:
        print("[skhash] preparing a compiled search kernel ...", flush=True)
        started, n_cached = perf_counter(), sum(kernel.stats.cache_hits.values())
        kernel.compile(signature)
        cached = sum(kernel.stats.cache_hits.values()) > n_cached
        how = "loaded from the cache" if cached else "compiled, and cached for later processes"
        print(f"[skhash] {how} in {perf_counter() - started:.1f} s", flush=True)
    kernel(*arguments)
