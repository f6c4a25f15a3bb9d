"""Average precision of rankings that are known up to the order inside buckets.

A bucket is a set of items at one distance: how many items it has, and how many of them are
relevant, is all that average precision needs of it. The expectation over the order inside a bucket
has a closed form (McSherry and Najork, Computing information retrieval performance measures
efficiently in the presence of tied scores, ECIR 2008).
"""

from functools import partial

import numpy as np
from scipy.special import gammaln


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
