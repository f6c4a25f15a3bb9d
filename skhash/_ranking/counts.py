"""From codes and labels to rankings, known up to the order of ties.

A ranking is a sequence of *buckets*: sets of items at the same distance, in unknown order. Metrics
only need to know how many items of each grade of relevance a bucket has.
"""

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import gen_batches

from .._hamming import search as _search
from .._hamming.comparable import is_binary
from .._inputs.checks import check_choice, check_n_jobs
from .._inputs.messages import warn
from .relevance import count_grades, encode_labels, grade, grade_itself
from .reranking import Asymmetric, Rescored

TIES = ("expected", "optimistic", "pessimistic", "index")
NOTHING_RELEVANT = (
    "no query has a relevant item in the gallery: check that the labels of both sides are of one "
    "kind."
)
_BLOCK = 1 << 21  # counts held at a time: some megabytes


def score_queries(measure, queries, gallery, y_query, y_gallery, **options):
    """Apply a function of bucket counts to all queries.

    Parameters
    ----------
    measure : callable
        Function of `counts` and `distances` as `rankings` yields them, to an array a query.
    queries, gallery, y_query, y_gallery, **options
        As in `rankings`.

    Returns
    -------
    ndarray of shape (n_queries, ...), float64
        What `measure` returned for each query.
    """
    batches = rankings(queries, gallery, y_query, y_gallery, **options)
    return np.concatenate([measure(*batch) for batch in batches])


def rankings(queries, gallery, y_query, y_gallery, *, graded=False, **options):
    """Yield the bucket counts of all queries, and report the queries that have nothing relevant.

    Parameters
    ----------
    queries, gallery : ndarray of shape (n_words, n_codes) or (n_features, n_codes)
        What `comparable` gives.
    y_query, y_gallery : array-like or None
        What `encode_labels` takes.
    graded : bool, default=False
        Whether shared labels are counted, or one is as good as many.
    **options
        `ties`, `n_jobs` and `algorithm`, as in `bucket_counts`.

    Yields
    ------
    counts, distances
        As in `bucket_counts`.
    """
    labels = encode_labels(y_query, y_gallery, queries.shape[1], gallery.shape[1])
    n_grades = count_grades(*labels) if graded else 2
    n_without = 0
    for counts, distances in bucket_counts(queries, gallery, *labels, n_grades=n_grades, **options):
        n_without += np.count_nonzero(~counts[..., 1:].any(axis=(1, 2)))
        yield counts, distances
    if n_without == queries.shape[1]:
        raise ValueError(NOTHING_RELEVANT)
    if n_without:
        warn(
            f"{n_without} of {queries.shape[1]} queries have no relevant item in the gallery and "
            "count as 0: leave them out, or state their number beside the score.",
            UndefinedMetricWarning,
        )


def bucket_counts(
    queries,
    gallery,
    y_query,
    y_gallery,
    *,
    ties="expected",
    n_grades=2,
    others=False,
    n_jobs=None,
    algorithm="auto",
):
    """Yield the items of each grade in each bucket, a batch of queries at a time.

    Parameters
    ----------
    queries, gallery : ndarray of shape (n_words, n_codes) or (n_features, n_codes)
        What `comparable` gives; or `Asymmetric` or `Rescored` queries and words.
    y_query, y_gallery : ndarray
        What `encode_labels` gives.
    ties : {"expected", "optimistic", "pessimistic", "index"}, default="expected"
        With ``"index"`` each item is a bucket of its own, of equal ones the lowest row first.
    n_grades : int, default=2
        Number of grades of relevance, 0 included; higher ones count as the highest.
    others : bool, default=False
        Whether row i of the gallery is query i itself and is left out.
    n_jobs : int, default=None
        Number of threads.
    algorithm : str, default="auto"
        Search engine.

    Yields
    ------
    counts : ndarray of shape (n_batch, n_buckets, n_grades), int64
        Numbers of items, nearest bucket first.
    distances : ndarray of shape (n_buckets,) or (n_batch, n_buckets)
        Distances of the buckets, in bits; of real vectors and what is re-ranked the bucket's rank.
    """
    check_choice(ties, "ties", TIES)
    check_n_jobs(n_jobs)
    engine = {"n_jobs": n_jobs, "algorithm": algorithm}
    n_queries, n_gallery = queries.shape[1], gallery.shape[1]
    histogram = is_binary(queries) and ties != "index"
    n_buckets = 8 * gallery.itemsize * len(gallery) + 1 if histogram else n_gallery
    for batch in gen_batches(n_queries, max(1, _BLOCK // (n_buckets * n_grades))):
        sides = queries[:, batch], gallery, y_query[..., batch], y_gallery
        own = np.arange(n_queries)[batch]
        if histogram:
            counts = _search.histograms(*sides, n_grades=n_grades, **engine)
            if others:
                counts[own - own[0], 0, grade_itself(sides[2], n_grades)] -= 1
        else:
            own = own if others else None
            distances, grades = _ranked_grades(*sides, own, n_grades, engine)
            if ties == "index":
                yield (grades[..., None] == np.arange(n_grades)).astype(np.int64), distances
                continue
            counts = _count(distances, grades, n_grades)
        # With long codes most distances have no items. The first stays, for a query without any.
        occupied = np.union1d(0, np.flatnonzero(counts.any(axis=(0, 2))))
        yield counts[:, occupied], occupied


def _ranked_grades(queries, gallery, y_query, y_gallery, own, n_grades, engine):
    """Return the distances and grades of all items, nearest first and lowest row first."""
    if isinstance(queries, Asymmetric | Rescored):
        distances, rows = queries.rank(gallery, **engine)
    elif is_binary(queries):
        distances, rows = _search.nearest(queries, gallery, gallery.shape[1], **engine)
    else:
        distances, rows = _by_cosine(queries, gallery)
    if own is not None:
        kept = rows != own[:, None]
        distances, rows = (array[kept].reshape(len(own), -1) for array in (distances, rows))
    return distances, np.take_along_axis(grade(y_query, y_gallery, n_grades), rows, axis=1)


def _by_cosine(queries, gallery):
    """Return ranks, equal ones for equal similarities, and the rows in that order."""
    # Single precision, so that equal vectors tie whatever the order of the products' summation.
    cosine = (queries.T @ gallery).astype(np.float32)
    rows = np.argsort(-cosine, axis=1, kind="stable")
    descending = np.take_along_axis(cosine, rows, axis=1)
    ranks = np.zeros(cosine.shape, dtype=np.int64)
    np.cumsum(descending[:, 1:] != descending[:, :-1], axis=1, out=ranks[:, 1:])
    return ranks, rows


def _count(ranks, grades, n_grades):
    n_queries, n_ranks = len(ranks), int(ranks.max(initial=0)) + 1
    keys = (np.arange(n_queries)[:, None] * n_ranks + ranks) * n_grades + grades
    counts = np.bincount(keys.ravel(), minlength=n_queries * n_ranks * n_grades)
    return counts.reshape(n_queries, n_ranks, n_grades)
