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
    query (of ids and classes: 1 if they are equal).

    .. math:: DCG@k = \sum_{i \le k} \frac{gain(g(i))}{\log_2(i + 1)}

    and NDCG is DCG over that of the best ranking of the whole gallery [1]_.

    Parameters
    ----------
    query_codes : array-like of shape (n_queries, n_columns), bool, uint8, int8 or float
        Codes of the queries, in any format of :mod:`skhash.codes`; real ones rank by cosine.
    gallery_codes : array-like of shape (n_gallery, n_columns)
        Codes of the items, in the same format.
    y_query : array-like of shape (n_queries,) or (n_queries, n_labels), default=None
        Ids, classes or label indicators; ``None`` means that row i answers query i.
    y_gallery : array-like of shape (n_gallery,) or (n_gallery, n_labels), default=None
        The same for the items.
    k : int or sequence of int, default=None
        Cut-off, or several for a curve; ``None`` ranks the whole gallery.
    gain : {"linear", "exponential"}, default="linear"
        What a grade is worth: itself, or :math:`2^g - 1`.
    ties : {"expected", "optimistic", "pessimistic", "index"}, default="expected"
        As in :func:`average_precision`.
    per_query : bool, default=False
        Whether to return the score of each query instead of the mean.
    n_jobs : int, default=None
        Number of threads that rank binary codes; ``-1`` uses all cores.

    Returns
    -------
    float or ndarray of shape (n_k,), (n_queries,) or (n_queries, n_k), float64
        From 0 to 1; 0 for a query without a relevant item. A sequence `k` makes the last axis.

    Raises
    ------
    TypeError
        If the formats differ, a dtype names no format, or `k` is not an integer.
    ValueError
        If codes are empty, of different lengths or not finite, if labels do not fit them, if no
        query has a relevant item, or if an option is unknown or out of range.

    Warns
    -----
    UndefinedMetricWarning
        If a query has no relevant item in the gallery: it counts 0.

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
