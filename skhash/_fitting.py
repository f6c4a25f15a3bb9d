"""Fitting that ends well or leaves an estimator as it was."""

from contextlib import contextmanager


@contextmanager
def fitting(estimator):
    """Give a copy to fit in place of an estimator, which becomes that copy at the end.

    All attributes change together, by one assignment. After an error, a Ctrl-C included, the
    estimator answers as before, and other threads never meet one that is half fitted. Attributes
    are to be replaced in the copy, not changed in place: both hold the same objects.

    Parameters
    ----------
    estimator : estimator
        What is to be fitted.

    Yields
    ------
    estimator
        A shallow copy.

    Examples
    --------
    >>> from sklearn.base import BaseEstimator
    >>> class Mean(BaseEstimator):
    ...     def fit(self, X):
    ...         with fitting(self) as new:
    ...             new.total_ = sum(X)
    ...             new.mean_ = new.total_ / len(X)
    ...         return self
    >>> mean = Mean().fit([1, 3])
    >>> mean.fit([])
    Traceback (most recent call last):
        ...
    ZeroDivisionError: division by zero
    >>> mean.total_, mean.mean_
    (4, 2.0)
    """
    new = object.__new__(type(estimator))
    vars(new).update(vars(estimator))
    yield new
    estimator.__dict__ = vars(new)
