"""Dask arrays and dataframes of codes, whose rows are in the memory of workers."""

import sys
from typing import Any


def is_lazy(X):
    """Say whether `X` is an array or a dataframe of Dask; Dask is not imported for that."""
    kinds = (("dask.array", ("Array",)), ("dask.dataframe", ("DataFrame", "Series")))
    return any(
        isinstance(X, getattr(sys.modules[module], name))
        for module, names in kinds
        if module in sys.modules
        for name in names
    )


def lazy_chunks(X):
    """Return the chunks of rows of a Dask array or dataframe.

    Parameters
    ----------
    X : dask.array.Array or dask.dataframe.DataFrame of shape (n_samples, n_columns)
        The rows. Their number may be unknown.

    Returns
    -------
    list of Delayed
        The chunks; each holds whole rows.
    """
    if not hasattr(X, "chunks"):
        return X.to_delayed()
    if X.ndim != 2:
        raise ValueError(
            f"codes must have two dimensions (n_samples, n_columns), got {X.ndim}: use "
            "codes.reshape(1, -1) for a single code."
        )
    whole: Any = X.rechunk({1: -1}) if X.numblocks[1] > 1 else X
    return whole.to_delayed().ravel().tolist()


def refuse_lazy(X, what):
    """Raise an error if `X` is of Dask, where arrays in this process are needed."""
    if is_lazy(X):
        raise TypeError(
            f"{what} must be in the memory of this process, got a Dask {type(X).__name__}: give "
            "X.compute(), a block of rows at a time if there are many."
        )


def gathered(values):
    """Return labels or ids, computed if they are of Dask."""
    return values.compute() if is_lazy(values) else values
