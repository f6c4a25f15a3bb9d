"""The score of each query: average precision, and metrics at one or several cut-offs."""

from numbers import Number

import numpy as np

from .._hamming.comparable import check_radius
from .._inputs.checks import check_choice, check_integer
from .._inputs.messages import shorten
from .buckets import (
    bucket_average_precision,
    harmonic_numbers,
    hit_chance_at_k,
    hits_at_k,
    ndcg,
    sum_discounts,
)
from .counts import score_queries

NORMALIZE = ("hits", "possible", "relevant")
GAINS = {"linear": lambda grades: grades, "exponential": lambda grades: np.exp2(grades) - 1}


def average_precisions(
    queries,
    gallery,
    y_query,
    y_gallery,
    *,
    k,
    ties,
    normalize,
    radius=None,
    n_jobs=None,
    algorithm="auto",
):
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
    radius : float, default=None
        Hamming distance beyond which items are not ranked.
    n_jobs : int, default=None
        Number of threads.
    algorithm : str, default="auto"
        Search engine.

    Returns
    -------
    ndarray of shape (n_queries,), float64
        The average precisions.
    """
    check_choice(normalize, "normalize", NORMALIZE)
    n_gallery = gallery.shape[1]
    k = n_gallery if k is None else min(check_integer(k, "k"), n_gallery)
    if radius is not None:
        radius = check_radius(radius, queries)
    harmonic = harmonic_numbers(n_gallery)

    def score(counts, distances):
        n_relevant = counts[..., 1].sum(axis=1)
        if radius is not None:
            counts = counts * (distances <= radius)[..., None]
        n, r = counts.sum(axis=2), counts[..., 1]
        return bucket_average_precision(
            n, r, harmonic, k=k, ties=ties, normalize=normalize, n_relevant=n_relevant
        )

    options = {"ties": ties, "n_jobs": n_jobs, "algorithm": algorithm}
    return score_queries(score, queries, gallery, y_query, y_gallery, **options)


def precision(n, r, k, ties):
    """Return the share of relevant items among the first k, an array of shape (n_queries,)."""
    return hits_at_k(n, r, k, ties) / k


def recall(n, r, k, ties):
    """Return the share of the relevant items that is among the first k, (n_queries,)."""
    return hits_at_k(n, r, k, ties) / np.maximum(r.sum(axis=1), 1)


METRICS_AT_K = {"precision": precision, "recall": recall, "hit_rate": hit_chance_at_k}


def scores_at_k(metric, queries, gallery, y_query, y_gallery, *, k, **options):
    """Compute precision, recall or hit rate at k of each query.

    Parameters
    ----------
    metric : {"precision", "recall", "hit_rate"}
        What is computed.
    queries, gallery, y_query, y_gallery, **options
        As in `rankings`.
    k : int or sequence of int
        Cut-offs.

    Returns
    -------
    ndarray of shape (n_queries,) or (n_queries, n_k), float64
        The scores; a last axis where `k` is a sequence.
    """
    score = METRICS_AT_K[metric]
    k = check_cut_offs(k)

    def measure(counts, distances):
        n, r = counts.sum(axis=2), counts[..., 1]
        return _each(k, lambda cut: score(n, r, cut, options.get("ties", "expected")))

    return score_queries(measure, queries, gallery, y_query, y_gallery, **options)


def ndcg_scores(queries, gallery, y_query, y_gallery, *, k, gain="linear", **options):
    """Compute the normalised discounted cumulative gain of each query.

    Parameters
    ----------
    queries, gallery, y_query, y_gallery, **options
        As in `rankings`.
    k : int, sequence of int or None
        Cut-offs.
    gain : {"linear", "exponential"}, default="linear"
        What a grade is worth.

    Returns
    -------
    ndarray of shape (n_queries,) or (n_queries, n_k), float64
        The scores; a last axis where `k` is a sequence.
    """
    check_choice(gain, "gain", GAINS)
    k = gallery.shape[1] if k is None else check_cut_offs(k)
    sums = {cut: sum_discounts(gallery.shape[1], cut) for cut in np.unique(k).tolist()}

    def measure(counts, distances):
        gains = GAINS[gain](np.arange(counts.shape[2], dtype=np.float64))
        return _each(k, lambda cut: ndcg(counts, gains, sums[cut], options.get("ties", "expected")))

    return score_queries(measure, queries, gallery, y_query, y_gallery, graded=True, **options)


def mean_over_queries(scores):
    """Return a float, or an array of shape (n_k,) where there is an axis of cut-offs."""
    means = scores.mean(axis=0)
    return float(means) if means.ndim == 0 else means


def check_cut_offs(k, name="k"):
    """Check one cut-off or several, and return an int or a list of int."""
    if isinstance(k, Number | str) or k is None:
        return check_integer(k, name)
    try:
        cuts = np.asarray(k)
    except ValueError:  # lists of different lengths
        cuts = np.empty(0)
    if cuts.ndim != 1 or not len(cuts) or cuts.dtype.kind not in "iuO":
        raise TypeError(f"{name} must be an int or a sequence of ints, got {shorten(k)}.")
    # Integers beyond 64 bits make an array of objects.
    for cut in cuts if cuts.dtype == object else (cuts.min(), cuts.max()):
        check_integer(cut, name)
    return cuts.tolist()


def _each(k, score):
    if isinstance(k, int):
        return score(k)
    return np.stack([score(cut) for cut in k], axis=1)
