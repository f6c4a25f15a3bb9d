"""Kernel features of a block: rows to unit vectors, principal coordinates, similarities."""

import numpy as np
from scipy import sparse
from sklearn.utils import gen_batches

from .._blocks import BLOCKS
from ._linear import CenteredSparse, principal_axes
from ._moments import Part, eigen
from ._pairs import CHUNK

_SAMPLE = 20_000_000  # entries of the rows from which principal axes are learned
_MOST_AXES = 512
_KEPT = 20_000  # pairs whose features are kept between passes


def unit(x):
    """Divide each row by its Euclidean length; rows of zeros stay as they are."""
    lengths = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(lengths > 0, lengths, 1)


def squared_distances(a, b):
    """Return the squared Euclidean distance of each row of a to each row of b."""
    distances = a @ b.T
    distances *= -2
    distances += np.einsum("ij,ij->i", a, a)[:, None]
    distances += np.einsum("ij,ij->i", b, b)
    return np.maximum(distances, 0, out=distances)


class KernelFeatures:
    r"""Nyström features of a Gaussian kernel, learned from rows that are read in chunks.

    Rows :math:`x` become :math:`z`, the square root of the entries where none is negative, at unit
    length. Principal coordinates are :math:`p = A^\top (z - \bar z) / s`, with :math:`s` the root
    mean square of :math:`\lVert z - \bar z \rVert`, and the features are

    .. math:: \phi(x) = (K_{aa} + \epsilon)^{-1/2} k_a(x), \qquad
        k_a(x) = \exp(-\gamma \lVert p - p_a \rVert^2 / m)

    with anchors :math:`a` and the median :math:`m` of squared distances (Williams and Seeger, NIPS
    2000).

    Parameters
    ----------
    values : array or CSR matrix of shape (n, d)
        The block.
    center : bool
        Whether to subtract the mean.
    n_anchors : int
        Largest number of anchors.
    gamma : float
        Sharpness of the kernel.
    rng : Generator
        Draws the sample and the anchors.
    """

    def __init__(self, values, *, center, n_anchors, gamma, rng):
        n, d = values.shape
        chunks = list(gen_batches(n, CHUNK))
        self.non_negative = all(_least(values[rows]) >= 0 for rows in chunks)
        mean, squares = np.zeros(d), 0.0
        for rows in chunks:
            z = self.normalize(values[rows])
            mean += np.asarray(z.sum(axis=0)).ravel()
            squares += z.power(2).sum() if sparse.issparse(z) else np.sum(z**2)
        self.mean = mean / n if center else np.zeros(d)
        spread = np.sqrt(max(squares / n - self.mean @ self.mean, 0.0))
        self.scale = spread if spread > 1e-7 else 1.0  # less is rounding: all rows are the same
        sample = _draw(n, max(_SAMPLE // d, 1000), rng)
        z = self.normalize(values[sample])
        if sparse.issparse(z) and n < d and z.shape[0] * d <= _SAMPLE:
            z = z.toarray()  # as few rows are quickly decomposed
        if sparse.issparse(z):
            centred = CenteredSparse(z, self.mean, self.scale)
        else:
            centred = (z - self.mean) / self.scale
        self.axes = principal_axes(centred, _MOST_AXES, rng)[0] / self.scale
        p = self.coordinates(values[sample])
        self.anchors = p[np.sort(rng.permutation(len(p))[:n_anchors])]
        some = p[rng.permutation(len(p))[:500]]
        self.rate = gamma / (np.median(squared_distances(some, self.anchors)) or 1.0)
        variances, axes = eigen(self.similarities(self.anchors))
        variances, axes = variances[:_MOST_AXES], axes[:, :_MOST_AXES]
        keep = variances > 1e-5 * variances[0]
        self.root = axes[:, keep] / np.sqrt(variances[keep] + 1e-6)

    @classmethod
    def from_state(cls, state):
        """Return what maps to coordinates and to similarities, from a hasher's state."""
        new = object.__new__(cls)
        new.non_negative, new.rate = bool(state["non_negative"]), float(state["rate"])
        new.mean, new.axes, new.anchors = state["mean"], state["axes"], state["anchors"]
        return new

    def state(self):
        """Return what `from_state` needs."""
        return {
            "non_negative": np.array(self.non_negative),
            "mean": self.mean,
            "axes": self.axes,
            "anchors": self.anchors,
            "rate": np.array(self.rate),
        }

    def normalize(self, values):
        """Return rows of unit length, (m, d), dense or CSR as they came."""
        if sparse.issparse(values):
            z = _canonical(values).astype(np.float64)
            if self.non_negative:
                z.data = np.sqrt(np.maximum(z.data, 0))
            else:
                z = _divide_rows(z, abs(z).max(axis=1).toarray().ravel())
            return _divide_rows(z, np.sqrt(np.asarray(z.power(2).sum(axis=1)).ravel()))
        z = np.asarray(values, dtype=np.float64)
        if self.non_negative:
            return unit(np.sqrt(np.maximum(z, 0)))
        # Squares of very large or small entries would leave the range of a float.
        largest = np.abs(z).max(axis=1, keepdims=True, initial=0)
        return unit(z / np.where(largest > 0, largest, 1))

    def directions(self, values, axes):
        """Return centred rows, at unit length before they are projected on some axes, (m, a)."""
        z = self.normalize(values)
        squares = z.power(2) if sparse.issparse(z) else z**2
        lengths = np.asarray(squares.sum(axis=1)).ravel() - 2 * (z @ self.mean)
        lengths = np.sqrt(np.maximum(lengths + self.mean @ self.mean, 0))[:, None]
        return (z @ axes - self.mean @ axes) / np.where(lengths > 0, lengths, 1)

    def coordinates(self, values):
        """Return principal coordinates, (m, r)."""
        z = self.normalize(values)
        return z @ self.axes - self.mean @ self.axes

    def similarities(self, p):
        """Return the kernel between coordinates and the anchors, (m, a)."""
        distances = squared_distances(p, self.anchors)
        distances *= -self.rate
        return np.exp(distances, out=distances)

    def features(self, p):
        """Return the features of rows with such coordinates, (m, q)."""
        return self.similarities(p) @ self.root


def _least(values):
    if sparse.issparse(values):
        return _canonical(values).data.min(initial=0)
    return values.min(initial=0)


def _canonical(values):
    """Return a copy of a CSR matrix that stores each entry once."""
    values = sparse.csr_matrix(values, copy=True)
    values.sum_duplicates()
    return values


def _divide_rows(values, divisors):
    """Divide each row of a CSR matrix, but by 1 instead of 0."""
    return sparse.diags(1 / np.where(divisors > 0, divisors, 1)) @ values


def _draw(n, most, rng):
    """Return the sorted indices of at most so many rows."""
    return np.arange(n) if n <= most else np.sort(rng.choice(n, most, replace=False))


class KernelRows:
    """The pairs as kernel features and coordinates, a batch at a time."""

    def __init__(self, blocks, features, folds):
        self.blocks, self.features, self.folds = blocks, features, folds
        self.batches = list(gen_batches(len(folds), CHUNK))
        self.kept = None
        if len(folds) <= _KEPT:
            self.kept = [self.part(rows) for rows in self.batches]

    def part(self, rows):
        """Return some of the pairs."""
        x, y = (self.features[b].coordinates(self.blocks[b][rows]) for b in BLOCKS)
        f, g = (self.features[b].features(p) for b, p in zip(BLOCKS, (x, y), strict=True))
        return Part(f, g, x, y, self.folds[rows])

    def parts(self):
        """Return all pairs in batches."""
        return self.kept or map(self.part, self.batches)
