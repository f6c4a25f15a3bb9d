r"""Exact search by asymmetric distance with NumPy alone; see `asymmetric`.

The weights of a query's bits are integers, so that sums are the same in any order. What makes the
search fast is a lower bound: with a level :math:`c_j \in \{0, 1, 2, 3\}` for each weight
:math:`w_j`, and a grid :math:`g`,

.. math:: \sum_{j \in D} w_j \geq g \sum_{j \in D} c_j - \sum_j \max(0, g c_j - w_j)

for the bits :math:`D` in which any code differs. The first sum is two population counts, of the
bits of :math:`D` whose levels are 2 or 3, twice, and of those whose levels are 1 or 3; the second
is the query's own. So a level may exceed its weight, as long as the sum of what they exceed is
subtracted: that makes a closer bound than rounding down.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import ndtri
from sklearn.utils import gen_batches

from .engine_numpy import to_words

FARTHEST = 1 << 60  # farther than any code, beyond any row
_PRECISION = 28  # bits of the largest weight: sums of eight fit into 32
# Grids in mean weights of a query, and steps of levels in grids. With independent bits and normally
# distributed real codes of 64 bits, about the fewest codes pass: one in 1,500 where the ten nearest
# of a million are searched. Levels that are rounded down let four times as many pass.
_COARSE, _FINE, _STEP = 0.45, 0.24, 1.1
_TILE = 1 << 18  # pairs of a query and a code at a time: temporaries stay in the caches
_COLUMNS = 1 << 13  # codes of a tile, where there are many queries
_SORT_SHARE = 8  # where k is more than this part of the codes, sorting all of them is cheaper


class Levels(NamedTuple):
    """Levels of weights, for a lower bound.

    Parameters
    ----------
    planes : ndarray of shape (n_queries, n_planes, n_words), unsigned
        The bits whose levels have a digit of 1, the highest digit first.
    signs : ndarray of shape (n_queries, n_planes, n_words), unsigned
        The query's own bits in each plane.
    grids : ndarray of shape (n_queries,), int64
        What a level stands for.
    slacks : ndarray of shape (n_queries,), int64
        By how much all levels together exceed their weights.
    """

    planes: np.ndarray
    signs: np.ndarray
    grids: np.ndarray
    slacks: np.ndarray


def weigh(real, words):
    """Turn real codes into the weights of bits.

    Parameters
    ----------
    real : ndarray of shape (n_queries, n_bits), float
        Finite real codes.
    words : ndarray of shape (n_words, n_queries), unsigned
        Words of codes of that length.

    Returns
    -------
    weights : ndarray of shape (n_queries, n_bits of whole words), uint32
        Weights of the bits in units of a query's own, at most 2 ** 28.
    exponents : ndarray of shape (n_queries,), int
        A weight of 1 stands for ``2 ** exponent``.
    """
    size = np.abs(real.astype(np.float64))
    _, exponents = np.frexp(size.max(axis=1, initial=0))
    exponents -= _PRECISION
    weights = np.zeros((len(real), 8 * words.itemsize * len(words)), dtype=np.uint32)
    weights[:, : real.shape[1]] = np.rint(np.ldexp(size, -exponents[:, None]))
    return weights, exponents


def coarse_levels(weights, words):
    """Return levels from 0 to 3, by which all codes are compared with a query."""
    return _levels(weights, _COARSE, 2, words)


def fine_levels(weights, words):
    """Return levels from 0 to 7, for the codes that the coarse ones let pass."""
    return _levels(weights, _FINE, 3, words)


def _levels(weights, grid, n_planes, words):
    n_weights = np.maximum(1, np.count_nonzero(weights, axis=1))  # words are padded with zeros
    grids = np.maximum(1, grid * weights.sum(axis=1, dtype=np.int64) / n_weights).astype(np.int64)
    levels = np.rint(weights / (_STEP * grids[:, None]))
    levels = np.minimum(levels, 2**n_planes - 1).astype(np.int64)
    slacks = np.maximum(grids[:, None] * levels - weights, 0).sum(axis=1)
    digits = [levels >> place & 1 for place in reversed(range(n_planes))]
    packed = [to_words(np.packbits(bits, axis=1, bitorder="little")).T for bits in digits]
    planes = np.stack(packed, axis=1)
    return Levels(planes, planes & words.T[:, None], grids, slacks)


def guess_limits(weights, k, n_codes):
    """Guess what the k-th distance of each query is below, if bits are independent.

    The guess is the Cornish-Fisher quantile (from the fourth cumulant) below which a few more than
    k codes are expected. Whether k are there, the search tells.

    Parameters
    ----------
    weights : ndarray of shape (n_queries, n_bits), uint32
        Weights of the bits.
    k, n_codes : int
        Number of neighbours, and of the codes that are searched.

    Returns
    -------
    ndarray of shape (n_queries,), int64
        The guesses, or `FARTHEST` where there is none.
    """
    share = (k + 3 * k**0.5 + 1) / n_codes
    if share > 0.01:
        return np.full(len(weights), FARTHEST)
    squares = weights.astype(np.float64) ** 2
    variance = np.maximum(squares.sum(axis=1) / 4, 1)
    excess = -(squares**2).sum(axis=1) / (8 * variance**2)
    z = ndtri(share)
    z = z + excess / 24 * (z**3 - 3 * z)
    guesses = weights.sum(axis=1, dtype=np.int64) / 2 + z * variance**0.5
    return np.where(guesses > 0, guesses, FARTHEST).astype(np.int64)


def nearest(queries, weights, gallery, part, k, keep=None):
    """Find the `k` codes of the smallest sum of weights of the bits that differ.

    Parameters
    ----------
    queries : ndarray of shape (n_words, n_queries)
        Words of the queries.
    weights : ndarray of shape (n_queries, n_bits), uint32
        What their bits weigh, at most 2 ** 28.
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
    distances : ndarray of shape (n_queries, k), int64
        Sums of weights, ascending.
    rows : ndarray of shape (n_queries, k), int64
        Rows of the gallery; of equal distances the lowest row comes first.
    """
    found, rows = np.empty((2, queries.shape[1], k), dtype=np.int64)
    gallery = gallery[:, part]
    kept = None if keep is None else np.flatnonzero(keep[part])
    n_codes = gallery.shape[1] if kept is None else len(kept)
    sort_all = k > n_codes // _SORT_SHARE
    if sort_all and kept is not None:
        gallery = gallery[:, kept]
    mask = None if keep is None else keep[part]
    for batch in gen_batches(queries.shape[1], max(1, _TILE // min(n_codes, max(_COLUMNS, k)))):
        sides = queries[:, batch], weights[batch], gallery, k
        found[batch], rows[batch] = _sort_all(*sides) if sort_all else _sift(*sides, mask)
    if sort_all and kept is not None:
        rows = kept[rows]
    return found, rows + part.start


def _sort_all(queries, weights, gallery, k):
    line = np.zeros((queries.shape[1], gallery.shape[1]), dtype=np.int64)
    each = np.arange(len(line))[:, None]
    for columns in gen_batches(gallery.shape[1], max(1, _TILE // len(line))):
        tile = queries[:, :, None] ^ gallery[:, None, columns]
        line[:, columns] = _measure(each, tile, _tables(weights))
    rows = np.argsort(line, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(line, rows, axis=1), rows


def _sift(queries, weights, gallery, k, keep):
    """Pass over the gallery once, measuring the codes whose bound is below the k-th distance."""
    n_queries, tables = queries.shape[1], _tables(weights)
    levels = coarse_levels(weights, queries)
    found, rows = np.full((2, n_queries, k), FARTHEST)
    start, size = 0, max(4 * k, 256)
    while start < gallery.shape[1]:
        columns = slice(start, start + size)
        # What is not below the k-th distance so far is not among the nearest: its row is higher.
        limit = -(-(found[:, -1] + levels.slacks) // levels.grids)
        tile = queries[:, :, None] ^ gallery[:, None, columns]
        below = _bound(tile, levels.planes) < limit[:, None]
        if keep is not None:
            below &= keep[columns]
        query, place = np.nonzero(below)
        distance = _measure(query, tile[:, query, place], tables)
        found, rows = _merge(found, rows, query, place + start, distance)
        start, size = start + size, max(1, min(2 * size, _TILE // n_queries))
    return found, rows


def _bound(tile, planes):
    """Return lower bounds of the distances, in units of the grid and with the slack."""
    bound = np.zeros(tile.shape[1:], dtype=np.int64)
    for word, differing in enumerate(tile):
        bound += 2 * np.bitwise_count(differing & planes[:, 0, word, None])
        bound += np.bitwise_count(differing & planes[:, 1, word, None])
    return bound


def _tables(weights):
    """Sum the weights of each byte's bits: an array of shape (n_queries, n_bytes, 256)."""
    weights = weights.reshape(len(weights), -1, 8)
    tables = np.zeros((*weights.shape[:2], 256), dtype=np.uint32)
    for bit in range(8):
        half = 1 << bit
        tables[..., half : 2 * half] = tables[..., :half] + weights[..., bit, None]
    return tables


def _measure(query, differing, tables):
    """Return the sums of the weights of bits of words, whose shape is (n_words, *shape)."""
    total = np.zeros(differing.shape[1:], dtype=np.int64)
    n_bytes = tables.shape[1] // len(differing)
    for number, word in enumerate(differing):
        for byte in range(n_bytes):
            value = (word >> word.dtype.type(8 * byte)) & word.dtype.type(255)
            total += tables[query, number * n_bytes + byte, value]
    return total


def _merge(found, rows, query, row, distance):
    """Put new candidates, whose rows are higher, among the nearest so far."""
    n_queries, k = found.shape
    if not len(query):
        return found, rows
    query = np.concatenate([np.repeat(np.arange(n_queries), k), query])
    distance = np.concatenate([found.ravel(), distance])
    row = np.concatenate([rows.ravel(), row])
    order = np.lexsort((row, distance, query))
    starts = np.searchsorted(query[order], np.arange(n_queries))
    first = order[starts[:, None] + np.arange(k)]
    return distance[first], row[first]
