"""Tables and arrays of features on their way into a hasher."""

from typing import Any

import numpy as np
from scipy import sparse
from sklearn import get_config
from sklearn.utils import check_array, gen_batches
from sklearn.utils.validation import validate_data

from .._blocks import BLOCKS, block_of, block_slices, table_columns
from .._inputs.arrays import first_raw, raw_items
from .._inputs.checks import check_integer
from .._inputs.mapped import is_mapped, take
from .._inputs.messages import name_rows, shorten
from ._pairs import CHUNK

_READ: dict[str, Any] = {
    "accept_sparse": "csr",
    "dtype": (np.float32, np.float64),
    "ensure_all_finite": False,  # checked here: scikit-learn recommends estimators that take NaN
}
_ONE_TABLE = (
    "images and texts go into one X, fit(skhash.make_table(image=..., text=...)) or "
    "fit(np.hstack([image, text]))"
)


def _refuse_unreadable(X):
    if sparse.issparse(X) and X.format != "csr":
        raise TypeError(
            f"sparse features must be CSR, since rows are read a batch at a time, got {X.format}: "
            "use X.tocsr()."
        )
    blocks = isinstance(X, dict) or (
        isinstance(X, (list, tuple)) and len(X) == 2 and all(getattr(x, "ndim", 0) == 2 for x in X)
    )
    if blocks:
        raise ValueError(f"X is a {type(X).__name__} of arrays: {_ONE_TABLE}.")
    if (item := first_raw(X)) is not None:
        raise ValueError(raw_items("features", f"raw items, such as {shorten(item)}"))


def _read(X, check):
    """Check features; those of half precision in a memory map stay there, to be read in parts.

    Everything that reads features casts the rows that it takes, with `dense_rows`.
    """
    if not (isinstance(X, np.ndarray) and X.dtype == np.float16 and X.ndim == 2 and is_mapped(X)):
        return check(X)
    check(X[:2])  # what does not depend on the values
    return np.asarray(X)


def check_pairs(hasher, X, *, reset):
    """Check features of pairs and split them into blocks.

    Parameters
    ----------
    hasher : PairHasher
        The hasher; with `reset` its number of features, their names and `n_image_features_` are
        set.
    X : {array-like, CSR matrix, dataframe} of shape (n_samples, n_features)
        The features.
    reset : bool
        Whether to learn the columns or to compare them with those learned.

    Returns
    -------
    dict of str to array or CSR matrix
        The two blocks.
    """
    _refuse_unreadable(X)
    columns = table_columns(X)
    named = reset and columns is not None and hasher.n_image_features is None
    n_named = _count_named(columns) if named else None
    least = 2 if reset else 1
    options = {"reset": reset, "ensure_min_samples": least, "ensure_min_features": least, **_READ}
    features: Any = _read(X, lambda rows: validate_data(hasher, rows, **options))
    if not reset:
        n_image = hasher.n_image_features_
    else:
        n_image = n_named if named else _check_given(hasher.n_image_features, features.shape[1])
    _check_sides(columns, n_image)
    _check_finite(features)
    if reset:
        hasher.n_image_features_ = n_image
    return {"image": features[:, :n_image], "text": features[:, n_image:]}


def _check_finite(features):
    """Raise an error that names the rows with values that are not finite."""
    if get_config()["assume_finite"]:
        return
    rows = []
    for part in gen_batches(features.shape[0], CHUNK):
        chunk = take(features, part)
        finite = np.isfinite(chunk.data if sparse.issparse(chunk) else chunk)
        if not finite.all():
            if sparse.issparse(chunk):
                bad = np.unique(
                    np.repeat(np.arange(chunk.shape[0]), np.diff(chunk.indptr))[~finite]
                )
            else:
                bad = np.flatnonzero(~finite.all(axis=1))
            rows += (part.start + bad).tolist()
    if rows:
        raise ValueError(
            f"Input X contains NaN or infinity in {len(rows)} of {features.shape[0]} rows "
            f"({name_rows(rows)}): drop these rows, and their labels and groups. After a "
            "featurizer with on_error='nan', its errors_ lists the images that could not be read."
        )


