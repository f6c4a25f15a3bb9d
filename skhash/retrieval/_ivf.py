"""Approximate search: only the lists nearest to a query are searched."""

from contextlib import contextmanager
from threading import Condition, RLock

import numpy as np

from .._hamming import search as _search
from .._inputs.checks import check_integer, check_n_jobs
from .._libraries import import_optional
from ._rows import parts

# Training points of k-means per list: fewer give poor centroids, more take longer.
_POINTS = 39
_making = RLock()  # lists are made, and completed, by one thread at a time


def import_faiss():
    """Import faiss, or raise an error that names the extra to install."""
    return import_optional("faiss", extra="faiss", purpose="algorithm='faiss-ivf'")


def updated_lists(held, block, words, n_trained, n_lists):
    """Return the lists of a block, built or completed where codes were appended since.

    Parameters
    ----------
    held : dict of str to InvertedLists
        The lists built so far, by block; updated in place. An index shares them with its states
        before codes were appended, which threads may be searching.
    block : str
        The block that is searched.
    words : array of shape (n_words, n_codes), unsigned
        All codes of the block.
    n_trained, n_lists : int
        As in `InvertedLists`.

    Returns
    -------
    InvertedLists
        Lists that hold all codes of the block, and maybe some that were appended since.
    """
    made_of, n_codes = (n_trained, n_lists), words.shape[1]
    lists = held.get(block)
    if lists is not None and lists.made_of == made_of and lists.n_codes >= n_codes:
        return lists
    with _making:
        lists = held.get(block)  # another thread may have completed them
        if lists is None or lists.made_of != made_of:
            lists = InvertedLists(words, n_trained, n_lists)
        elif lists.n_codes < n_codes:
            del held[block]  # so that an interrupted append leaves no incomplete lists
            lists.add(words)
        held[block] = lists
    return lists


class _Lock:
    """A lock that several threads hold to read, or one to write."""

    def __init__(self):
        self._changed, self._n_readers, self._is_written = Condition(), 0, False

    @contextmanager
    def reading(self):
        with self._changed:
            self._changed.wait_for(lambda: not self._is_written)
            self._n_readers += 1
        try:
            yield
        finally:
            with self._changed:
                self._n_readers -= 1
                self._changed.notify_all()

    @contextmanager
    def writing(self):
        with self._changed:
            self._changed.wait_for(lambda: not self._is_written)
            self._is_written = True  # so that readers do not keep a writer waiting for ever
        try:
            with self._changed:
                self._changed.wait_for(lambda: not self._n_readers)
            yield
        finally:
            with self._changed:
                self._is_written = False
                self._changed.notify_all()


