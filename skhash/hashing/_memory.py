"""Remembering pairs: what encoders could not predict of the rows that they learned from."""

import numpy as np
from sklearn.utils import gen_batches

from ._kernel import squared_distances

_SHARPNESS = 10.0
ENTRIES = 8_000_000  # distances that are held at once
AXES = 128  # leading coordinates in which rows are recognised


def remember(known, lacking, rng):
    """Return what to keep of rows, to add what they lack to rows that coincide with them.

    Parameters
    ----------
    known : float32 ndarray of shape (n, AXES)
        Leading principal coordinates of the rows.
    lacking : ndarray of shape (n, n_bits)
        What to add to their real codes.
    rng : Generator
        Draws the rows whose distances are measured.

    Returns
    -------
    dict of str to ndarray
        ``known``, ``lacking`` and ``sharpness``, for `recall`.
    """
    exact = known.astype(np.float64)  # rounding must not part a row from itself
    some = exact[rng.permutation(len(known))[:1000]]
    nearest = np.empty(len(some))
    for rows in gen_batches(len(some), max(1, ENTRIES // len(known))):
        distances = squared_distances(some[rows], exact)
        distances[distances < 1e-9] = np.inf  # the row itself, and rows that repeat it
        nearest[rows] = distances.min(axis=1)
    nearest = nearest[np.isfinite(nearest)]
    typical = np.median(nearest) if len(nearest) else 1.0
    return {
        "known": known,
        "lacking": lacking.astype(np.float32),
        "sharpness": np.array(_SHARPNESS / typical),
    }


def recall(state, coordinates):
    """Return what to add to the real codes of rows, (m, n_bits), given their coordinates."""
    distances = squared_distances(coordinates[:, :AXES], state["known"])
    distances *= -state["sharpness"]
    weights = np.exp(distances, out=distances)
    return weights @ state["lacking"] / np.maximum(1, weights.sum(axis=1))[:, None]
