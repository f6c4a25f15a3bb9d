"""Confidence intervals over queries."""

import numpy as np
from scipy import stats
from sklearn.utils import check_array

from .._inputs.checks import check_integer, check_real
from .._inputs.seed import own_generator

_DRAWS = 1 << 21  # scores drawn at a time: some megabytes


def bootstrap_interval(scores, *, confidence_level=0.95, n_resamples=1000, random_state=None):
    """Compute a confidence interval of a mean over queries by the bootstrap.

    Queries are drawn with replacement, and the interval contains the middle share of the means
    [1]_. It shows how much the score varies with the queries, but not how much it varies with the
    seed of training.

    Parameters
    ----------
    scores : array-like of shape (n_queries,)
        Score of each query, for example from :func:`average_precision`, or from a metric with
        ``per_query=True``.
    confidence_level : float, default=0.95
        Share of the means inside the interval, between 0 and 1.
    n_resamples : int, default=1000
        Number of means drawn.
    random_state : int, RandomState instance, Generator or None, default=None
        Seed of the draws.

    Returns
    -------
    low : float
        Lower end of the interval. If all scores are equal, both ends are their mean.
    high : float
        Upper end of the interval.

    Raises
    ------
    ValueError
        If the scores are empty, not one-dimensional or not finite, or a parameter is out of range.

    References
    ----------
    .. [1] B. Efron, "Bootstrap Methods: Another Look at the Jackknife", Annals of Statistics 7(1),
       1979.

    Examples
    --------
    >>> import numpy as np
    >>> from skhash.metrics import bootstrap_interval
    >>> scores = np.random.default_rng(0).random(400)
    >>> low, high = bootstrap_interval(scores, random_state=0)
    >>> round(low, 2), round(high, 2)
    (0.5, 0.56)
    """
    scores = check_array(scores, ensure_2d=False, dtype="float64", input_name="scores")
    if scores.ndim != 1:
        raise ValueError(
            f"scores must have one dimension, one per query, got {scores.ndim}: give one column."
        )
    confidence_level = check_real(confidence_level, "confidence_level", "(0, 1)")
    n_resamples = check_integer(n_resamples, "n_resamples")
    rng = own_generator(random_state)
    if np.ptp(scores) == 0:  # nothing varies; a single score cannot be resampled at all
        return float(scores[0]), float(scores[0])
    interval = stats.bootstrap(
        (scores,),
        np.mean,
        confidence_level=confidence_level,
        n_resamples=n_resamples,
        batch=max(1, _DRAWS // len(scores)),
        method="percentile",
        random_state=rng,  # pyright: ignore[reportCallIssue]
    ).confidence_interval
    return float(interval.low), float(interval.high)
