"""Linear algebra on the rows of a memory map, a chunk at a time."""

import numpy as np
from sklearn.utils import gen_batches

from ._pairs import CHUNK, dense_rows


class MappedRows:
    """Rows of a memory map less their mean, divided by a number, times a matrix.

    Only the matrix and, once it was asked for, the covariance are in memory.

    Parameters
    ----------
    values : ndarray of shape (n, d)
        The features, in a file.
    mean : ndarray of shape (d,)
        What is subtracted.
    scale : float
        What is divided by.
    weights : ndarray of shape (d, r), default=None
        The matrix; ``None`` leaves the features as they are.
    held : dict, default=None
        The covariance of the features, once it is known, which products of the same rows share.
    """

    def __init__(self, values, mean, scale, weights=None, held=None):
        self.values, self.mean, self.scale, self.weights = values, mean, scale, weights
        self.shape = len(values), values.shape[1] if weights is None else weights.shape[1]
        self._held = {} if held is None else held

    def __len__(self):
        return self.shape[0]

    def __matmul__(self, weights):
        whole = weights if self.weights is None else self.weights @ weights
        return MappedRows(self.values, self.mean, self.scale, whole, self._held)

    def __array__(self, dtype=None, copy=None):
        return np.concatenate(list(self.chunks())).astype(dtype or np.float64, copy=False)

    def chunks(self):
        """Yield the rows, of shape (m, r), float64, some thousand at a time."""
        for rows in gen_batches(len(self), CHUNK):
            x = (dense_rows(self.values, rows) - self.mean) / self.scale
            yield x if self.weights is None else x @ self.weights

    def covariance(self):
        """Return the covariance of the columns, (r, r)."""
        if "covariance" not in self._held:
            features = MappedRows(self.values, self.mean, self.scale)
            self._held["covariance"] = sum(x.T @ x for x in features.chunks()) / len(self)
        c = self._held["covariance"]
        return c if self.weights is None else self.weights.T @ c @ self.weights


def mean_squares(x):
    """Return the mean square of each column."""
    return np.diag(x.covariance()) if isinstance(x, MappedRows) else np.mean(x**2, axis=0)


def products(x, y):
    """Return the products of the columns of `x` and of `y`, summed over rows, (r, s)."""
    if isinstance(x, MappedRows) or isinstance(y, MappedRows):
        return sum(a.T @ b for a, b in zip(_chunks(x), _chunks(y), strict=True))
    return x.T @ y


def stack(*parts):
    """Stack rows; those of memory maps become float32."""
    if not any(isinstance(x, MappedRows) for x in parts):
        return np.vstack(parts)
    stacked = np.empty((sum(map(len, parts)), parts[0].shape[1]), dtype=np.float32)
    start = 0
    for x in parts:
        for chunk in _chunks(x):
            stacked[start : start + len(chunk)] = chunk
            start += len(chunk)
    return stacked


def _chunks(x):
    if isinstance(x, MappedRows):
        return x.chunks()
    return (x[rows] for rows in gen_batches(len(x), CHUNK))
