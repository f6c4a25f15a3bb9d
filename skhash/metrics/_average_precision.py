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

    The gallery is ranked by Hamming distance to the query, or by cosine similarity where the codes
    are real. With :math:`rel(i)` the relevance (0 or 1) of the item at rank :math:`i`, average
    precision is the mean of the precisions at the relevant items that count:

    .. math:: AP = \frac{1}{D} \sum_i rel(i) \, \frac{1}{i} \sum_{j \le i} rel(j)

    Parameters
    ----------
    query_codes : array-like of shape (n_queries, n_columns), bool, uint8, int8 or float
        Codes of the queries, in any format of :mod:`skhash.codes`.
    gallery_codes : array-like of shape (n_gallery, n_columns)
        Codes of the items, in the same format.
    y_query : array-like of shape (n_queries,) or (n_queries, n_labels), default=None
        One-dimensional: ids or classes, equal values are relevant. Two-dimensional: label
        indicators (0 or 1), one shared label is enough. ``None``: row i of the gallery alone is
        relevant to query i.
    y_gallery : array-like of shape (n_gallery,) or (n_gallery, n_labels), default=None
        The same for the items.
    k : int, default=None
        Cut-off; ``None`` ranks the whole gallery.
    ties : {"expected", "optimistic", "pessimistic", "index"}, default="expected"
        What counts where items are at the same distance: the mean over all their orders (exact, in
        closed form [1]_), the best order, the worst order, or the lowest row first. Cosines are
        compared in single precision, so that equal codes tie.
    normalize : {"hits", "possible", "relevant"}, default="hits"
        Which of three definitions the name mAP\@k stands for. With R relevant items in the
        gallery: ``"hits"`` stops at rank k and divides by the relevant items up to there, the habit
        of unsupervised cross-modal hashing since DJSRH (ICCV 2019) [2]_; ``"possible"`` stops at
        rank k and divides by min(k, R), as in information retrieval; ``"relevant"`` stops at the
        min(k, R)-th relevant item wherever it ranks and divides by min(k, R), the habit of DCMH
        (CVPR 2017) [3]_ and its successors. Without a cut-off the three agree. Numbers of different
        definitions cannot be compared.
    radius : float, default=None
        Hamming distance in bits beyond which items are not found: "mAP within radius 2". What is
        divided by is defined as before, so that ``"hits"`` divides by the relevant items found, as
        DCH (CVPR 2018) [4]_ reports it, and a query that finds none counts 0; ``"possible"`` and
        ``"relevant"`` count the missing ones as missed. For binary codes.
    n_jobs : int, default=None
        Number of threads that rank binary codes; ``-1`` uses all cores.

    Returns
    -------
    ndarray of shape (n_queries,), float64
        The average precisions, from 0 to 1; 0 for a query without any relevant item.

    Raises
    ------
    TypeError
        If the formats differ, a dtype names no format, `k` is not an integer, or a radius is given
        for real embeddings.
    ValueError
        If codes are empty, of different lengths or not finite, if labels do not fit them, if no
        query has a relevant item, or if an option is unknown or out of range.

    Warns
    -----
    UndefinedMetricWarning
        If a query has no relevant item in the gallery: it counts 0.

    Notes
    -----
    ``"optimistic"`` and ``"pessimistic"`` bound the value over all orders of the ties. With
    ``"hits"`` the best order need not put relevant items first: a late one can lower the mean.

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

    A query without any relevant item counts as 0.

    Parameters
    ----------
    query_codes : array-like of shape (n_queries, n_columns), bool, uint8, int8 or float
        Codes of the queries, in any format of :mod:`skhash.codes`.
    gallery_codes : array-like of shape (n_gallery, n_columns)
        Codes of the items, in the same format.
    y_query : array-like of shape (n_queries,) or (n_queries, n_labels), default=None
        Ids, classes or label indicators; ``None`` means that row i answers query i.
    y_gallery : array-like of shape (n_gallery,) or (n_gallery, n_labels), default=None
        The same for the items.
    k : int, default=None
        Cut-off; ``None`` ranks the whole gallery.
    ties : {"expected", "optimistic", "pessimistic", "index"}, default="expected"
        As in :func:`average_precision`.
    normalize : {"hits", "possible", "relevant"}, default="hits"
        As in :func:`average_precision`.
    radius : float, default=None
        Hamming distance in bits beyond which items are not found, as in :func:`average_precision`.
    n_jobs : int, default=None
        Number of threads that rank binary codes; ``-1`` uses all cores.

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
        If a query has no relevant item in the gallery: it counts 0.

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
