"""Metrics of rankings that are known up to the order inside buckets.

A bucket is a set of items at one distance: how many items it has, and how many of them have which
grade of relevance, is all that a metric needs of it. The expectation over the order inside a bucket
has a closed form (McSherry and Najork, Computing information retrieval performance measures
efficiently in the presence of tied scores, ECIR 2008); what a cut-off does to the bucket it falls
into is hypergeometric. Every function takes many queries at once.
"""

from functools import partial

import numpy as np
from scipy.special import gammaln

_WAYS = 1 << 20  # ways to cut buckets that are held at a time


def harmonic_numbers(n):
    """Return the harmonic numbers from 0 to n, an array of shape (n + 1,)."""
    return np.concatenate([[0.0], np.cumsum(1 / np.arange(1, n + 1))])


def bucket_average_precision(n, r, harmonic, *, k, ties, normalize, n_relevant=None):
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
    n_relevant : ndarray of shape (n_queries,), default=None
        Relevant items of the gallery, where the buckets hold a part of it.

    Returns
    -------
    ndarray of shape (n_queries,), float64
        The average precisions, 0 without a relevant item.
    """
    before, hits = n.cumsum(axis=1) - n, r.cumsum(axis=1) - r
    n_relevant = r.sum(axis=1) if n_relevant is None else n_relevant
    possible = np.minimum(n_relevant, k)[:, None]
    # A ranking ends with the k-th item, or with the k-th relevant one.
    start, size, end = (hits, r, possible) if normalize == "relevant" else (before, n, k)
    whole = start + size <= end
    bucket_sum = partial(_bucket_sum, harmonic=harmonic, ties=ties)
    total = np.sum(bucket_sum(n, r, before, hits), axis=1, where=whole, keepdims=True)
    counted = np.sum(r, axis=1, where=whole, keepdims=True) if normalize == "hits" else possible
    scores = total / np.maximum(counted, 1)

    cut_rows, cut_columns = np.nonzero(~whole & (start < end))  # rankings that end in a bucket
    most_ways = n.max(initial=0) if normalize == "relevant" else k
    n_part = max(1, _WAYS // (int(most_ways) + 1))
    largest = n[cut_rows, cut_columns].max(initial=0)
    log_choose = partial(_log_choose, log_factorials=gammaln(np.arange(1.0, largest + 2)))
    for first in range(0, len(cut_rows), n_part):
        part = slice(first, first + n_part)
        rows = cut_rows[part]
        inside = rows, cut_columns[part], None
        bucket = n[inside], r[inside], before[inside], hits[inside]
        counted = possible[rows]
        if normalize == "relevant":
            sums, chances = _cut_at_hit(bucket, counted, bucket_sum, log_choose)
        else:
            found, sums, chances = _cut_at_rank(bucket, k, bucket_sum, log_choose)
            if normalize == "hits":
                counted = hits[inside] + found
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


def _cut_at_rank(bucket, k, bucket_sum, log_choose):
    """List the ways to cut a bucket after rank k: how many relevant items are found there.

    Returns the number found, the sum of their precisions and the chance of each way, which is
    hypergeometric.
    """
    n, r, before, hits = bucket
    inside = k - before
    found, real = _ranges(np.maximum(0, inside - (n - r)), np.minimum(r, inside))
    log_ways = log_choose(r, found) + log_choose(n - r, inside - found)
    return found, bucket_sum(inside, found, before, hits), _chances(log_ways, real)


def _cut_at_hit(bucket, needed, bucket_sum, log_choose):
    """List the ways to cut a bucket after the `needed`-th relevant item: its place in the bucket.

    Returns the sum of the precisions up to there and the chance of each way, which is negative
    hypergeometric.
    """
    n, r, before, hits = bucket
    wanted = needed - hits
    place, real = _ranges(wanted, n - r + wanted)
    log_ways = log_choose(place - 1, wanted - 1) + log_choose(n - place, r - wanted)
    sums = bucket_sum(place - 1, wanted - 1, before, hits) + needed / (before + place)
    return sums, _chances(log_ways, real)


def _ranges(first, last):
    """List the integers from `first` to `last`, a row each; short rows repeat their last number."""
    values = first + np.arange((last - first).max() + 1)
    return np.minimum(values, last), values <= last


def _log_choose(n, k, log_factorials):
    return log_factorials[n] - log_factorials[k] - log_factorials[n - k]


def _chances(log_ways, real):
    ways = np.exp(log_ways - log_ways.max(axis=1, keepdims=True)) * real
    return ways / ways.sum(axis=1, keepdims=True)


def _settle(scores, chances, ties):
    if ties == "optimistic":
        return scores.max(axis=1)
    if ties == "pessimistic":
        return scores.min(axis=1)
    return np.sum(chances * scores, axis=1)


def hits_at_k(n, r, k, ties):
    """Count the relevant items up to rank k.

    Parameters
    ----------
    n, r : ndarray of shape (n_queries, n_buckets), int64
        Items and relevant items of each bucket, nearest bucket first.
    k : int
        Cut-off.
    ties : {"expected", "optimistic", "pessimistic", "index"}
        Order inside a bucket.

    Returns
    -------
    ndarray of shape (n_queries,), float64
        Numbers of relevant items.
    """
    inside = np.clip(k - (n.cumsum(axis=1) - n), 0, n)
    if ties == "optimistic":
        found = np.minimum(r, inside)
    elif ties == "pessimistic":
        found = np.maximum(0, inside - (n - r))
    else:
        found = inside * (r / np.maximum(n, 1))
    return found.sum(axis=1, dtype=np.float64)


def hit_chance_at_k(n, r, k, ties):
    """Compute the chance that any relevant item is among the first k.

    Parameters
    ----------
    n, r, k, ties
        As in `hits_at_k`.

    Returns
    -------
    ndarray of shape (n_queries,), float64
        The chances; 0 or 1 where no expectation is asked for.
    """
    if ties in {"optimistic", "pessimistic"}:
        return (hits_at_k(n, r, k, ties) > 0).astype(np.float64)
    first = np.arange(len(n)), (r > 0).argmax(axis=1)  # no other bucket can hold the first hit
    before = (n.cumsum(axis=1) - n)[first]
    n, r = n[first], r[first]
    inside = np.clip(k - before, 0, n)
    unavoidable = inside > n - r
    misses = np.where(unavoidable, 0, inside)
    log_chance = gammaln([n - r + 1, n - misses + 1]).sum(axis=0)
    log_chance -= gammaln([n - r - misses + 1, n + 1]).sum(axis=0)
    return np.where(unavoidable, 1.0, 0.0 - np.expm1(log_chance))  # 0, not -0


def relevance_by_rank(n, r, n_ranks, ties, weights):
    """Sum over queries the chance that the item at a rank is relevant.

    Parameters
    ----------
    n, r, ties
        As in `hits_at_k`.
    n_ranks : int
        Number of ranks, at least that of items.
    weights : ndarray of shape (n_queries,), float64
        What each query counts.

    Returns
    -------
    ndarray of shape (n_ranks,), float64
        The weighted sums from rank 1 on.
    """
    last = n.cumsum(axis=1)
    first = last - n
    height = np.ones(n.shape)
    if ties == "optimistic":  # the relevant items fill the first ranks of a bucket
        last = first + r
    elif ties == "pessimistic":
        first = last - r
    else:
        height = r / np.maximum(n, 1)
    height = (height * weights[:, None]).ravel()
    rises = np.bincount(first.ravel(), height, minlength=n_ranks + 1)
    falls = np.bincount(last.ravel(), height, minlength=n_ranks + 1)
    return np.cumsum(rises - falls)[:-1]


def ndcg(counts, gains, discount_sums, ties):
    """Compute the normalised discounted cumulative gain.

    Parameters
    ----------
    counts : ndarray of shape (n_queries, n_buckets, n_grades), int64
        Items of each grade in each bucket, nearest bucket first.
    gains : ndarray of shape (n_grades,), float64
        Gain of each grade, ascending.
    discount_sums : ndarray of shape (n_gallery + 1,), float64
        Sum of the discounts of the first ranks, as `sum_discounts` gives it.
    ties : {"expected", "optimistic", "pessimistic", "index"}
        Order inside a bucket.

    Returns
    -------
    ndarray of shape (n_queries,), float64
        The values, 0 without a relevant item.
    """
    everything = counts.sum(axis=1, keepdims=True)
    ideal = _sorted_gain(everything[:, :, ::-1], gains[::-1], discount_sums)
    if ties == "optimistic":
        found = _sorted_gain(counts[:, :, ::-1], gains[::-1], discount_sums)
    elif ties == "pessimistic":
        found = _sorted_gain(counts, gains, discount_sums)
    else:
        n = counts.sum(axis=2)
        found = _gain(n, (counts @ gains) / np.maximum(n, 1), discount_sums)
    return found / np.where(ideal > 0, ideal, 1)


def sum_discounts(n_ranks, k):
    """Return the sums of ``1 / log2(rank + 1)`` over the first ranks, those beyond k being 0."""
    discounts = 1 / np.log2(np.arange(2, n_ranks + 2))
    discounts[k:] = 0
    return np.concatenate([[0.0], np.cumsum(discounts)])


def _sorted_gain(counts, gains, discount_sums):
    """Sum discounted gains where each bucket is in the order of the given grades."""
    n = counts.reshape(len(counts), -1)
    return _gain(n, np.tile(gains, counts.shape[1]), discount_sums)


def _gain(n, gains, discount_sums):
    last = n.cumsum(axis=1)
    return np.sum(gains * (discount_sums[last] - discount_sums[last - n]), axis=1)
