"""Hashers whose encoders are linear maps, and the linear algebra that they share."""

from typing import Any

import numpy as np
from scipy import linalg, sparse
from scipy.sparse.linalg import LinearOperator, svds
from sklearn.utils import gen_batches

from .._blocks import BLOCKS
from .._inputs.mapped import is_mapped, take
from .._inputs.messages import MANY, warn
from ._base import PairHasher
from ._docs import hasher
from ._mapped import MappedRows
from ._pairs import CHUNK, block_statistics, dense_rows, warn_of_rows
from ._parameters import count

_ROWS = 1 << 17  # rows that are rotated at a time


@hasher
class LinearHasher(PairHasher):
    """Base of hashers that learn a linear map of each modality.

    Features are centred, divided by their common spread and reduced to principal axes. A method
    defines `_directions`.

    Parameters
    ----------
    n_components : int, default=None
        Largest number of principal axes of each block to learn from. ``None`` means 512, or
        `n_bits` if that is more.

    Attributes
    ----------
    image_state_, text_state_ : dict of str to ndarray
        ``directions``, of shape (n_block_features, n_bits), and ``offset``, of shape (n_bits,): the
        real codes of features x are ``x @ directions - offset``.
    """

    n_components: int | None = count(None, none=True)

    _least_components = 512
    _reads_maps = False  # whether a method takes `MappedRows`

    def _directions(self, image, text, rng):
        """Return the map of each modality, (r, n_bits), from reduced features, (n, r)."""
        raise NotImplementedError

    def _thresholds(self, codes):
        """Return the values, (n_bits,), above which the bits of a block are 1."""
        return np.zeros(codes.shape[1])

    def _learn(self, pairs, seed):
        rng = np.random.default_rng(seed)
        options = {"center": self.center, "mapped": self._reads_maps}
        blocks = {b: standardize(b, pairs.blocks[b], **options) for b in BLOCKS}
        axes = {b: self._axes(blocks[b][0], rng) for b in BLOCKS}
        reduced = {b: blocks[b][0] @ axes[b] for b in BLOCKS}
        directions = self._directions(reduced["image"], reduced["text"], rng)
        maps = dict(zip(BLOCKS, directions, strict=True))
        thresholds = {b: self._thresholds(reduced[b] @ maps[b]) for b in BLOCKS}
        self._set_states({b: axes[b] @ maps[b] for b in BLOCKS}, blocks, thresholds)

    def _axes(self, x, rng):
        """Return the principal axes of a block, (d, r), that the method learns from."""
        n_axes = self.n_components or max(self._least_components, self.n_bits or 0)
        return principal_axes(x, n_axes, rng)[0]

    def _set_states(self, maps, blocks, thresholds):
        """Fold the mean and the scale of the features into the maps."""
        states = []
        for block in BLOCKS:
            _, mean, scale = blocks[block]
            directions = maps[block] / scale
            offset = mean @ directions + thresholds[block]
            states.append(
                {"directions": directions.astype(np.float32), "offset": offset.astype(np.float32)}
            )
        self.image_state_, self.text_state_ = states

    def _real_codes(self, block, values):
        state = self.image_state_ if block == "image" else self.text_state_
        codes = np.empty((values.shape[0], state["offset"].size), dtype=np.float32)
        for rows in gen_batches(len(codes), CHUNK):
            codes[rows] = take(values, rows) @ state["directions"] - state["offset"]
        return codes


def standardize(block, values, *, center, mapped=False):
    """Centre features and divide them by their common spread, without making a CSR matrix dense.

    Parameters
    ----------
    block : str
        Name of the block, for warnings.
    values : array or CSR matrix of shape (n, d)
        The features.
    center : bool
        Whether to subtract the mean.
    mapped : bool, default=False
        Whether features of a memory map stay there.

    Returns
    -------
    x : ndarray, LinearOperator or MappedRows of shape (n, d), float64
        The features, of which ``x @ w`` and ``x.T @ y`` can be taken.
    mean : ndarray of shape (d,)
        What was subtracted.
    scale : float
        What was divided by: the root mean square of a row's length.
    """
    mean, spread, *rows = block_statistics(values, center=center)
    warn_of_rows(block, *rows)
    if not len(rows[0]) and _are_equal(values):
        warn(
            f"all {values.shape[0]} rows of the {block} block are equal, and so will be their "
            "codes: check the features.",
        )
    mean, scale = mean.astype(np.float64), spread * np.sqrt(values.shape[1])
    if sparse.issparse(values):
        return CenteredSparse(values, mean, scale), mean, scale
    if mapped and is_mapped(values) and len(values) > max(CHUNK, values.shape[1]):
        return MappedRows(values, mean, scale), mean, scale
    return (values - mean) / scale, mean, scale


def _are_equal(values):
    """Say whether many rows are equal, without reading beyond the first that differ."""
    n_rows = values.shape[0]
    if n_rows < MANY:
        return False
    first = dense_rows(values, slice(0, 1))
    return all(
        (dense_rows(values, rows) == first).all()
        for rows in (slice(0, MANY), *gen_batches(n_rows, CHUNK))
    )


