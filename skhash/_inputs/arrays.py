"""Arrays, tables and lists of codes as one plain array, with no type changed on the way.

NumPy joins different types silently: a nullable table becomes objects, booleans beside numbers
become numbers. So the types are checked first, column by column or value by value.
"""

import os

import narwhals as nw
import numpy as np
import pandas as pd
from scipy import sparse

from .messages import shorten

_REMEDY = "give one of bool, uint8, int8 and float32 in all columns"


def plain_array(X):
    """Return codes as a 2-D array of one type; an array is not copied.

    Parameters
    ----------
    X : array, nested list or dataframe of shape (n_samples, n_columns)
        Dataframes of any library that narwhals reads; objects count as what they hold.

    Returns
    -------
    ndarray of shape (n_samples, n_columns)
        The same values; not of type object.

    Raises
    ------
    TypeError
        If the codes are sparse or raw items, or hold values of different kinds or no numbers.
    ValueError
        If values are missing, or the codes have not two dimensions.
    """
    if (item := first_raw(X)) is not None:
        raise TypeError(raw_items("codes", f"raw items, such as {shorten(item)}"))
    if sparse.issparse(X):
        raise TypeError("codes must be dense, got a sparse matrix: use codes.toarray().")
    if np.ma.is_masked(X):
        raise ValueError(_missing("the codes"))
    if not isinstance(X, np.ndarray):
        frame = nw.from_native(X, eager_only=True, pass_through=True)
        if isinstance(frame, nw.DataFrame):
            return _join_columns(frame)
        if hasattr(X, "__dataframe__"):
            raise TypeError(
                f"a {type(X).__name__} is not a supported table: give a table of pandas, polars or "
                "pyarrow."
            )
        if not hasattr(X, "__array__"):
            X = _list_to_array(X)
    array = np.asarray(X)
    if array.ndim != 2:
        raise ValueError(
            f"codes must have two dimensions (n_samples, n_columns), got {array.ndim}. "
            "Reshape your data: use codes.reshape(1, -1) for a single code, and rows of one length "
            "in a list."
        )
    return _one_type(array, "the codes")


def _list_to_array(rows):
    """Return an array of what a list holds, as objects where the types may differ."""
    known = isinstance(rows, (list, tuple)) and {getattr(row, "dtype", None) for row in rows}
    alike = known and len(known) == 1 and None not in known
    try:
        return np.array(rows, dtype=None if alike else object)
    except ValueError as error:
        raise ValueError(f"the rows of the codes do not make an array: {error}.") from error


def first_raw(X):
    """Return a raw item, or the first one of a list or an array of them; None if there is none."""
    if _is_raw(X):
        return X
    if not isinstance(X, (list, tuple)):
        X = X if hasattr(X, "shape") else np.asarray(X)
        X = np.asarray(X)[:1].tolist() if len(X.shape) == 1 else []
    return X[0] if X and _is_raw(X[0]) else None


def _is_raw(item):
    """Say whether an item is a text, a path, a file or a picture of Pillow, which is not loaded."""
    return isinstance(item, (str, bytes, os.PathLike)) or type(item).__module__.startswith("PIL.")


def raw_items(needed, what):
    """Write the message of raw items in the place of features or codes."""
    return (
        f"{needed} are needed, got {what}: encode raw texts and images first, by transform of the "
        "fitted pipeline that begins with their featurizer, and give what it returns."
    )


def _join_columns(frame):
    if raw := [name for name in frame.columns if name in ("image", "text")]:
        raise TypeError(raw_items("codes", f"a table of raw items in the columns {', '.join(raw)}"))
    native = frame.to_native()
    if isinstance(native, pd.DataFrame) and native.dtypes.nunique() == 1:
        dtype = native.dtypes.iloc[0]
        if isinstance(dtype, np.dtype) and dtype.kind != "O":
            return native.to_numpy()  # no copy
    columns = [_read_column(column) for column in frame.iter_columns()]
    if not columns:
        return np.empty(frame.shape)
    # Floats of two widths, or integers of two, are one kind; bytes are not integers.
    kinds = [
        array.dtype.str[1:] if array.dtype.kind == "u" else array.dtype.kind for array in columns
    ]
    for name, kind, array in zip(frame.columns, kinds, columns, strict=True):
        if kind != kinds[0]:
            raise TypeError(
                f"the columns of the codes differ in type, got {columns[0].dtype} in "
                f"{frame.columns[0]!r} and {array.dtype} in {name!r}: {_REMEDY}, and drop columns "
                "that are not codes."
            )
    return np.stack(columns).T


def _read_column(column):
    what = f"column {column.name!r} of the codes"
    if column.null_count():
        raise ValueError(_missing(what))
    return _one_type(np.asarray(column.to_numpy()), what)


def _one_type(array, what):
    """Return an array of objects as one of the type that all of them have."""
    if array.dtype.kind != "O":
        return array
    if pd.isna(array).any():
        raise ValueError(_missing(what))
    types = set(map(type, array.flat))
    dtypes = [np.dtype(kind) for kind in types]
    kinds = {dtype.kind for dtype in dtypes}
    if not (kinds <= {"b"} or kinds <= {"i", "u"} or kinds <= {"i", "u", "f"}):
        names = " and ".join(sorted(kind.__name__ for kind in types))
        raise TypeError(
            f"{what} hold {names}, but an argument must be free of strings, and hold booleans "
            f"alone or numbers alone: {_REMEDY}."
        )
    try:
        return array.astype(np.result_type(*dtypes) if dtypes else np.float64)
    except OverflowError:
        raise TypeError(f"{what} hold integers beyond 64 bits: {_REMEDY}.") from None


def _missing(what):
    return (
        f"{what} must have no missing values (NaN or None), since a missing bit is neither 0 nor "
        "1: drop these rows."
    )
