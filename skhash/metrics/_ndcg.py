"""Normalised discounted cumulative gain."""

from .._hamming.comparable import comparable
from .._inputs.checks import check_flag
from .._ranking.scores import mean_over_queries, ndcg_scores


def ndcg_at_k(
    query_codes,
    gallery_codes,
    y_query=None,
    y_gallery=None,
    *,
    k=None,
    gain="linear",
    ties="expected",
    per_query=False,
    n_jobs=None,
):
    r"""Compute the normalised discounted cumulative gain at k, graded by shared labels.

    The grade :math:`g(i)` of the item at rank i is the number of labels that it shares with the
    query. For ids and classes, it is 1 if they are equal and 0 otherwise.

    .. math:: DCG@k = \sum_{i \le k} \frac{gain(g(i))}{\log_2(i + 1)}

    NDCG is DCG divided by the DCG of the best ranking of the whole gallery [1]_.

    Parameters
    ----------
    query_codes : array-like of shape (n_queries, n_columns), bool, uint8, int8 or float
        Codes of the queries, in any format of :mod:`skhash.codes`. Real codes are ranked by cosine
        similarity.
    gallery_codes : array-like of shape (n_gallery, n_columns)
        Codes of the items, in the same format.
    y_query : array-like of shape (n_queries,) or (n_queries, n_labels), default=None
        Ids, classes or label indicators; ``None`` means that only row i of the gallery is relevant
        to query i.
    y_gallery : array-like of shape (n_gallery,) or (n_gallery, n_labels), default=None
        The same for the items.
    k : int or sequence of int, default=None
        Number of first results to consider, or several numbers for a curve. ``None`` means the
        whole gallery.
    gain : {"linear", "exponential"}, default="linear"
        Gain of a grade: the grade itself (``"linear"``), or :math:`2^g - 1` (``"exponential"``).
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
    .. [1] K. Järvelin and J. Kekäläinen, "Cumulated Gain-Based Evaluation of IR Techniques", ACM
       Transactions on Information Systems 20(4), 2002.

    Examples
    --------
    The nearest item shares one label with the query, the next one two.

    >>> import numpy as np
    >>> from skhash.metrics import ndcg_at_k
    >>> query = np.array([[True, True]])
    >>> gallery = np.array([[True, True], [True, False]])
    >>> round(ndcg_at_k(query, gallery, [[1, 1, 0]], [[1, 0, 1], [1, 1, 0]]), 4)
    0.8597
    """
    check_flag(per_query, "per_query")
    scores = ndcg_scores(
        *comparable(query_codes, gallery_codes),
        y_query,
        y_gallery,
        k=k,
        gain=gain,
        ties=ties,
        n_jobs=n_jobs,
    )
    return scores if per_query else mean_over_queries(scores)
