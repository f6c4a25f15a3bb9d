"""From codes and labels to average precision, with ties.

A ranking is a row of *buckets*: sets of items at one distance, whose order nobody knows. All that
average precision needs of a bucket is how many items it has and how many of them are relevant.
"""

import numbers
from functools import partial

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.special import gammaln
from sklearn.utils import check_scalar, gen_batches

from skhash._popcount import distances, to_words
from skhash.codes import code_format, pack_codes

TIES = ("expected", "optimistic", "pessimistic", "index")
NORMALIZE = ("hits", "possible", "relevant")
_BLOCK = 1 << 19  # pairs of a query and an item held at a time


def average_precisions(queries, gallery, y_query, y_gallery, *, k, ties, normalize):
    """Compute the average precision of each query.

    Parameters
    ----------
    queries, gallery : ndarray of shape (n_words, n_codes) or (n_features, n_codes)
        What `comparable` gives.
    y_query, y_gallery : array-like or None
        What `encode_labels` takes.
    k : int or None
        Cut-off.
    ties : {"expected", "optimistic", "pessimistic", "index"}
        Order inside a bucket.
    normalize : {"hits", "possible", "relevant"}
        Meaning of the cut-off and the divisor.

    Returns
    -------
    ndarray of shape (n_queries,), float64
        The average precisions.
    """
    if ties not in TIES:
        raise ValueError(f"ties must be one of {', '.join(TIES)}, got {ties!r}.")
    if normalize not in NORMALIZE:
        raise ValueError(f"normalize must be one of {', '.join(NORMALIZE)}, got {normalize!r}.")
    n_queries, n_gallery = queries.shape[1], gallery.shape[1]
    k = (
        n_gallery
        if k is None
        else min(check_scalar(k, "k", numbers.Integral, min_val=1), n_gallery)
    )
    y_query, y_gallery = encode_labels(y_query, y_gallery, n_queries, n_gallery)
    harmonic = harmonic_numbers(n_gallery)
    count = _singletons if ties == "index" else _histograms
    scores = np.empty(n_queries)
    for batch in gen_batches(n_queries, max(1, _BLOCK // n_gallery)):
        relevant = relevance(y_query[..., batch], y_gallery)
        n_items, n_relevant = count(_rank_distances(queries[:, batch], gallery), relevant)
        scores[batch] = bucket_average_precision(
            n_items, n_relevant, harmonic, k=k, ties=ties, normalize=normalize
        )
    return scores


def comparable(query_codes, gallery_codes):
    """Bring two arrays of codes into the form that distances are computed from.

    Parameters
    ----------
    query_codes : array-like of shape (n_queries, n_columns)
        Codes in any format.
    gallery_codes : array-like of shape (n_gallery, n_columns)
        Codes in the same format.

    Returns
    -------
    queries, gallery : ndarray of shape (n_words, n_codes) or (n_features, n_codes)
        Words where the codes are binary, unit vectors (float64) where they are real.
    """
    pair = np.asarray(query_codes), np.asarray(gallery_codes)
    packed = [pack_codes(codes) for codes in pair]  # checks real codes too
    (n_queries, width), (n_gallery, gallery_width) = (codes.shape for codes in pair)
    form, gallery_form = map(code_format, pair)
    if form != gallery_form:
        raise TypeError(
            f"the query codes are {form}, the gallery codes {gallery_form}: "
            "convert one of them with skhash.codes.convert_codes."
        )
    if width != gallery_width:
        raise ValueError(
            f"the query codes have {width} columns, the gallery codes {gallery_width}: "
            "give codes of one length."
        )
    if not (n_queries and n_gallery and width):
        raise ValueError(
            f"the codes are empty, got {n_queries} queries and {n_gallery} gallery items "
            f"of {width} columns: give at least one of each."
        )
    if form == "real":
        return _unit_columns(pair[0]), _unit_columns(pair[1])
    return to_words(packed[0]), to_words(packed[1])


def _unit_columns(vectors):
    vectors = vectors.T.astype(np.float64)
    norms = np.linalg.norm(vectors, axis=0)
    return vectors / np.where(norms > 0, norms, 1)


def encode_labels(y_query, y_gallery, n_queries, n_gallery):
    """Bring labels into the form that `relevance` compares.

    Parameters
    ----------
    y_query, y_gallery : array-like of shape (n_codes,) or (n_codes, n_labels), or None
        Ids or classes, or indicators of labels; None on both sides means that rows are pairs.
    n_queries, n_gallery : int
        Numbers of codes.

    Returns
    -------
    y_query, y_gallery : ndarray of shape (n_codes,) or (n_words, n_codes)
        Integers to compare for equality, or words of label bits to intersect.
    """
    if (y_query is None) != (y_gallery is None):
        raise ValueError(
            "labels are given on one side only: give y_query and y_gallery, or neither for rows "
            "that are pairs."
        )
    if y_query is None:
        if n_queries != n_gallery:
            raise ValueError(
                "without labels row i of the gallery answers query i, which needs equal lengths, "
                f"got {n_queries} queries and {n_gallery} gallery items: give labels of both."
            )
        return np.arange(n_queries), np.arange(n_gallery)
    labels = _label_array(y_query, n_queries), _label_array(y_gallery, n_gallery)
    if labels[0].shape[1:] != labels[1].shape[1:]:
        raise ValueError(
            f"query labels have shape {labels[0].shape} and gallery labels {labels[1].shape}: "
            "give both as one id or class a row, or both as indicators of the same labels."
        )
    if labels[0].ndim == 2:
        return tuple(to_words(_pack_labels(array)) for array in labels)
    if labels[0].dtype.kind != labels[1].dtype.kind:  # else NumPy makes the number 1 a string "1"
        labels = [array.astype(object) for array in labels]
    ids = pd.factorize(np.concatenate(labels))[0]
    if ids.min() < 0:
        raise ValueError("the labels hold missing values (NaN or None): give every row a label.")
    return ids[:n_queries], ids[n_queries:]


def _label_array(y, n_codes):
    y = y.toarray() if sparse.issparse(y) else np.asarray(y)
    if y.ndim not in (1, 2):
        raise ValueError(f"labels must have one or two dimensions, got {y.ndim}.")
    if len(y) != n_codes:
        raise ValueError(
            f"labels of another length: got {len(y)} rows of labels for {n_codes} codes."
        )
    return y


def _pack_labels(labels):
    held = labels == 1
    if not np.all(held | (labels == 0)):
        raise ValueError(
            "two-dimensional labels must be indicators, 0 or 1: give ids or classes as a "
            "one-dimensional array."
        )
    return np.packbits(held.astype(bool), axis=1)


def relevance(y_query, y_gallery):
    """Say which items are relevant to which query.

    Parameters
    ----------
    y_query, y_gallery : ndarray
        What `encode_labels` gives.

    Returns
    -------
    ndarray of shape (n_queries, n_gallery), bool
        True where the ids are equal or a label is shared.
    """
    if y_query.ndim == 1:
        return y_query[:, None] == y_gallery
    shared = np.zeros((y_query.shape[1], y_gallery.shape[1]), dtype=bool)
    for query_word, gallery_word in zip(y_query, y_gallery, strict=True):
        shared |= (query_word[:, None] & gallery_word) != 0
    return shared


def _rank_distances(queries, gallery):
    """Return integer distances: in bits, or the dense ranks of the cosine similarities."""
    if queries.dtype.kind == "u":
        return distances(queries, gallery)
    # Single precision, so that equal vectors tie whatever the order of the products' summation.
    cosine = (queries.T @ gallery).astype(np.float32)
    order = np.argsort(-cosine, axis=1, kind="stable")
    descending = np.take_along_axis(cosine, order, axis=1)
    ranks = np.zeros(cosine.shape, dtype=np.int32)
    steps = descending[:, 1:] != descending[:, :-1]
    np.cumsum(steps, axis=1, dtype=ranks.dtype, out=ranks[:, 1:])
    result = np.empty_like(ranks)
    np.put_along_axis(result, order, ranks, axis=1)
    return result


def _histograms(ranked, relevant):
    """Count the items and the relevant items at each distance."""
    n_queries, n_bins = len(ranked), int(ranked.max()) + 1
    keys = ranked + n_bins * np.arange(n_queries)[:, None]
    keys *= 2
    keys += relevant
    counts = np.bincount(keys.ravel(), minlength=2 * n_bins * n_queries)
    counts = counts.reshape(n_queries, n_bins, 2)
    return counts.sum(axis=2), counts[:, :, 1]


def _singletons(ranked, relevant):
    """Break ties by the lowest row: every item is a bucket of its own."""
    order = np.argsort(ranked, axis=1, kind="stable")
    n_relevant = np.take_along_axis(relevant, order, axis=1).astype(np.int64)
    return np.ones_like(n_relevant), n_relevant


def harmonic_numbers(n):
    """Return the harmonic numbers from 0 to n, an array of shape (n + 1,)."""
    return np.concatenate([[0.0], np.cumsum(1 / np.arange(1, n + 1))])


def bucket_average_precision(n, r, harmonic, *, k, ties, normalize):
    """Compute the average precision of rankings that are known up to the order inside buckets.

    Parameters
    ----------
    n, r : ndarray of shape (n_queries, n_buckets), int64
        Items and relevant items of each bucket, nearest bucket first.
    harmonic : ndarray of shape (n_gallery + 1,), float64
        The harmonic numbers.
    k : int
        Cut-off, at most ``n_gallery``.
    ties, normalize : str
        As in `average_precisions`.

    Returns
    -------
    ndarray of shape (n_queries,), float64
        The average precisions, 0 without a relevant item.
    """
    before, hits = n.cumsum(axis=1) - n, r.cumsum(axis=1) - r
    possible = np.minimum(r.sum(axis=1, keepdims=True), k)
    # A ranking ends with the k-th item, or with the k-th relevant one.
    start, size, end = (hits, r, possible) if normalize == "relevant" else (before, n, k)
    whole = start + size <= end
    bucket_sum = partial(_bucket_sum, harmonic=harmonic, ties=ties)
    total = np.sum(bucket_sum(n, r, before, hits), axis=1, where=whole, keepdims=True)
    counted = np.sum(r, axis=1, where=whole, keepdims=True) if normalize == "hits" else possible
    scores = total / np.maximum(counted, 1)

    rows, columns = np.nonzero(~whole & (start < end))  # the rankings that end inside a bucket
    if len(rows):
        n, r, before, hits = (array[rows, columns, None] for array in (n, r, before, hits))
        if normalize == "relevant":
            sums, chances = _cut_at_hit(n, r, before, hits, possible[rows], bucket_sum)
            counted = possible[rows]
        else:
            found, sums, chances = _cut_at_rank(n, r, before, hits, k - before, bucket_sum)
            counted = hits + found if normalize == "hits" else possible[rows]
        ways = (total[rows] + sums) / np.maximum(counted, 1)
        scores[rows, 0] = _settle(ways, chances, ties)
    return scores[:, 0]


def _bucket_sum(n, r, before, hits, *, harmonic, ties):
    """Sum the precisions at a bucket's relevant items: the mean, best or worst of all orders.

    `before` items stand before the bucket, `hits` relevant ones among them.
    """
    if ties == "pessimistic":
        before = before + n - r  # the relevant items come last
    if ties in {"optimistic", "pessimistic"}:
        n = r
    spread = harmonic[before + n] - harmonic[before]
    share, others = r / np.maximum(n, 1), (r - 1) / np.maximum(n - 1, 1)
    return share * ((hits + 1) * spread + others * (n - (before + 1) * spread))


def _cut_at_rank(n, r, before, hits, inside, bucket_sum):
    """List the ways to cut a bucket after `inside` items: how many relevant ones are found there.

    Returns the number found, the sum of their precisions and the chance of each way, which is
    hypergeometric.
    """
    found, real = _ranges(np.maximum(0, inside - (n - r)), np.minimum(r, inside))
    log_ways = _log_choose(r, found) + _log_choose(n - r, inside - found)
    return found, bucket_sum(inside, found, before, hits), _chances(log_ways, real)


def _cut_at_hit(n, r, before, hits, needed, bucket_sum):
    """List the ways to cut a bucket after the `needed`-th relevant item: its place in the bucket.

    Returns the sum of the precisions up to there and the chance of each way, which is negative
    hypergeometric.
    """
    wanted = needed - hits
    place, real = _ranges(wanted, n - r + wanted)
    log_ways = _log_choose(place - 1, wanted - 1) + _log_choose(n - place, r - wanted)
    sums = bucket_sum(place - 1, wanted - 1, before, hits) + needed / (before + place)
    return sums, _chances(log_ways, real)


def _ranges(first, last):
    """List the integers from `first` to `last`, a row each; short rows repeat their last number."""
    values = first + np.arange((last - first).max() + 1)
    return np.minimum(values, last), values <= last


def _log_choose(n, k):
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)


def _chances(log_ways, real):
    ways = np.exp(log_ways - log_ways.max(axis=1, keepdims=True)) * real
    return ways / ways.sum(axis=1, keepdims=True)


def _settle(scores, chances, ties):
    if ties == "optimistic":
        return scores.max(axis=1)
    if ties == "pessimistic":
        return scores.min(axis=1)
    return np.sum(chances * scores, axis=1)
