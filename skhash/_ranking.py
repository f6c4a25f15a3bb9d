"""From codes and labels to average precision, with ties.

A ranking is a row of *buckets*: sets of items at one distance, whose order nobody knows. All that
average precision needs of a bucket is how many items it has and how many of them are relevant.
"""

import numbers

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.utils import check_scalar, gen_batches

from ._buckets import bucket_average_precision, harmonic_numbers
from ._popcount import distances, to_words
from .codes import code_format, pack_codes

TIES = ("expected", "optimistic", "pessimistic", "index")
NORMALIZE = ("hits", "possible", "relevant")
_BLOCK = 1 << 19  # pairs of a query and an item held at a time


def average_precisions(queries, gallery, y_query, y_gallery, *, k, ties, normalize):
    """Compute the average precision of each query.

    Parameters
    ----------
    queries, gallery : ndarray of shape (n_words, n_codes) or (n_features, n_codes)
        What `comparable` gives.
    y_query, y_gallery : array-like or None
        What `encode_labels` takes.
    k : int or None
        Cut-off.
    ties : {"expected", "optimistic", "pessimistic", "index"}
        Order inside a bucket.
    normalize : {"hits", "possible", "relevant"}
        Meaning of the cut-off and the divisor.

    Returns
    -------
    ndarray of shape (n_queries,), float64
        The average precisions.
    """
    if ties not in TIES:
        raise ValueError(f"ties must be one of {', '.join(TIES)}, got {ties!r}.")
    if normalize not in NORMALIZE:
        raise ValueError(f"normalize must be one of {', '.join(NORMALIZE)}, got {normalize!r}.")
    n_queries, n_gallery = queries.shape[1], gallery.shape[1]
    k = (
        n_gallery
        if k is None
        else min(check_scalar(k, "k", numbers.Integral, min_val=1), n_gallery)
    )
    y_query, y_gallery = encode_labels(y_query, y_gallery, n_queries, n_gallery)
    harmonic = harmonic_numbers(n_gallery)
    count = _singletons if ties == "index" else _histograms
    scores = np.empty(n_queries)
    for batch in gen_batches(n_queries, max(1, _BLOCK // n_gallery)):
        relevant = relevance(y_query[..., batch], y_gallery)
        n_items, n_relevant = count(_rank_distances(queries[:, batch], gallery), relevant)
        scores[batch] = bucket_average_precision(
            n_items, n_relevant, harmonic, k=k, ties=ties, normalize=normalize
        )
    return scores


def comparable(query_codes, gallery_codes):
    """Bring two arrays of codes into the form that distances are computed from.

    Parameters
    ----------
    query_codes : array-like of shape (n_queries, n_columns)
        Codes in any format.
    gallery_codes : array-like of shape (n_gallery, n_columns)
        Codes in the same format.

    Returns
    -------
    queries, gallery : ndarray of shape (n_words, n_codes) or (n_features, n_codes)
        Words where the codes are binary, unit vectors (float64) where they are real.
    """
    pair = np.asarray(query_codes), np.asarray(gallery_codes)
    packed = [pack_codes(codes) for codes in pair]  # checks real codes too
    (n_queries, width), (n_gallery, gallery_width) = (codes.shape for codes in pair)
    form, gallery_form = map(code_format, pair)
    if form != gallery_form:
        raise TypeError(
            f"the query codes are {form}, the gallery codes {gallery_form}: "
            "convert one of them with skhash.codes.convert_codes."
        )
    if width != gallery_width:
        raise ValueError(
            f"the query codes have {width} columns, the gallery codes {gallery_width}: "
            "give codes of one length."
        )
    if not (n_queries and n_gallery and width):
        raise ValueError(
            f"the codes are empty, got {n_queries} queries and {n_gallery} gallery items "
            f"of {width} columns: give at least one of each."
        )
    if form == "real":
        return _unit_columns(pair[0]), _unit_columns(pair[1])
    return to_words(packed[0]), to_words(packed[1])


def _unit_columns(vectors):
    vectors = vectors.T.astype(np.float64)
    norms = np.linalg.norm(vectors, axis=0)
    return vectors / np.where(norms > 0, norms, 1)


def encode_labels(y_query, y_gallery, n_queries, n_gallery):
    """Bring labels into the form that `relevance` compares.

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
        raise ValueError(
            "labels are given on one side only: give y_query and y_gallery, or neither for rows "
            "that are pairs."
        )
    if y_query is None:
        if n_queries != n_gallery:
            raise ValueError(
                "without labels row i of the gallery answers query i, which needs equal lengths, "
                f"got {n_queries} queries and {n_gallery} gallery items: give labels of both."
            )
        return np.arange(n_queries), np.arange(n_gallery)
    labels = _label_array(y_query, n_queries), _label_array(y_gallery, n_gallery)
    if labels[0].shape[1:] != labels[1].shape[1:]:
        raise ValueError(
            f"query labels have shape {labels[0].shape} and gallery labels {labels[1].shape}: "
            "give both as one id or class a row, or both as indicators of the same labels."
        )
    if labels[0].ndim == 2:
        return tuple(to_words(_pack_labels(array)) for array in labels)
    if labels[0].dtype.kind != labels[1].dtype.kind:  # else NumPy makes the number 1 a string "1"
        labels = [array.astype(object) for array in labels]
    ids = pd.factorize(np.concatenate(labels))[0]
    if ids.min() < 0:
        raise ValueError("the labels hold missing values (NaN or None): give every row a label.")
    return ids[:n_queries], ids[n_queries:]


def _label_array(y, n_codes):
    y = y.toarray() if sparse.issparse(y) else np.asarray(y)
    if y.ndim not in (1, 2):
        raise ValueError(f"labels must have one or two dimensions, got {y.ndim}.")
    if len(y) != n_codes:
        raise ValueError(
            f"labels of another length: got {len(y)} rows of labels for {n_codes} codes."
        )
    return y


def _pack_labels(labels):
    held = labels == 1
    if not np.all(held | (labels == 0)):
        raise ValueError(
            "two-dimensional labels must be indicators, 0 or 1: give ids or classes as a "
            "one-dimensional array."
        )
    return np.packbits(held.astype(bool), axis=1)


def relevance(y_query, y_gallery):
    """Say which items are relevant to which query.

    Parameters
    ----------
    y_query, y_gallery : ndarray
        What `encode_labels` gives.

    Returns
    -------
    ndarray of shape (n_queries, n_gallery), bool
        True where the ids are equal or a label is shared.
    """
    if y_query.ndim == 1:
        return y_query[:, None] == y_gallery
    shared = np.zeros((y_query.shape[1], y_gallery.shape[1]), dtype=bool)
    for query_word, gallery_word in zip(y_query, y_gallery, strict=True):
        shared |= (query_word[:, None] & gallery_word) != 0
    return shared


def _rank_distances(queries, gallery):
    """Return integer distances: in bits, or the dense ranks of the cosine similarities."""
    if queries.dtype.kind == "u":
        return distances(queries, gallery)
    # Single precision, so that equal vectors tie whatever the order of the products' summation.
    cosine = (queries.T @ gallery).astype(np.float32)
    order = np.argsort(-cosine, axis=1, kind="stable")
    descending = np.take_along_axis(cosine, order, axis=1)
    ranks = np.zeros(cosine.shape, dtype=np.int32)
    steps = descending[:, 1:] != descending[:, :-1]
    np.cumsum(steps, axis=1, dtype=ranks.dtype, out=ranks[:, 1:])
    result = np.empty_like(ranks)
    np.put_along_axis(result, order, ranks, axis=1)
    return result


def _histograms(ranked, relevant):
    """Count the items and the relevant items at each distance."""
    n_queries, n_bins = len(ranked), int(ranked.max()) + 1
    keys = ranked + n_bins * np.arange(n_queries)[:, None]
    keys *= 2
    keys += relevant
    counts = np.bincount(keys.ravel(), minlength=2 * n_bins * n_queries)
    counts = counts.reshape(n_queries, n_bins, 2)
    return counts.sum(axis=2), counts[:, :, 1]


def _singletons(ranked, relevant):
    """Break ties by the lowest row: every item is a bucket of its own."""
    order = np.argsort(ranked, axis=1, kind="stable")
    n_relevant = np.take_along_axis(relevant, order, axis=1).astype(np.int64)
    return np.ones_like(n_relevant), n_relevant
