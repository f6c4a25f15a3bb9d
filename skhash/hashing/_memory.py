"""Remembering pairs: what encoders could not predict of the rows that they learned from."""

import numpy as np
from sklearn.utils import gen_batches

from ._kernel import squared_distances

_SHARPNESS = 10.0
ENTRIES = 8_000_000  # distances that are held at once
_AXES = 128  # leading coordinates in which rows are recognised


def remember(coordinates, lacking, rng):
    """Return what to keep of rows, to add what they lack to rows that coincide with them.

    Parameters
    ----------
    coordinates : ndarray of shape (n, r)
        Principal coordinates of the rows.
    lacking : ndarray of shape (n, n_bits)
        What to add to their real codes.
    rng : Generator
        Draws the rows whose distances are measured.

    Returns
    -------
    dict of str to ndarray
        ``known``, ``lacking`` and ``sharpness``, for `recall`.
    """
    known = coordinates[:, :_AXES]
    some = known[rng.permutation(len(known))[:1000]]
    nearest = np.empty(len(some))
    for rows in gen_batches(len(some), max(1, ENTRIES // len(known))):
        distances = squared_distances(some[rows], known)
        distances[distances < 1e-9] = np.inf  # the row itself, and rows that repeat it
        nearest[rows] = distances.min(axis=1)
    nearest = nearest[np.isfinite(nearest)]
    typical = np.median(nearest) if len(nearest) else 1.0
    return {
        "known": known.astype(np.float32),
        "lacking": lacking.astype(np.float32),
        "sharpness": np.array(_SHARPNESS / typical),
    }


def recall(state, coordinates):
    """Return what to add to the real codes of rows, (m, n_bits), given their coordinates."""
    distances = squared_distances(coordinates[:, :_AXES], state["known"])
    distances *= -state["sharpness"]
    weights = np.exp(distances, out=distances)
    return weights @ state["lacking"] / np.maximum(1, weights.sum(axis=1))[:, None]
