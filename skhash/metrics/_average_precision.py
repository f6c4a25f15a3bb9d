"""Average precision of rankings by codes."""

from .._hamming.comparable import comparable
from .._ranking.scores import average_precisions


def average_precision(
    query_codes,
    gallery_codes,
    y_query=None,
    y_gallery=None,
    *,
    k=None,
    ties="expected",
    normalize="hits",
    radius=None,
    n_jobs=None,
):
    r"""Compute the average precision of each query.

    The gallery is ranked by Hamming distance to the query, or by cosine similarity if the codes are
    real. With the relevance :math:`rel(i)`, 0 or 1, of the item at rank :math:`i`, average
    precision is the mean of the precisions at the ranks of relevant items:

    .. math:: AP = \frac{1}{D} \sum_i rel(i) \, \frac{1}{i} \sum_{j \le i} rel(j)

    Parameters
    ----------
    query_codes : array-like of shape (n_queries, n_columns), bool, uint8, int8 or float
        Codes of the queries, in any format of :mod:`skhash.codes`.
    gallery_codes : array-like of shape (n_gallery, n_columns)
        Codes of the items, in the same format.
    y_query : array-like of shape (n_queries,) or (n_queries, n_labels), default=None
        Ids or classes, or label indicators (0 or 1). Items with the same id or class, or with a
        label in common, are relevant. ``None`` means that only row i of the gallery is relevant to
        query i.
    y_gallery : array-like of shape (n_gallery,) or (n_gallery, n_labels), default=None
        The same for the items.
    k : int, default=None
        Number of first results to consider. ``None`` means the whole gallery.
    ties : {"expected", "optimistic", "pessimistic", "index"}, default="expected"
        How items at the same distance are ordered: the mean over all orders (exact, in closed form
        [1]_), the best order, the worst order, or the lowest row first. Cosines are compared in
        single precision, so that equal codes are tied.
    normalize : {"hits", "possible", "relevant"}, default="hits"
        Which of three definitions of mAP\@k to use. Let R be the number of relevant items in the
        gallery. ``"hits"`` stops at rank k and divides by the number of relevant items up to there,
        as is common in unsupervised cross-modal hashing since DJSRH (ICCV 2019) [2]_.
        ``"possible"`` stops at rank k and divides by min(k, R), as in information retrieval.
        ``"relevant"`` stops at the min(k, R)-th relevant item, whatever its rank, and divides by
        min(k, R), as DCMH (CVPR 2017) [3]_ and its successors do. Without a cut-off, the three are
        equal. Scores of different definitions cannot be compared.
    radius : float, default=None
        Largest Hamming distance, in bits, at which items are found ("mAP within radius 2"). Only
        for binary codes. The divisor is defined as above: ``"hits"`` divides by the number of
        relevant items found, as DCH (CVPR 2018) [4]_ does, and a query that finds none scores 0.
        With ``"possible"`` and ``"relevant"``, relevant items beyond the radius count as missed.
    n_jobs : int, default=None
        Number of threads for ranking binary codes. ``None`` means 1, and ``-1`` means all cores.

    Returns
    -------
    ndarray of shape (n_queries,), float64
        The average precisions, from 0 to 1. A query without any relevant item scores 0.

    Raises
    ------
    TypeError
        If the formats differ, a dtype does not determine the format, `k` is not an integer, or a
        radius is given for real codes.
    ValueError
        If codes are empty, of different lengths or not finite, if labels do not fit them, if no
        query has a relevant item, or if an option is unknown or out of range.

    Warns
    -----
    UndefinedMetricWarning
        If a query has no relevant item in the gallery. It scores 0.

    Notes
    -----
    ``"optimistic"`` and ``"pessimistic"`` are the bounds of the value over all orders of the ties.
    With ``"hits"``, the best order does not always put relevant items first: a relevant item at a
    late rank can lower the mean.

    References
    ----------
    .. [1] F. McSherry and M. Najork, "Computing Information Retrieval Performance Measures
       Efficiently in the Presence of Tied Scores", ECIR 2008.
    .. [2] S. Su, Z. Zhong and C. Zhang, "Deep Joint-Semantics Reconstructing Hashing for
       Large-Scale Unsupervised Cross-Modal Retrieval", ICCV 2019.
    .. [3] Q.-Y. Jiang and W.-J. Li, "Deep Cross-Modal Hashing", CVPR 2017.
    .. [4] Y. Cao, M. Long, B. Liu and J. Wang, "Deep Cauchy Hashing for Hamming Space Retrieval",
       CVPR 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from skhash.metrics import average_precision
    >>> query = np.array([[True, True, True]])
    >>> gallery = np.array([[True, True, False], [True, False, True], [False, False, False]])
    >>> average_precision(query, gallery, ["dog"], ["dog", "cat", "dog"])
    array([0.70833333])
    >>> average_precision(query, gallery, ["dog"], ["dog", "cat", "dog"], ties="optimistic")
    array([0.83333333])
    """
    queries, gallery = comparable(query_codes, gallery_codes)
    return average_precisions(
        queries,
        gallery,
        y_query,
        y_gallery,
        k=k,
        ties=ties,
        normalize=normalize,
        radius=radius,
        n_jobs=n_jobs,
    )


def mean_average_precision(
    query_codes,
    gallery_codes,
    y_query=None,
    y_gallery=None,
    *,
    k=None,
    ties="expected",
    normalize="hits",
    radius=None,
    n_jobs=None,
):
    """Compute the mean of the average precisions of all queries.

    A query without any relevant item scores 0.

    Parameters
    ----------
    query_codes : array-like of shape (n_queries, n_columns), bool, uint8, int8 or float
        Codes of the queries, in any format of :mod:`skhash.codes`.
    gallery_codes : array-like of shape (n_gallery, n_columns)
        Codes of the items, in the same format.
    y_query : array-like of shape (n_queries,) or (n_queries, n_labels), default=None
        Ids, classes or label indicators; ``None`` means that only row i of the gallery is relevant
        to query i.
    y_gallery : array-like of shape (n_gallery,) or (n_gallery, n_labels), default=None
        The same for the items.
    k : int, default=None
        Number of first results to consider. ``None`` means the whole gallery.
    ties : {"expected", "optimistic", "pessimistic", "index"}, default="expected"
        As in :func:`average_precision`.
    normalize : {"hits", "possible", "relevant"}, default="hits"
        As in :func:`average_precision`.
    radius : float, default=None
        Hamming distance in bits beyond which items are not found, as in :func:`average_precision`.
    n_jobs : int, default=None
        Number of threads for ranking binary codes. ``None`` means 1, and ``-1`` means all cores.

    Returns
    -------
    float
        The mean average precision, from 0 to 1.

    Raises
    ------
    TypeError
        As in :func:`average_precision`.
    ValueError
        As in :func:`average_precision`.

    Warns
    -----
    UndefinedMetricWarning
        If a query has no relevant item in the gallery. It scores 0.

    Examples
    --------
    >>> import numpy as np
    >>> from skhash.metrics import mean_average_precision
    >>> image_codes = np.array([[1, 1, -1], [-1, 1, 1]], dtype=np.int8)
    >>> mean_average_precision(image_codes, image_codes)
    1.0
    """
    scores = average_precision(
        query_codes,
        gallery_codes,
        y_query,
        y_gallery,
        k=k,
        ties=ties,
        normalize=normalize,
        radius=radius,
        n_jobs=n_jobs,
    )
    return float(scores.mean())