class CenteredSparse(LinearOperator):
    """A CSR matrix less the mean of its columns, divided by a number."""

    def __init__(self, values, mean, scale):
        self.values, self.mean, self.scale = values.astype(np.float64), mean, scale
        super().__init__(np.dtype(np.float64), values.shape)

    def _matmat(self, X):
        return (self.values @ X - self.mean @ X) / self.scale

    def _rmatmat(self, X):
        return (self.values.T @ X - np.multiply.outer(self.mean, X.sum(axis=0))) / self.scale


def covariance(x):
    """Return the covariance of centred features, (n, d) to (d, d)."""
    n_rows = x.shape[0]
    if isinstance(x, MappedRows):
        return x.covariance()
    if isinstance(x, np.ndarray):
        return x.T @ x / n_rows
    products = (x.values.T @ x.values).toarray()
    sums = np.asarray(x.values.sum(axis=0)).ravel()
    crossed = np.multiply.outer(sums, x.mean)
    products += n_rows * np.multiply.outer(x.mean, x.mean) - crossed - crossed.T
    return products / (n_rows * x.scale**2)


def principal_axes(x, n_axes, rng):
    """Return the leading eigenvectors of the covariance of features, and their eigenvalues.

    Parameters
    ----------
    x : ndarray or LinearOperator of shape (n, d)
        Centred features.
    n_axes : int or None
        Largest number of axes; None keeps all that vary.
    rng : Generator
        Where the iteration for wide sparse blocks begins.

    Returns
    -------
    axes : ndarray of shape (d, r)
        Orthonormal columns.
    variances : ndarray of shape (r,)
        Variances along them, descending.
    """
    n_rows, n_features = x.shape
    most = min(n_rows, n_features, n_axes or n_rows)
    if n_features <= max(n_rows, 2048) or (n_features <= 8192 and not isinstance(x, np.ndarray)):
        variances, axes = linalg.eigh(
            covariance(x), subset_by_index=(n_features - most, n_features - 1)
        )
    elif isinstance(x, np.ndarray):
        _, values, rows = np.linalg.svd(x, full_matrices=False)
        variances, axes = values[::-1] ** 2 / n_rows, rows[::-1].T
    else:
        most = min(most, n_rows - 1)
        start = rng.standard_normal(min(x.shape))
        decomposition: Any = svds(x, k=most, v0=start)
        _, values, rows = decomposition
        order = np.argsort(values)
        variances, axes = values[order] ** 2 / n_rows, rows[order].T
    variances, axes = variances[::-1][:most], axes[:, ::-1][:, :most]
    keep = variances > 1e-9 * max(variances[0], np.finfo(np.float64).tiny)
    keep[0] = True  # constant features have one axis, too
    axes = axes[:, keep]
    # Rounding decides the sign of an eigenvector: the same data, dense or CSR, must have one.
    largest = axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])]
    return axes * signs(largest), np.maximum(variances[keep], 0)


def ridge_regression(x, ridge):
    """Prepare ridge regressions on features, which are factorised once.

    Parameters
    ----------
    x : ndarray of shape (n, d)
        Centred features.
    ridge : float
        Penalty, in units of the mean variance of a feature.

    Returns
    -------
    callable
        Takes targets of shape (n, k), or (n,), and returns their coefficients, (d, k) or (d,).
    """
    c = covariance(x)
    # A little always, so that dependent columns can be solved for; a constant block maps to 0.
    c[np.diag_indices_from(c)] += max(ridge, 1e-9) * np.trace(c) / len(c) or 1.0
    factor = linalg.cho_factor(c)
    return lambda y: linalg.cho_solve(factor, x.T @ y / len(x))


def signs(values):
    """Return +1 where a value is at least 0, and -1 elsewhere, in the type of the values."""
    one = values.dtype.type(1)
    return np.where(values >= 0, one, -one)


def itq_rotation(z, n_bits, rng, n_iter=50):
    r"""Rotate projections so that their signs lose least, by iterative quantization.

    Alternates between codes and rotation to minimise

    .. math:: \lVert \mathrm{sign}(Z R) - Z R \rVert^2, \quad R R^\top = I

    (Gong, Lazebnik, Gordo and Perronnin, TPAMI 2013).

    Parameters
    ----------
    z : ndarray of shape (n, r)
        The projections, of which the first `n_bits` axes are used; where there are fewer, they are
        rotated into more dimensions.
    n_bits : int
        Length of a code.
    rng : Generator
        Draws the first rotation.
    n_iter : int, default=50
        Number of alternations.

    Returns
    -------
    ndarray of shape (r, n_bits)
        The rotation; rows of zeros for axes that are not used.
    """
    n_axes = min(z.shape[1], n_bits)
    used = z[:, :n_axes]
    rotation = random_rotation(n_bits, rng)[:n_axes]
    for _ in range(n_iter):
        crossed = np.zeros((n_axes, n_bits))
        for rows in gen_batches(len(used), _ROWS):
            nearest = signs(used[rows] @ rotation.astype(used.dtype))
            crossed += used[rows].T @ nearest
        u, _, v = linalg.svd(crossed, full_matrices=False)
        rotation = u @ v
    return np.vstack([rotation, np.zeros((z.shape[1] - n_axes, n_bits))])


def random_rotation(n, rng):
    """Draw an orthogonal matrix, (n, n), uniformly."""
    q, r = np.linalg.qr(rng.standard_normal((n, n)))
    return q * np.where(np.diag(r) < 0, -1.0, 1.0)
