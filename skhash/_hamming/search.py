"""Search and rank words: chooses the engine and shares the work among threads.

A gallery is an array of words, or anything of the same shape whose ``gallery[:, part]`` gives words
(codes in a file, say): that is read part by part. What Dask workers hold is searched by them.
"""

import importlib
import sys
from functools import partial
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from sklearn.utils import gen_batches, gen_even_slices

from .._inputs.checks import check_choice, check_n_jobs
from .._libraries import import_optional
from . import engine_numpy as _popcount
from .shards import ShardedWords, small_ids

ALGORITHMS = ("auto", "numpy", "numba")
_COMPILED = "skhash._hamming.engine_numba"
_LITTLE = 1 << 24  # pairs of words to compare that are not worth loading the compiled engine
_CHUNK = 1 << 23  # bytes of a gallery that is not in memory, read at a time
_FOUND = 12  # bytes of a distance and a row
_FEW = 16  # queries a thread: if there are fewer, threads share the gallery instead


def nearest(queries, gallery, k, *, keep=None, algorithm="auto", n_jobs=None, verbose=0):
    """Find the `k` nearest codes of each query.

    Parameters
    ----------
    queries : ndarray of shape (n_words, n_queries)
        Words of the queries.
    gallery : ndarray or ShardedWords of shape (n_words, n_codes)
        Words of the gallery.
    k : int
        Number of neighbours, from 1 to the number of codes that count.
    keep : ndarray of shape (n_codes,), bool, default=None
        Which codes of the gallery count; ``None`` means all.
    algorithm : {"auto", "numpy", "numba"}, default="auto"
        Engine; all give the same.
    n_jobs : int, default=None
        Number of threads.
    verbose : int, default=0
        Whether to say that an engine is compiled.

    Returns
    -------
    distances : ndarray of shape (n_queries, k), int32
        Distances in bits, ascending.
    rows : ndarray of shape (n_queries, k), int64
        Rows of the gallery; of equal distances the lowest row comes first.
    """
    if isinstance(gallery, ShardedWords):
        merge = partial(_merge_nearest, k)
        options = {"algorithm": algorithm, "n_jobs": n_jobs, "verbose": verbose, "keep": keep}
        size = _FOUND * min(k, gallery.shape[1])
        return gallery.search(nearest, queries, merge, _join_nearest, width=size, k=k, **options)
    engine, options = find_engine(algorithm, queries, gallery, verbose)

    def find(batch, words, part, k, mask):
        return engine.nearest(queries[:, batch], words, part, k, mask, **options)

    return share_nearest(find, queries, gallery, k, keep, n_jobs)


def _merge_nearest(k, results):
    distances, rows = (np.hstack(arrays) for arrays in zip(*results, strict=True))
    first = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, first, axis=1), np.take_along_axis(rows, first, axis=1)


def _join_nearest(results):
    return tuple(map(np.concatenate, zip(*results, strict=True)))


def within_radius(queries, gallery, radius, *, keep=None, algorithm="auto", n_jobs=None, verbose=0):
    """Find all codes within a Hamming ball around each query.

    Parameters
    ----------
    queries : ndarray of shape (n_words, n_queries)
        Words of the queries.
    gallery : ndarray of shape (n_words, n_codes)
        Words of the gallery.
    radius : float
        Largest distance in bits that counts.
    keep, algorithm, n_jobs, verbose
        As in `nearest`.

    Returns
    -------
    distances : ndarray of shape (n_found,), int32
        Distances in bits, ascending for each query; those of all queries one after another.
    rows : ndarray of shape (n_found,), int64
        Rows of the gallery; of equal distances the lowest row comes first.
    starts : ndarray of shape (n_queries + 1,), int64
        Where the items of each query start.
    """
    radius = int(min(radius, _popcount.n_distances(gallery)))
    if isinstance(gallery, ShardedWords):
        options = {"algorithm": algorithm, "n_jobs": n_jobs, "verbose": verbose, "keep": keep}
        unite = _merge_balls, _join_balls
        return gallery.search(within_radius, queries, *unite, radius=radius, **options)
    engine, options = find_engine(algorithm, queries, gallery, verbose)

    def task(batch, words, part, first):
        mask = _cut(keep, words, first)
        found = engine.within_radius(queries[:, batch], words, part, radius, mask, **options)
        distances, rows, starts = found
        return distances, rows + first, starts

    return _share(task, queries, gallery, n_jobs, _merge_balls, _join_balls)


def _merge_balls(results):
    numbers = [np.repeat(np.arange(len(s) - 1), np.diff(s)) for _, _, s in results]
    number, distances, rows = map(
        np.concatenate, (numbers, *zip(*((d, r) for d, r, _ in results), strict=True))
    )
    order = np.lexsort((distances, number))  # stable: rows stay in order
    return distances[order], rows[order], sum(s for _, _, s in results)


def _join_balls(results):
    distances, rows, starts = zip(*results, strict=True)
    sizes = [np.diff(s) for s in starts]
    return (
        np.concatenate(distances),
        np.concatenate(rows),
        np.concatenate([[0], np.cumsum(np.concatenate(sizes))]),
    )


