"""Metrics of the Hamming ball, and precision-recall curves."""

import numpy as np

from .._hamming.comparable import check_bits, check_radius, comparable, compare_read
from .._inputs.checks import check_flag
from .._ranking.buckets import relevance_by_rank
from .._ranking.counts import rankings, score_queries
from .._ranking.scores import check_cut_offs
from ..codes import count_bits, read_codes


def precision_within_radius(
    query_codes,
    gallery_codes,
    y_query=None,
    y_gallery=None,
    *,
    radius=2,
    per_query=False,
    n_jobs=None,
):
    r"""Compute the precision within a Hamming radius: of hash lookup.

    If :math:`n` items are at most at the distance `radius`, and :math:`r` of them are relevant, the
    precision is :math:`r / n`. A query without any item within the radius scores 0: by convention,
    a hash lookup that returns nothing has failed [1]_. Long codes therefore score low, even if
    their ranking is good. Ties have no influence.

    Parameters
    ----------
    query_codes : array-like of shape (n_queries, n_columns), bool, uint8 or int8
        Codes of the queries, in any binary format of :mod:`skhash.codes`.
    gallery_codes : array-like of shape (n_gallery, n_columns)
        Codes of the items, in the same format.
    y_query : array-like of shape (n_queries,) or (n_queries, n_labels), default=None
        Ids or classes, or label indicators (0 or 1). Items with the same id or class, or with a
        label in common, are relevant. ``None`` means that only row i of the gallery is relevant to
        query i.
    y_gallery : array-like of shape (n_gallery,) or (n_gallery, n_labels), default=None
        The same for the items.
    radius : float, default=2
        Largest distance in bits.
    per_query : bool, default=False
        Whether to return the score of each query instead of the mean.
    n_jobs : int, default=None
        Number of threads for ranking binary codes. ``None`` means 1, and ``-1`` means all cores.

    Returns
    -------
    float or ndarray of shape (n_queries,), float64
        The precision, from 0 to 1.

    Raises
    ------
    TypeError
        If the formats differ, a dtype does not determine the format, or the codes are real.
    ValueError
        If codes are empty, of different lengths, if labels do not fit them, if no
        query has a relevant item, or if an option is out of range.

    Warns
    -----
    UndefinedMetricWarning
        If a query has no relevant item in the gallery. It scores 0.

    References
    ----------
    .. [1] W. Liu, J. Wang, S. Kumar and S.-F. Chang, "Hashing with Graphs", ICML 2011.

    Examples
    --------
    >>> import numpy as np
    >>> from skhash.metrics import precision_within_radius
    >>> query = np.array([[True, True, True]])
    >>> gallery = np.array([[True, True, False], [True, False, True], [False, False, False]])
    >>> precision_within_radius(query, gallery, ["dog"], ["dog", "cat", "dog"], radius=1)
    0.5
    """
    check_flag(per_query, "per_query")
    queries, gallery = comparable(query_codes, gallery_codes)
    radius = check_radius(radius, queries)

    def precision(counts, distances):
        ball = counts[:, distances <= radius].sum(axis=1)
        return ball[:, 1] / np.maximum(ball.sum(axis=1), 1)

    scores = score_queries(precision, queries, gallery, y_query, y_gallery, n_jobs=n_jobs)
    return scores if per_query else float(scores.mean())


def precision_recall_by_rank(
    query_codes,
    gallery_codes,
    y_query=None,
    y_gallery=None,
    *,
    ranks=None,
    ties="expected",
    n_jobs=None,
):
    r"""Compute mean precision and mean recall after each rank.

    Both are means over queries at the same rank, as in the precision-recall curves of hashing
    papers. In contrast, :func:`sklearn.metrics.precision_recall_curve` applies each threshold to
    all pairs of a query and an item together.

    Parameters
    ----------
    query_codes : array-like of shape (n_queries, n_columns), bool, uint8, int8 or float
        Codes of the queries, in any format of :mod:`skhash.codes`. Real codes are ranked by cosine
        similarity.
    gallery_codes : array-like of shape (n_gallery, n_columns)
        Codes of the items, in the same format.
    y_query : array-like of shape (n_queries,) or (n_queries, n_labels), default=None
        Ids or classes, or label indicators (0 or 1). Items with the same id or class, or with a
        label in common, are relevant. ``None`` means that only row i of the gallery is relevant to
        query i.
    y_gallery : array-like of shape (n_gallery,) or (n_gallery, n_labels), default=None
        The same for the items.
    ranks : int or sequence of int, default=None
        Ranks at which the curve is evaluated. ``None`` means all ranks, from 1 to the size of the
        gallery.
    ties : {"expected", "optimistic", "pessimistic", "index"}, default="expected"
        As in :func:`average_precision`.
    n_jobs : int, default=None
        Number of threads for ranking binary codes. ``None`` means 1, and ``-1`` means all cores.

    Returns
    -------
    precision : ndarray of shape (n_ranks,), float64
        Mean precision, from 0 to 1.
    recall : ndarray of shape (n_ranks,), float64
        Mean recall, from 0 to 1, which increases with the rank.
    ranks : ndarray of shape (n_ranks,), int64
        The ranks.

    Raises
    ------
    TypeError
        If the formats differ, a dtype does not determine the format, or a rank is not an integer.
    ValueError
        If codes are empty, of different lengths or not finite, if labels do not fit them, if no
        query has a relevant item, or if an option is unknown or out of range.

    Warns
    -----
    UndefinedMetricWarning
        If a query has no relevant item in the gallery. It scores 0.

    Examples
    --------
    >>> import numpy as np
    >>> from skhash.metrics import precision_recall_by_rank
    >>> query = np.array([[True, True, True]])
    >>> gallery = np.array([[True, True, False], [True, False, False], [False, False, False]])
    >>> precision, recall, ranks = precision_recall_by_rank(query, gallery, [1], [1, 0, 1])
    >>> precision, recall, ranks
    (array([1.        , 0.5       , 0.66666667]), array([0.5, 0.5, 1. ]), array([1, 2, 3]))
    """
    queries, gallery = comparable(query_codes, gallery_codes)
    n_queries, n_gallery = queries.shape[1], gallery.shape[1]
    ranks = range(1, n_gallery + 1) if ranks is None else ranks
    ranks = np.atleast_1d(check_cut_offs(ranks, "ranks"))
    found = np.zeros((2, n_gallery))
    for counts, _ in rankings(queries, gallery, y_query, y_gallery, ties=ties, n_jobs=n_jobs):
        n, r = counts.sum(axis=2), counts[..., 1]
        n_relevant = np.maximum(r.sum(axis=1), 1)
        for total, weights in zip(found, (np.ones(len(n)), 1 / n_relevant), strict=True):
            total += relevance_by_rank(n, r, n_gallery, ties, weights)
    hits, recall = (found / n_queries).cumsum(axis=1)[:, np.minimum(ranks, n_gallery) - 1]
    return hits / ranks, recall, ranks