def _count_named(columns):
    """Count the image columns of a table of pairs."""
    slices = block_slices(columns)
    missing = [block for block in BLOCKS if block not in slices]
    if missing:
        raise ValueError(
            f"fit needs both blocks, got no {missing[0]}__* columns: give pairs of images and "
            "texts."
        )
    return slices["image"].stop


def _check_given(n_image, n_features):
    """Check the number of leading image columns that the parameter gives."""
    if n_image is None:
        raise ValueError(
            "an array does not show where the image block ends: set n_image_features to the number "
            "of leading image columns, or give a dataframe with columns image__* and text__*; "
            f"{_ONE_TABLE}."
        )
    n_image = check_integer(n_image, "n_image_features")
    if n_image >= n_features:
        raise ValueError(
            f"n_image_features={n_image} leaves no text block in a table of "
            f"n_features={n_features} columns: {_ONE_TABLE}."
        )
    return n_image


def _check_sides(columns, n_image):
    """Check that no column name contradicts the number of leading image columns."""
    for column, name in enumerate(columns or ()):
        if block_of(name) == ("text" if column < n_image else "image"):
            n_named = sum(block_of(name) == "image" for name in columns)
            raise ValueError(
                f"n_image_features={n_image} contradicts the names of the columns, got {name!r} as "
                f"column {column} and {n_named} image columns in all: leave n_image_features out "
                "to split by name."
            )


def split_blocks(hasher, X):
    """Find the blocks that a table holds after fit: both, or by its column names one.

    Parameters
    ----------
    hasher : PairHasher
        The fitted hasher.
    X : {array-like, CSR matrix, dataframe} of shape (n_samples, n_features)
        Features of pairs, or a dataframe with the columns of one block.

    Returns
    -------
    dict of str to array or CSR matrix
        The blocks.
    """
    columns = table_columns(X)
    if columns is not None:
        for block in BLOCKS:
            if columns == block_columns(hasher, block):
                return {block: check_block(hasher, X, block)}
        if hasher.n_image_features is None and len(slices := block_slices(columns)) == 1:
            (block,) = slices
            return {block: check_block(hasher, X, block)}
    try:
        return check_pairs(hasher, X, reset=False)
    except ValueError as error:
        if columns is None and "features as input" in str(error):
            raise ValueError(
                f"{error} To encode one modality of an array, call encode_image or encode_text."
            ) from None
        raise


def block_columns(hasher, block):
    """Return the names that the columns of a block had in fit, or None if they had none."""
    names = getattr(hasher, "feature_names_in_", None)
    if names is None:
        return None
    n_image = hasher.n_image_features_
    return list(names[:n_image] if block == "image" else names[n_image:])


def check_block(hasher, X, block):
    """Check features of one block.

    Parameters
    ----------
    hasher : PairHasher
        The fitted hasher.
    X : {array-like, CSR matrix, dataframe} of shape (n_samples, n_block_features)
        The features.
    block : {"image", "text"}
        The block.

    Returns
    -------
    array or CSR matrix
        The features.
    """
    _refuse_unreadable(X)
    columns, known = table_columns(X), block_columns(hasher, block)
    if columns is not None and known is not None and columns != known:
        unknown = [name for name in columns if name not in known]
        missing = [name for name in known if name not in columns]
        what = (
            f"unknown: {unknown[:3]}"
            if unknown
            else f"missing: {missing[:3]}"
            if missing
            else "in another order"
        )
        raise ValueError(
            f"the {block} columns must be those seen in fit, in the same order; {what}."
        )
    others = [name for name in columns or () if block_of(name) not in (None, block)]
    if others:
        raise ValueError(
            f"the {block} block has a column of the other, got {others[0]!r}: give the columns of "
            "one block alone."
        )
    X = _read(X, lambda rows: check_array(rows, input_name="X", **_READ))
    _check_finite(X)
    n_image = hasher.n_image_features_
    expected = n_image if block == "image" else hasher.n_features_in_ - n_image
    if X.shape[1] != expected:
        raise ValueError(
            f"the {block} block has {X.shape[1]} features, but {type(hasher).__name__} is "
            f"expecting {expected} features as input."
        )
    return X
