"""Relevance of items to queries, from labels in a form that can be compared fast."""

import math

import numpy as np
import pandas as pd
from scipy import sparse

from .._hamming.engine_numpy import to_words
from .._inputs.ids import as_array, of_one_kind


def encode_labels(y_query, y_gallery, n_queries, n_gallery):
    """Bring labels into the form that grades are computed from.

    Parameters
    ----------
    y_query, y_gallery : array-like of shape (n_codes,) or (n_codes, n_labels), or None
        Ids or classes, or indicators of labels; None on both sides means that rows are pairs.
    n_queries, n_gallery : int
        Numbers of codes.

    Returns
    -------
    y_query, y_gallery : ndarray of shape (n_codes,) or (n_words, n_codes)
        Integers to compare for equality, or words of label bits to intersect.
    """
    if (y_query is None) != (y_gallery is None):
        given, missing = ("gallery", "queries") if y_query is None else ("queries", "gallery")
        raise ValueError(
            f"labels are given on one side only, for the {given} and not for the {missing}: give "
            "them for both, or, if rows are pairs, for neither. A retriever gets the labels of the "
            "gallery as y in fit, and those of the queries as y in score."
        )
    if y_query is None:
        if n_queries != n_gallery:
            raise ValueError(
                "without labels, only row i of the gallery is relevant to query i, which needs "
                f"equal lengths, got {n_queries} queries and {n_gallery} gallery items: give "
                "labels of both."
            )
        return np.arange(n_queries), np.arange(n_gallery)
    sides = {"query": (y_query, n_queries), "gallery": (y_gallery, n_gallery)}
    labels = [_check_side(*given, side) for side, given in sides.items()]
    if labels[0].shape[1:] != labels[1].shape[1:]:
        raise ValueError(
            f"query labels have shape {labels[0].shape} and gallery labels {labels[1].shape}: "
            "give an id or a class for each row of both, or indicators of the same labels."
        )
    if labels[0].ndim == 2:
        packed = (np.packbits(held_labels(array), axis=1) for array in labels)
        return tuple(to_words(array, min_bytes=8) for array in packed)
    if (
        labels[0].dtype.kind != labels[1].dtype.kind
    ):  # otherwise NumPy turns the number 1 into the string "1"
        labels = [array.astype(object) for array in labels]
    ids = pd.factorize(np.concatenate(labels))[0]
    return ids[:n_queries], ids[n_queries:]


def check_labels(y, n_rows, name="labels", rows="codes"):
    """Check labels: an id or class per row, or indicators of labels.

    Parameters
    ----------
    y : array-like or sparse matrix of shape (n_rows,) or (n_rows, n_labels)
        The labels; those of Dask are computed.
    n_rows : int
        Number of rows that are labelled.
    name : str, default="labels"
        What they are called in an error message.
    rows : str, default="codes"
        What the rows are called in an error message.

    Returns
    -------
    ndarray of shape (n_rows,) or (n_rows, n_labels)
        The same labels, of one kind and without missing values; numbers or booleans if there are
        two dimensions.
    """
    y = y.toarray() if sparse.issparse(y) else as_array(y, name)
    if y.ndim > 2:
        raise ValueError(f"{name} must have one or two dimensions, got {y.ndim}.")
    if len(y) != n_rows:
        raise ValueError(
            f"labels of another length: got {len(y)} rows of labels for {n_rows} {rows}."
        )
    y = of_one_kind(y.reshape(-1), name, math.prod(y.shape[1:])).reshape(y.shape)
    if y.ndim == 2 and y.dtype.kind not in "biuf":
        raise ValueError(
            f"{name} of two dimensions must be indicators, 0 or 1, got the dtype {y.dtype}: give "
            "ids or classes as a one-dimensional array, and turn lists of labels into indicators "
            "with sklearn.preprocessing.MultiLabelBinarizer."
        )
    return y


def _check_side(y, n_codes, side):
    y = check_labels(y, n_codes, f"the {side} labels")
    if y.ndim == 2 and not y.any():
        raise ValueError(
            f"the {side} labels are all 0, so nothing can be relevant: give label indicators with "
            "a 1 for each label that a row has."
        )
    return y


def held_labels(labels):
    """Return which labels each row has, given indicators.

    Parameters
    ----------
    labels : ndarray of shape (n_rows, n_labels)
        The indicators.

    Returns
    -------
    ndarray of shape (n_rows, n_labels), bool
        True where an indicator is 1.

    Raises
    ------
    ValueError
        If one is neither 0 nor 1.
    """
    held = labels == 1
    if not np.all(held | (labels == 0)):
        raise ValueError(
            "two-dimensional labels must be indicators, 0 or 1: give ids or classes as a "
            "one-dimensional array, and turn lists of labels into indicators with "
            "sklearn.preprocessing.MultiLabelBinarizer."
        )
    return held


def count_grades(y_query, y_gallery):
    """Return the number of grades of relevance that can occur, grade 0 included.

    Parameters
    ----------
    y_query, y_gallery : ndarray
        What `encode_labels` gives.

    Returns
    -------
    int
        2 for ids and classes; for indicators one more than the most labels that can be shared.
    """
    if y_query.ndim == 1:
        return 2
    return 1 + min(int(_count_labels(y).max()) for y in (y_query, y_gallery))


def grade(y_query, y_gallery, n_grades):
    """Grade each item's relevance to each query.

    Parameters
    ----------
    y_query, y_gallery : ndarray
        What `encode_labels` gives.
    n_grades : int
        Number of grades; higher ones count as the highest.

    Returns
    -------
    ndarray of shape (n_queries, n_gallery), int64
        1 where the ids are equal, or the number of shared labels.
    """
    if y_query.ndim == 1:
        return (y_query[:, None] == y_gallery).astype(np.int64)
    shared = np.zeros((y_query.shape[1], y_gallery.shape[1]), dtype=np.int64)
    for query_word, gallery_word in zip(y_query, y_gallery, strict=True):
        shared += np.bitwise_count(query_word[:, None] & gallery_word)
    return np.minimum(shared, n_grades - 1)


def grade_itself(y, n_grades):
    """Grade each row's relevance to itself.

    Parameters
    ----------
    y : ndarray of shape (n_codes,) or (n_words, n_codes)
        What `encode_labels` gives.
    n_grades : int
        Number of grades; higher ones count as the highest.

    Returns
    -------
    ndarray of shape (n_codes,), int64
        The grades.
    """
    if y.ndim == 1:
        return np.ones(len(y), dtype=np.int64)
    return np.minimum(_count_labels(y), n_grades - 1)


def _count_labels(y):
    return np.bitwise_count(y).sum(axis=0, dtype=np.int64)