def precision_recall_by_radius(
    query_codes,
    gallery_codes,
    y_query=None,
    y_gallery=None,
    *,
    n_bits=None,
    n_jobs=None,
):
    r"""Compute mean precision and mean recall within each Hamming radius.

    As in :func:`precision_within_radius`, a query without any item within a radius has precision 0
    there. Ties have no influence.

    Parameters
    ----------
    query_codes : array-like of shape (n_queries, n_columns), bool, uint8 or int8
        Codes of the queries, in any binary format of :mod:`skhash.codes`.
    gallery_codes : array-like of shape (n_gallery, n_columns)
        Codes of the items, in the same format.
    y_query : array-like of shape (n_queries,) or (n_queries, n_labels), default=None
        Ids or classes, or label indicators (0 or 1). Items with the same id or class, or with a
        label in common, are relevant. ``None`` means that only row i of the gallery is relevant to
        query i.
    y_gallery : array-like of shape (n_gallery,) or (n_gallery, n_labels), default=None
        The same for the items.
    n_bits : int, default=None
        Length of the codes in bits. ``None`` means 8 bits for each byte of packed codes.
    n_jobs : int, default=None
        Number of threads for ranking binary codes. ``None`` means 1, and ``-1`` means all cores.

    Returns
    -------
    precision : ndarray of shape (n_bits + 1,), float64
        Mean precision, from 0 to 1.
    recall : ndarray of shape (n_bits + 1,), float64
        Mean recall, from 0 to 1, which increases with the radius.
    radii : ndarray of shape (n_bits + 1,), int64
        The radii in bits: 0, 1, ..., n_bits.

    Raises
    ------
    TypeError
        If the formats differ, a dtype does not determine the format, or the codes are real.
    ValueError
        If codes are empty, of different lengths, if labels do not fit them, or if no
        query has a relevant item.

    Warns
    -----
    UndefinedMetricWarning
        If a query has no relevant item in the gallery. It scores 0.

    Examples
    --------
    >>> import numpy as np
    >>> from skhash.metrics import precision_recall_by_radius
    >>> query = np.array([[True, True]])
    >>> gallery = np.array([[True, False], [False, True], [False, False]])
    >>> precision, recall, radii = precision_recall_by_radius(query, gallery, [1], [1, 0, 1])
    >>> precision, recall, radii
    (array([0.        , 0.5       , 0.66666667]), array([0. , 0.5, 1. ]), array([0, 1, 2]))
    """
    known = n_bits is not None
    codes = [read_codes(codes, packed=known) for codes in (query_codes, gallery_codes)]
    queries, gallery = compare_read(*codes)
    check_bits(queries)
    n_bits = count_bits(codes[1], n_bits)
    totals = np.zeros((2, n_bits + 1))
    for counts, distances in rankings(queries, gallery, y_query, y_gallery, n_jobs=n_jobs):
        ball = np.zeros((len(counts), n_bits + 1, 2), dtype=np.int64)
        ball[:, distances] = counts
        ball = ball.cumsum(axis=1)
        items, hits = ball.sum(axis=2), ball[..., 1]
        totals += [
            (hits / np.maximum(items, 1)).sum(axis=0),
            (hits / np.maximum(hits[:, -1:], 1)).sum(axis=0),
        ]
    precision, recall = totals / queries.shape[1]
    return precision, recall, np.arange(n_bits + 1)
