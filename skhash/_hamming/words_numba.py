"""What all compiled kernels use: distances between words, and a function that calls a kernel."""

# An intrinsic is defined with the compiler's context as its first argument and called without.
# pyright: reportCallIssue=false

import logging
from threading import Timer
from time import perf_counter

import numpy as np
from numba import njit, typeof, types
from numba.extending import intrinsic

_PAUSE = 1.0  # seconds of compiling or loading after which a line is logged
_ready = set()  # kernels and types of arguments that have been called
_not_kept = set()  # kernels whose code no folder can keep


def compiled(function):
    """Compile a function at its first call; where a folder can be written, keep the code there."""
    try:
        return njit(nogil=True, cache=True)(function)
    except RuntimeError:  # neither this package's folder nor the user's, nor NUMBA_CACHE_DIR
        kernel = njit(nogil=True)(function)
        _not_kept.add(kernel)
        return kernel


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


@njit(inline="always")
def keeps_none(keep, start, stop):
    """Say whether a mask keeps none of some codes: they need not be measured."""
    return len(keep) > 0 and not keep[start:stop].any()


def read_only(*arrays):
    """Return contiguous views that cannot be written, so that one compilation serves files too."""
    views = [np.ascontiguousarray(array).view() for array in arrays]
    for view in views:
        view.flags.writeable = False
    return views


def call(kernel, *arguments, verbose):
    """Call a kernel, which is compiled or loaded first where that has not been done.

    If `verbose`, two lines are printed then; otherwise one is logged where it takes long.
    """
    known = (
        kernel,
        *(len(a) if isinstance(a, tuple) else getattr(a, "dtype", type(a)) for a in arguments),
    )
    if known not in _ready:
        _prepare(kernel, tuple(map(typeof, arguments)), verbose)
        _ready.add(known)
    kernel(*arguments)


def _prepare(kernel, signature, verbose):
    if signature in kernel.overloads:
        return
    if not verbose:
        timer = Timer(_PAUSE, _tell, [kernel in _not_kept])
        timer.daemon = True
        timer.start()
        try:
            kernel.compile(signature)
        finally:
            timer.cancel()
        return
    print("[skhash] preparing a compiled search kernel ...", flush=True)
    started, n_cached = perf_counter(), sum(kernel.stats.cache_hits.values())
    kernel.compile(signature)
    how = "compiled, and cached for later processes"
    if kernel in _not_kept:
        how = "compiled, for this process alone, since NUMBA_CACHE_DIR names no folder to keep it"
    elif sum(kernel.stats.cache_hits.values()) > n_cached:
        how = "loaded from the cache"
    print(f"[skhash] {how} in {perf_counter() - started:.1f} s", flush=True)


def _tell(is_anew):
    when = "once: later processes load it from numba's cache"
    if is_anew:
        when = "in every process: set NUMBA_CACHE_DIR to a folder that can be written, to keep it"
    logging.getLogger("skhash").warning(
        "skhash is compiling its search code for this processor, which takes a few seconds, %s.",
        when,
    )