def histograms(
    queries,
    gallery,
    y_query,
    y_gallery,
    *,
    n_grades=2,
    keep=None,
    algorithm="auto",
    n_jobs=None,
    verbose=0,
):
    """Count the codes at each distance of each query, apart by grade of relevance.

    Parameters
    ----------
    queries : ndarray of shape (n_words, n_queries)
        Words of the queries.
    gallery : ndarray of shape (n_words, n_codes)
        Words of the gallery.
    y_query, y_gallery : ndarray of shape (n_codes,), int64, or (n_label_words, n_codes), uint64
        Ids, of grade 1 where they are equal; or words of label bits, whose grade is the number of
        shared labels.
    n_grades : int, default=2
        Number of grades; higher ones count as the highest.
    keep, algorithm, n_jobs, verbose
        As in `nearest`.

    Returns
    -------
    ndarray of shape (n_queries, n_distances, n_grades), int64
        The counts.
    """
    if isinstance(gallery, ShardedWords):
        options = {"algorithm": algorithm, "n_jobs": n_jobs, "verbose": verbose, "keep": keep}
        options |= {"y_query": y_query, "y_gallery": small_ids(y_query, y_gallery)}
        size = 8 * n_grades * _popcount.n_distances(gallery)
        unite = sum, np.concatenate
        return gallery.search(histograms, queries, *unite, width=size, n_grades=n_grades, **options)
    if keep is not None:
        gallery, y_gallery = TakenWords(gallery, np.flatnonzero(keep)), y_gallery[..., keep]
    engine, options = find_engine(algorithm, queries, gallery, verbose)

    def task(batch, words, part, first):
        y_words = y_gallery[..., first : first + words.shape[1]]
        labels = y_query[..., batch], y_words
        return engine.histograms(queries[:, batch], words, part, *labels, n_grades, **options)

    return _share(task, queries, gallery, n_jobs, sum, np.concatenate)


def share_nearest(find, queries, gallery, k, keep, n_jobs):
    """Find the nearest codes on parts of the work, and unite what is found by (distance, row).

    Parameters
    ----------
    find : callable
        Function of a slice of the queries, words, a slice of them, the number of neighbours and a
        mask of the words or None, to distances and rows.
    queries, gallery, k, keep, n_jobs
        As in `nearest`.

    Returns
    -------
    distances, rows : ndarray of shape (n_queries, k)
        What `find` returns.
    """

    def task(batch, words, part, first):
        mask = _cut(keep, words, first)
        n_found = part.stop - part.start if mask is None else np.count_nonzero(mask[part])
        n_found = min(k, n_found)
        if not n_found:
            return None
        distances, rows = find(batch, words, part, n_found, mask)
        return distances, rows + first

    def merge(results):
        results = [result for result in results if result is not None]
        return _merge_nearest(k, results) if results else None

    def join(results):
        if results[0] is None:  # no code of this part of the gallery counts
            return None
        return _join_nearest(results)

    return _share(task, queries, gallery, n_jobs, merge, join)


class TakenWords:
    """Some codes of a gallery, which are copied part by part when they are asked for.

    It looks like the array of words, and is indexed by words and codes: ``words[:, 100:200]``.

    Parameters
    ----------
    words : ndarray of shape (n_words, n_codes), unsigned
        Words of a gallery, or what looks like them.
    rows : ndarray of shape (n_taken,), int64
        The codes to take, ascending.
    """

    ndim = 2

    def __init__(self, words, rows):
        self.words, self.rows = words, rows
        self.dtype, self.itemsize = words.dtype, words.itemsize
        self.shape = words.shape[0], len(rows)

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, key):
        words, codes = key
        return self.words[words, self.rows[codes]]


def _cut(keep, words, first):
    """Return the part of a mask that belongs to a part of the gallery."""
    return None if keep is None else keep[first : first + words.shape[1]]


def find_engine(algorithm, queries, gallery, verbose):
    """Return the module that searches, and the options that its functions take."""
    check_choice(algorithm, "algorithm", ALGORITHMS)
    if algorithm == "auto":
        little = queries.size * gallery.shape[1] < _LITTLE and _COMPILED not in sys.modules
        algorithm = "numpy" if little or not _can_compile() else "numba"
    if algorithm == "numpy":
        return _popcount, {}
    import_optional("numba", extra="fast", purpose="algorithm='numba'")
    return importlib.import_module(_COMPILED), {"verbose": verbose}


def _can_compile():
    try:
        importlib.import_module(_COMPILED)
    except ImportError:  # not installed, or not for this version of NumPy
        return False
    return True


def _share(task, queries, gallery, n_jobs, merge, join) -> Any:
    """Run a task on parts of the queries or of the gallery, in threads, and unite the results."""
    n_threads = check_n_jobs(n_jobs)
    n_queries = queries.shape[1]
    whole = slice(0, n_queries)
    by_queries = n_queries >= _FEW * n_threads
    united = None
    for first, words in _in_memory(gallery):
        part = slice(0, words.shape[1])
        if n_threads == 1:
            result = task(whole, words, part, first)
        elif by_queries:
            batches = gen_even_slices(n_queries, min(4 * n_threads, n_queries // _FEW))
            jobs = [(batch, words, part, first) for batch in batches]
            result = join(_in_threads(task, jobs, n_threads))
        else:
            jobs = [(whole, words, p, first) for p in gen_even_slices(part.stop, n_threads)]
            result = merge(_in_threads(task, jobs, n_threads))
        united = result if united is None else merge([united, result])
    return united


def _in_threads(task, jobs, n_threads):
    return Parallel(n_jobs=n_threads, require="sharedmem")(delayed(task)(*job) for job in jobs)


def _in_memory(gallery):
    """Yield the parts of a gallery as words that lie one after another, and where they start."""
    if isinstance(gallery, np.ndarray) and gallery.flags.c_contiguous and gallery.flags.aligned:
        yield 0, gallery
        return
    size = max(1, _CHUNK // (gallery.itemsize * gallery.shape[0]))
    for part in gen_batches(gallery.shape[1], size):
        yield part.start, np.require(gallery[:, part], requirements=["C", "A"])
