"""Ids, classes and groups of rows, in one form."""

import os
from collections.abc import Mapping, Set

import numpy as np
import pandas as pd
from scipy import sparse

from .lazy import gathered

_COLLECTIONS = (list, tuple, Set, Mapping, np.ndarray)
_KINDS = "integers, strings, paths, booleans, floats or dates"


def check_ids(ids, name, n_rows):
    """Check that there is one id per row, all of one kind and none missing.

    Parameters
    ----------
    ids : array-like of shape (n_rows,)
        One id a row, of one kind: integers, strings, paths, booleans, floats or dates, of any
        library of arrays or dataframes.
    name : str
        What the ids are called in an error message.
    n_rows : int
        Number of rows that need an id.

    Returns
    -------
    ndarray of shape (n_rows,)
        The ids.
    """
    ids = as_array(ids, name)
    if ids.ndim != 1:
        column = ids.ndim == 2 and ids.shape[1] == 1
        remedy = f"use numpy.ravel({name})" if column else "give one id per row"
        raise ValueError(f"{name} must have one dimension, got the shape {ids.shape}: {remedy}.")
    if len(ids) != n_rows:
        raise ValueError(f"{name} must hold one id per row, got {len(ids)} ids for {n_rows} rows.")
    return of_one_kind(ids, name)


def encode_ids(ids, name, n_rows):
    """Replace ids by the ranks of the distinct ones.

    Parameters
    ----------
    ids, name, n_rows
        As in `check_ids`.

    Returns
    -------
    ndarray of shape (n_rows,), int64
        A number for each row: 0 for the smallest id.

    Examples
    --------
    >>> encode_ids(["b", "a", "b"], "groups", 3)
    array([1, 0, 1])
    """
    return pd.factorize(check_ids(ids, name, n_rows), sort=True)[0]


def as_array(values, name):
    """Return ids or labels as an array of at least one dimension, without turning any into a str.

    Parameters
    ----------
    values : array-like
        Ids, classes or indicators of labels; those of Dask are computed.
    name : str
        What they are called in an error message.

    Returns
    -------
    ndarray
        The values; of a list of strings, or of unlike things, an array of objects.
    """
    values = gathered(values)
    if sparse.issparse(values):
        raise TypeError(
            f"{name} must be dense, got a sparse {type(values).__name__}: give an array."
        )
    if np.ma.is_masked(values):
        raise _missing(name, np.ma.getmaskarray(values).argmax())
    try:
        array = np.asarray(values)
    except ValueError:  # rows of several lengths
        raise _several_a_row(name) from None
    if array.ndim == 0:
        raise TypeError(
            f"{name} must be a sequence with one value per row, got {type(values).__name__}: give "
            "a list or an array."
        )
    if isinstance(values, (list, tuple)) and array.ndim == 1 and array.dtype.kind in "fUS":
        # NumPy may have turned 1 into "1", nan into "nan", a zero byte into "", or 1 into 1.0.
        array = np.array(values, dtype=object)
    return array


def of_one_kind(array, name, n_columns=1):
    """Check that a vector of ids or labels holds values of one kind, and none that is missing.

    Parameters
    ----------
    array : ndarray of shape (n_rows * n_columns,)
        What `as_array` gives, row by row.
    name : str
        What they are called in an error message.
    n_columns : int, default=1
        Number of values in a row.

    Returns
    -------
    ndarray of shape (n_rows * n_columns,)
        The same values. An array of objects is left only where it holds str.
    """
    if array.dtype.kind == "T":
        array = array.astype(object)
    if array.dtype.kind in "OfcmM" and (missing := pd.isna(array)).any():
        raise _missing(name, missing.argmax() // n_columns)
    if array.dtype.kind == "V":
        raise TypeError(f"{name} must be {_KINDS}, got the dtype {array.dtype}.")
    return _read_objects(array, name) if array.dtype.kind == "O" else array


def _read_objects(array, name):
    kind = pd.api.types.infer_dtype(array, skipna=False)
    if kind == "string":
        return array
    if kind in {"datetime", "datetime64", "date"}:
        return pd.to_datetime(array, utc=True).tz_localize(None).to_numpy()
    if kind in {"integer", "boolean", "floating", "mixed-integer-float", "bytes"}:
        read = np.asarray(array.tolist())
        # Large integers may become equal, and bytes lose zeros at their end.
        if read.dtype.kind != "O" and np.array_equal(read.astype(object), array):
            return read
    if any(isinstance(value, _COLLECTIONS) for value in array):
        raise _several_a_row(name)
    if all(isinstance(value, (str, os.PathLike)) for value in array):
        return np.array([os.fspath(value) for value in array], dtype=object)
    types = sorted({type(value).__name__ for value in array})
    raise TypeError(
        f"{name} must be {_KINDS}, all of one kind, got {', '.join(types[:4])}: turn them into "
        "strings, or into integers of at most 64 bits."
    )


def _missing(name, row):
    return ValueError(
        f"{name} must not hold missing values (NaN or None), got one in row {row}: give every row "
        "a value."
    )


def _several_a_row(name):
    return ValueError(
        f"{name} must hold one value per row, got lists or sets: turn lists of labels into "
        "indicators with sklearn.preprocessing.MultiLabelBinarizer."
    )
