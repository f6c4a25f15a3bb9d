"""Exact search in Hamming space with NumPy alone.

The kernels are pure functions of *words*: packed codes held word-major, as an unsigned array of
shape ``(n_words, n_codes)``. A word has 64 bits, or fewer where a whole code is shorter. `part` is
a slice of the gallery to search; rows count from the start of the gallery.
"""

import numpy as np
from sklearn.utils import gen_batches

_TILE = 1 << 18  # pairs of a query and a code at a time: temporaries stay in the caches
_COLUMNS = 1 << 13  # codes of a tile, where there are many queries
_COUNTS = 1 << 20  # counts of a histogram that are made at a time
_SORT_SHARE = 8  # where k is more than this part of the codes, sorting all of them is cheaper


def to_words(packed, min_bytes=1):
    """Turn packed codes into words.

    Parameters
    ----------
    packed : ndarray of shape (n_codes, n_bytes), uint8
        The packed codes.
    min_bytes : {1, 2, 4, 8}, default=1
        Smallest size of a word in bytes.

    Returns
    -------
    ndarray of shape (n_words, n_codes), uint8, uint16, uint32 or uint64
        The same bits, word-major and contiguous, padded with zeros.
    """
    n_codes, n_bytes = packed.shape
    size = next((size for size in (1, 2, 4) if max(n_bytes, min_bytes) <= size), 8)
    n_padding = -n_bytes % size
    if n_padding:
        packed = np.hstack([packed, np.zeros((n_codes, n_padding), dtype=np.uint8)])
    return np.ascontiguousarray(np.ascontiguousarray(packed).view(f"u{size}").T)


def n_distances(words):
    """Return how many distances are possible between codes of as many words."""
    return 8 * words.itemsize * len(words) + 1


