"""Read the blocks of a raw or feature table, and bring features into one form."""

from typing import Any

import narwhals as nw
import numpy as np
from scipy import sparse
from sklearn.utils.validation import check_array

from .._blocks import BLOCKS, is_table, table_column, table_columns
from .._inputs.checks import casting_features
from .._inputs.messages import shorten

# An image that could not be read may be a row of NaN.
_FEATURES: dict[str, Any] = {
    "accept_sparse": "csr",
    "dtype": np.float32,
    "ensure_all_finite": "allow-nan",
}


def read_blocks(X, raw_columns, *, ignore_others=False):
    """Find the blocks of a table or of an array of pairs.

    Parameters
    ----------
    X : dataframe or ndarray of shape (n_samples, 2), object
        The table.
    raw_columns : dict of str to str
        Name of the raw column of each block.
    ignore_others : bool, default=False
        Whether the table may hold other columns.

    Returns
    -------
    dict of str to tuple
        For each block that is present, its values and the names of its columns: a vector of raw
        items and None, or a matrix of features and a list of str.
    """
    columns = table_columns(X)
    if columns is None:
        return _read_pairs(X)
    blocks, known = {}, set()
    for block, column in raw_columns.items():
        names = [name for name in columns if name.startswith(f"{block}__") and name != column]
        if column in columns and names:
            raise ValueError(
                f"the {block} block is there twice, as the raw column {column!r} and as the "
                f"features {listed(names)}: keep one of the two."
            )
        if column in columns:
            blocks[block] = table_column(X, column), None
        elif names:
            blocks[block] = nw.from_native(X, eager_only=True)[names].to_numpy(), names
        known.update([column, *names])
    if not blocks or not (ignore_others or known.issuperset(columns)):
        raise ValueError(
            f"a table must hold the columns {listed(list(raw_columns.values()))}, or image__* and "
            f"text__* in their place, and no others, got {listed(columns)}: select or rename them, "
            "set image_column and text_column, or let CrossModalFeaturizer ignore other columns "
            "with extra_columns='ignore'."
        )
    return blocks


def _read_pairs(X):
    if not isinstance(X, np.ndarray):
        raise TypeError(
            f"X must be a dataframe or an object array of shape (n, 2), got {type(X).__name__}: "
            "build a table with skhash.make_table."
        )
    if X.ndim != 2 or X.shape[1] != 2:
        raise ValueError(
            f"an array must have two columns, image and text, got the shape {X.shape}: for one "
            "modality alone use encode_image, encode_text or a dataframe with one column."
        )
    return {"image": (X[:, 0], None), "text": (X[:, 1], None)}


def check_both_blocks(blocks, X):
    """Raise an error if `fit` was not given both blocks."""
    for block in BLOCKS:
        if block not in blocks:
            raise ValueError(
                f"fit needs images and texts, got a table without the {block} block: its columns "
                f"are {listed(table_columns(X) or [])}."
            )


def remember_columns(featurizer, X):
    """Set the attributes that tell what columns `fit` saw."""
    vars(featurizer).pop("feature_names_in_", None)
    columns = table_columns(X)
    if columns is not None:
        featurizer.feature_names_in_ = np.array(columns, dtype=object)
    featurizer.n_features_in_ = X.shape[1]


def library_of(X):
    """Return the library of a dataframe, or "default" for anything else."""
    frame = nw.from_native(X, eager_only=True, pass_through=True)
    return frame.implementation.value if isinstance(frame, nw.DataFrame) else "default"


def stack_vectors(values):
    """Return features as a float32 matrix: one already, or a sequence of one vector a row."""
    if is_table(values) or sparse.issparse(values) or getattr(values, "ndim", 1) == 2:
        with casting_features():
            return check_array(values, **_FEATURES)
    vectors = [np.asarray(vector) for vector in values]
    for row, vector in enumerate(vectors):
        if vector.ndim != 1 or vector.shape != vectors[0].shape:
            raise ValueError(
                f"row {row} must be a vector as long as that of row 0, got the shape "
                f"{vector.shape} beside {vectors[0].shape}: give vectors of one length."
            )
    with casting_features():
        return check_array(vectors, **_FEATURES)


def as_float32(features, *, sparse_output) -> Any:
    """Return what a featurizer gave as a float32 array, dense or CSR."""
    if is_table(features):
        features = nw.from_native(features, eager_only=True).to_numpy()
    if sparse.issparse(features):
        with casting_features():
            features = features.astype(np.float32)
        return features.tocsr() if sparse_output else features.toarray()
    with casting_features():
        features = np.asarray(features, dtype=np.float32)
    return sparse.csr_array(features) if sparse_output else features


def names_of(branch, features):
    """Return the names that a featurizer gives its features, or numbers where it gives none."""
    try:
        names = list(branch.get_feature_names_out())
    except AttributeError:  # a featurizer, or a step of a pipeline, that names nothing
        names = []
    return names if len(names) == features.shape[1] else range(features.shape[1])


def listed(names):
    """List names in a message, the first five of them."""
    return ", ".join(map(shorten, names[:5])) + (", ..." if len(names) > 5 else "")
