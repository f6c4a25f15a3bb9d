"""Metrics that count hits among the first k items: precision, recall and hit rate."""

from .._hamming.comparable import comparable
from .._inputs.checks import check_flag
from .._ranking.scores import mean_over_queries, scores_at_k


def precision_at_k(
    query_codes,
    gallery_codes,
    y_query=None,
    y_gallery=None,
    *,
    k=10,
    ties="expected",
    per_query=False,
    n_jobs=None,
):
    r"""Compute precision at k: the share of relevant items among the first k.

    .. math:: P@k = \frac{1}{k} \sum_{i \le k} rel(i)

    A sequence `k` gives the top-k precision curve of hashing papers.

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
    k : int or sequence of int, default=10
        Number of first results to consider, or several numbers for a curve. If it exceeds the size
        of the gallery, the missing results count as not relevant.
    ties : {"expected", "optimistic", "pessimistic", "index"}, default="expected"
        As in :func:`average_precision`.
    per_query : bool, default=False
        Whether to return the score of each query instead of the mean.
    n_jobs : int, default=None
        Number of threads for ranking binary codes. ``None`` means 1, and ``-1`` means all cores.

    Returns
    -------
    float or ndarray of shape (n_k,), (n_queries,) or (n_queries, n_k), float64
        Scores from 0 to 1; a query without a relevant item scores 0. If `k` is a sequence, the last
        axis has a score for each of its values.

    Raises
    ------
    TypeError
        If the formats differ, a dtype does not determine the format, or `k` is not an integer.
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
    >>> from skhash.metrics import precision_at_k
    >>> query = np.array([[True, True, True]])
    >>> gallery = np.array([[True, True, False], [True, False, True], [False, False, False]])
    >>> precision_at_k(query, gallery, ["dog"], ["dog", "cat", "dog"], k=[1, 2, 3])
    array([0.5       , 0.5       , 0.66666667])
    """
    check_flag(per_query, "per_query")
    scores = scores_at_k(
        "precision",
        *comparable(query_codes, gallery_codes),
        y_query,
        y_gallery,
        k=k,
        ties=ties,
        n_jobs=n_jobs,
    )
    return scores if per_query else mean_over_queries(scores)


def recall_at_k(
    query_codes,
    gallery_codes,
    y_query=None,
    y_gallery=None,
    *,
    k=10,
    ties="expected",
    per_query=False,
    n_jobs=None,
):
    r"""Compute recall at k: the share of the relevant items that is among the first k.

    With R relevant items in the gallery,

    .. math:: \text{recall}@k = \frac{1}{R} \sum_{i \le k} rel(i)

    "R@1" of image-text retrieval is :func:`hit_rate_at_k`. The two are equal if each query has one
    relevant item.

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
    k : int or sequence of int, default=10
        Number of first results to consider, or several numbers for a curve. If it exceeds the size
        of the gallery, the missing results count as not relevant.
    ties : {"expected", "optimistic", "pessimistic", "index"}, default="expected"
        As in :func:`average_precision`.
    per_query : bool, default=False
        Whether to return the score of each query instead of the mean.
    n_jobs : int, default=None
        Number of threads for ranking binary codes. ``None`` means 1, and ``-1`` means all cores.

    Returns
    -------
    float or ndarray of shape (n_k,), (n_queries,) or (n_queries, n_k), float64
        Scores from 0 to 1; a query without a relevant item scores 0. If `k` is a sequence, the last
        axis has a score for each of its values.

    Raises
    ------
    TypeError
        If the formats differ, a dtype does not determine the format, or `k` is not an integer.
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
    >>> from skhash.metrics import recall_at_k
    >>> query = np.array([[True, True, True]])
    >>> gallery = np.array([[True, True, False], [True, False, True], [False, False, False]])
    >>> recall_at_k(query, gallery, ["dog"], ["dog", "cat", "dog"], k=[1, 2, 3])
    array([0.25, 0.5 , 1.  ])
    """
    check_flag(per_query, "per_query")
    scores = scores_at_k(
        "recall",
        *comparable(query_codes, gallery_codes),
        y_query,
        y_gallery,
        k=k,
        ties=ties,
        n_jobs=n_jobs,
    )
    return scores if per_query else mean_over_queries(scores)


def hit_rate_at_k(
    query_codes,
    gallery_codes,
    y_query=None,
    y_gallery=None,
    *,
    k=10,
    ties="expected",
    per_query=False,
    n_jobs=None,
):
    r"""Compute the hit rate at k: whether anything relevant is among the first k.

    This is R\@1, R\@5 and R\@10 of image-text retrieval, where an image has several captions and
    any of them counts [1]_. For that, use the id of the picture as the label of images and
    captions. With ties, it is the probability of a hit: if n items are tied at the distance of the
    first relevant item, r of them are relevant, and c of them are within the first k, it is
    :math:`1 - \binom{n - r}{c} / \binom{n}{c}`.

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
    k : int or sequence of int, default=10
        Number of first results to consider, or several numbers for a curve. If it exceeds the size
        of the gallery, the missing results count as not relevant.
    ties : {"expected", "optimistic", "pessimistic", "index"}, default="expected"
        As in :func:`average_precision`.
    per_query : bool, default=False
        Whether to return the score of each query instead of the mean.
    n_jobs : int, default=None
        Number of threads for ranking binary codes. ``None`` means 1, and ``-1`` means all cores.

    Returns
    -------
    float or ndarray of shape (n_k,), (n_queries,) or (n_queries, n_k), float64
        Scores from 0 to 1; a query without a relevant item scores 0. If `k` is a sequence, the last
        axis has a score for each of its values.

    Raises
    ------
    TypeError
        If the formats differ, a dtype does not determine the format, or `k` is not an integer.
    ValueError
        If codes are empty, of different lengths or not finite, if labels do not fit them, if no
        query has a relevant item, or if an option is unknown or out of range.

    Warns
    -----
    UndefinedMetricWarning
        If a query has no relevant item in the gallery. It scores 0.

    References
    ----------
    .. [1] M. Hodosh, P. Young and J. Hockenmaier, "Framing Image Description as a Ranking Task:
       Data, Models and Evaluation Metrics", Journal of Artificial Intelligence Research 47, 2013.

    Examples
    --------
    Two pictures, three captions; the first picture's captions come second and third.

    >>> import numpy as np
    >>> from skhash.metrics import hit_rate_at_k
    >>> image = np.array([[True, True, True], [False, False, False]])
    >>> text = np.array([[True, True, False], [True, False, False], [True, True, True]])
    >>> hit_rate_at_k(image, text, [0, 1], [0, 0, 1], k=[1, 2, 3])
    array([0. , 0.5, 1. ])
    """
    check_flag(per_query, "per_query")
    scores = scores_at_k(
        "hit_rate",
        *comparable(query_codes, gallery_codes),
        y_query,
        y_gallery,
        k=k,
        ties=ties,
        n_jobs=n_jobs,
    )
    return scores if per_query else mean_over_queries(scores)