def distances(queries, gallery):
    """Compute all Hamming distances between two sets of codes.

    Parameters
    ----------
    queries : ndarray of shape (n_words, n_queries)
        Words of the queries.
    gallery : ndarray of shape (n_words, n_codes)
        Words of the gallery, of the same dtype.

    Returns
    -------
    ndarray of shape (n_queries, n_codes), uint8 or uint16
        The distances in bits, in the smallest dtype that holds them.
    """
    n_words, n_queries = queries.shape
    n_codes = gallery.shape[1]
    result = np.empty((n_queries, n_codes), dtype=_distance_dtype(gallery))
    differing = np.empty((min(n_queries, max(1, _TILE // n_codes)), n_codes), gallery.dtype)
    for rows in gen_batches(n_queries, len(differing)):
        tile = result[rows]
        scratch = differing[: len(tile)]
        for word in range(n_words):
            np.bitwise_xor(queries[word, rows, None], gallery[word], out=scratch)
            if word:
                tile += np.bitwise_count(scratch)
            else:
                np.bitwise_count(scratch, out=tile)
    return result


def _distance_dtype(words):
    return np.uint8 if n_distances(words) < 256 else np.uint16


def nearest(queries, gallery, part, k, keep=None):
    """Find the `k` nearest codes of each query.

    Parameters
    ----------
    queries : ndarray of shape (n_words, n_queries)
        Words of the queries.
    gallery : ndarray of shape (n_words, n_codes)
        Words of the gallery.
    part : slice
        The codes to search.
    k : int
        Number of neighbours, from 1 to the number of codes that count.
    keep : ndarray of shape (n_codes,), bool, default=None
        Which codes count; ``None`` means all.

    Returns
    -------
    distances : ndarray of shape (n_queries, k), int32
        Distances in bits, ascending.
    rows : ndarray of shape (n_queries, k), int64
        Rows of the gallery; of equal distances the lowest row comes first.
    """
    shape = (queries.shape[1], k)
    found, rows = np.empty(shape, dtype=np.int32), np.empty(shape, dtype=np.int64)
    gallery = gallery[:, part]
    kept = None if keep is None else np.flatnonzero(keep[part])
    n_codes = gallery.shape[1] if kept is None else len(kept)
    sort_all = k > n_codes // _SORT_SHARE
    if sort_all and kept is not None:
        gallery = gallery[:, kept]
    for batch in gen_batches(shape[0], max(1, _TILE // min(n_codes, max(_COLUMNS, k)))):
        if sort_all:
            found[batch], rows[batch] = _sort_all(queries[:, batch], gallery, k)
        else:
            mask = None if keep is None else keep[part]
            found[batch], rows[batch] = _sift(queries[:, batch], gallery, k, mask)
    if sort_all and kept is not None:
        rows = kept[rows]
    rows += part.start
    return found, rows


def _sort_all(queries, gallery, k):
    line = distances(queries, gallery)
    rows = np.argsort(line, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(line, rows, axis=1), rows


def _sift(queries, gallery, k, keep):
    """Pass over the gallery once, keeping what is nearer than the k-th distance so far."""
    n_queries, n_bins = queries.shape[1], n_distances(gallery)
    limit = np.full(n_queries, n_bins, dtype=_distance_dtype(gallery))
    counts = np.zeros((n_queries, n_bins), dtype=np.int64)
    sifted = []
    for columns in _growing_batches(gallery.shape[1], k, _TILE // n_queries):
        query, row, distance = _below(queries, gallery, columns, limit, keep)
        if not len(query):
            continue
        sifted.append((query, row, distance))
        counts += _count(query, distance, counts.shape)
        enough = counts.cumsum(axis=1) >= k
        limit = np.where(enough[:, -1], enough.argmax(axis=1), n_bins).astype(limit.dtype)
    query, row, distance = map(np.concatenate, zip(*sifted, strict=True))
    order, starts = _sort(query, distance, counts)
    first = order[starts[:-1, None] + np.arange(k)]
    return distance[first], row[first]


def _growing_batches(n, first, largest):
    """Cut n columns into batches, the first ones small: what they keep bounds the later ones."""
    start, size = 0, min(max(4 * first, 256), largest)
    while start < n:
        yield slice(start, min(n, start + size))
        start, size = start + size, min(2 * size, largest)


def _below(queries, gallery, columns, limit, keep):
    """List what is nearer than each query's limit: the queries, the rows and the distances."""
    tile = distances(queries, gallery[:, columns])
    flat = np.flatnonzero(tile < limit[:, None])
    if keep is not None:
        flat = flat[keep[columns][flat % tile.shape[1]]]
    query, row = np.divmod(flat, tile.shape[1])
    return query, row + columns.start, tile.ravel()[flat]


def _count(query, distance, shape):
    return np.bincount(query * shape[1] + distance, minlength=np.prod(shape)).reshape(shape)


def _sort(query, distance, counts):
    """Order a list by query and distance, keeping the order of rows; also where each starts."""
    order = np.argsort(query * counts.shape[1] + distance, kind="stable")
    return order, np.concatenate([[0], counts.sum(axis=1).cumsum()])


def within_radius(queries, gallery, part, radius, keep=None):
    """Find all codes within a Hamming ball around each query.

    Parameters
    ----------
    queries : ndarray of shape (n_words, n_queries)
        Words of the queries.
    gallery : ndarray of shape (n_words, n_codes)
        Words of the gallery.
    part : slice
        The codes to search.
    radius : int
        Largest distance in bits that counts.
    keep : ndarray of shape (n_codes,), bool, default=None
        Which codes count; ``None`` means all.

    Returns
    -------
    distances : ndarray of shape (n_found,), int32
        Distances in bits, ascending for each query; those of all queries one after another.
    rows : ndarray of shape (n_found,), int64
        Rows of the gallery; of equal distances the lowest row comes first.
    starts : ndarray of shape (n_queries + 1,), int64
        Where the items of each query start.
    """
    n_queries, n_bins = queries.shape[1], n_distances(gallery)
    limit = np.full(n_queries, min(radius + 1, n_bins), dtype=_distance_dtype(gallery))
    size = max(1, _TILE // min(n_queries, _TILE // _COLUMNS))
    gallery, keep = gallery[:, part], None if keep is None else keep[part]
    found = []
    for batch in gen_batches(n_queries, _TILE // _COLUMNS):
        for columns in gen_batches(gallery.shape[1], size):
            query, row, distance = _below(queries[:, batch], gallery, columns, limit[batch], keep)
            found.append((query + batch.start, row + part.start, distance))
    query, row, distance = map(np.concatenate, zip(*found, strict=True))
    order, starts = _sort(query, distance, _count(query, distance, (n_queries, n_bins)))
    return distance[order].astype(np.int32), row[order], starts


def histograms(queries, gallery, part, y_query, y_gallery, n_grades):
    """Count the codes at each distance of each query, apart by grade of relevance.

    Parameters
    ----------
    queries : ndarray of shape (n_words, n_queries)
        Words of the queries.
    gallery : ndarray of shape (n_words, n_codes)
        Words of the gallery.
    part : slice
        The codes to count.
    y_query, y_gallery : ndarray of shape (n_codes,), int64, or (n_label_words, n_codes), uint64
        Ids, of grade 1 where they are equal; or words of label bits, whose grade is the number of
        shared labels.
    n_grades : int
        Number of grades; higher ones count as the highest.

    Returns
    -------
    ndarray of shape (n_queries, n_distances, n_grades), int64
        The counts.
    """
    gallery, y_gallery = gallery[:, part], y_gallery[..., part]
    n_queries, n_codes, n_bins = queries.shape[1], gallery.shape[1], n_distances(gallery)
    counts = np.zeros((n_queries, n_grades, n_bins), dtype=np.int64)
    n_keys = n_grades * n_bins
    size = min(n_codes, _TILE // min(n_queries, _TILE // _COLUMNS))
    n_batch = max(1, min(_TILE // size, _COUNTS // n_keys))
    dtype = np.uint16 if n_batch * n_keys <= 1 << 16 else np.uint32
    for batch in gen_batches(n_queries, n_batch):
        first = n_keys * np.arange(batch.stop - batch.start, dtype=dtype)[:, None]
        for columns in gen_batches(n_codes, size):
            keys = _grades(y_query[..., batch], y_gallery[..., columns], n_grades).astype(dtype)
            keys *= dtype(n_bins)
            keys += distances(queries[:, batch], gallery[:, columns])
            keys += first
            found = np.bincount(keys.ravel(), minlength=len(first) * n_keys)
            counts[batch] += found.reshape(-1, n_grades, n_bins)
    return counts.transpose(0, 2, 1)


def _grades(y_query, y_gallery, n_grades):
    if y_query.ndim == 1:
        return y_query[:, None] == y_gallery
    if n_grades == 2:
        shared = y_query[0, :, None] & y_gallery[0]
        for query_word, gallery_word in zip(y_query[1:], y_gallery[1:], strict=True):
            shared |= query_word[:, None] & gallery_word
        return shared != 0
    n_shared = np.zeros((y_query.shape[1], y_gallery.shape[1]), dtype=np.uint16)
    for query_word, gallery_word in zip(y_query, y_gallery, strict=True):
        n_shared += np.bitwise_count(query_word[:, None] & gallery_word)
    return np.minimum(n_shared, n_grades - 1)