class InvertedLists:
    """Codes in lists, one per centroid: ``IndexBinaryIVF`` of faiss.

    The same codes give the same lists: the codes that train the centroids are evenly spaced, the
    seed is fixed, and one thread sums. Threads may search them while another one adds codes: a
    search is of the codes that it names, whatever has been added since.

    Parameters
    ----------
    gallery : array of shape (n_words, n_codes), unsigned
        Words of the codes; faiss keeps a copy.
    n_trained : int
        How many codes, from the first, train the centroids: the same codes give the same lists,
        whether they came together or were appended.
    n_lists : int or None
        Number of lists, of which there are never more than such codes; ``None`` takes
        ``4 sqrt(n_trained)``, or fewer where a list would hold less than 39 codes.
    """

    def __init__(self, gallery, n_trained, n_lists):
        self._faiss, self._lock = import_faiss(), _Lock()
        self.made_of = n_trained, n_lists
        if n_lists is None:
            n_lists = max(1, min(int(4 * n_trained**0.5), n_trained // _POINTS))
        n_bits = 8 * gallery.itemsize * len(gallery)
        self._centroids = self._faiss.IndexBinaryFlat(n_bits)  # faiss does not keep it alive
        self._index = self._faiss.IndexBinaryIVF(self._centroids, n_bits, min(n_lists, n_trained))
        self._index.cp.min_points_per_centroid = 1  # no warning on stderr
        n_points = min(n_trained, _POINTS * self._index.nlist)
        sample = np.linspace(0, n_trained - 1, n_points).astype(np.intp)
        with self._threads(1):
            self._index.train(_bytes(gallery[:, sample]))
        self.add(gallery)

    @property
    def n_codes(self):
        """Number of codes in the lists."""
        return self._index.ntotal

    def add(self, gallery):
        """Add those codes of a gallery that are not in the lists yet."""
        with self._lock.writing(), self._threads(1):
            for part in parts(gallery):
                new = slice(max(part.start, self.n_codes), part.stop)
                if new.start < new.stop:
                    self._index.add(_bytes(gallery[:, new]))

    def nearest(self, queries, gallery, k, *, nprobe, n_jobs):
        """Find `k` near codes of each query, in the order of `_search.nearest`.

        A query whose lists hold fewer than `k` codes is answered exactly; so are all of a gallery
        that codes have been appended to since.

        Parameters
        ----------
        queries, gallery : array of shape (n_words, n_codes), unsigned
            Words of the queries and of the codes in the lists.
        k : int
            Number of neighbours.
        nprobe : int
            Number of lists that are looked at.
        n_jobs : int or None
            Number of threads.

        Returns
        -------
        distances : ndarray of shape (n_queries, k), int32
            Distances in bits, ascending.
        rows : ndarray of shape (n_queries, k), int64
            Rows of the gallery.
        """
        nprobe = min(check_integer(nprobe, "nprobe"), self._index.nlist)
        with self._lock.reading(), self._threads(n_jobs):
            if self.n_codes > gallery.shape[1]:
                return _search.nearest(queries, gallery, k, n_jobs=n_jobs)
            self._index.nprobe = nprobe
            distances, rows = self._index.search(_bytes(queries), k)
        order = np.lexsort((rows, distances))
        distances, rows = (np.take_along_axis(found, order, 1) for found in (distances, rows))
        short = rows[:, -1] < 0  # faiss fills up with -1, at the largest distance
        if short.any():
            distances[short], rows[short] = _search.nearest(
                np.ascontiguousarray(queries[:, short]), gallery, k, n_jobs=n_jobs
            )
        return distances, rows

    def within_radius(self, queries, gallery, radius, *, nprobe, n_jobs):
        """Find codes within a Hamming ball around each query, as `_search.within_radius` does.

        Parameters
        ----------
        queries, gallery : array of shape (n_words, n_codes), unsigned
            As in `nearest`.
        radius : float
            Largest distance in bits that counts.
        nprobe, n_jobs : int
            As in `nearest`.

        Returns
        -------
        distances : ndarray of shape (n_found,), int32
            Distances in bits of all queries' items, ascending within a query.
        rows : ndarray of shape (n_found,), int64
            Rows of the gallery.
        starts : ndarray of shape (n_queries + 1,), int64
            Where the items of each query start, and the last end.
        """
        nprobe = min(check_integer(nprobe, "nprobe"), self._index.nlist)
        below = int(min(radius, self._index.d)) + 1  # faiss leaves the limit itself out
        with self._lock.reading(), self._threads(n_jobs):
            self._index.nprobe = nprobe
            starts, distances, rows = self._index.range_search(_bytes(queries), below)
        query = np.repeat(np.arange(len(starts) - 1), np.diff(starts.astype(np.int64)))
        order = np.lexsort((rows, distances, query))
        order = order[rows[order] < gallery.shape[1]]  # without those appended since
        starts = np.searchsorted(query[order], np.arange(len(starts)))
        return distances[order].astype(np.int32), rows[order], starts

    @contextmanager
    def _threads(self, n_jobs):
        """Set the number of threads of faiss, which is global to the process, for a while."""
        before = self._faiss.omp_get_max_threads()
        self._faiss.omp_set_num_threads(check_n_jobs(n_jobs))
        try:
            yield
        finally:
            self._faiss.omp_set_num_threads(before)


def _bytes(words):
    """Return codes row by row, as faiss takes them; the order of bytes changes no distance."""
    return np.ascontiguousarray(words.T).view(np.uint8)
