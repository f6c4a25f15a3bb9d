"""Sums over pairs and folds, from which regressions and correlations are cross-validated."""

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from scipy import linalg
from sklearn.utils.extmath import svd_flip

_TINY = np.finfo(np.float64).tiny


class Part(NamedTuple):
    """Some pairs: features and coordinates of both modalities, and the fold of each."""

    f: Any
    g: Any
    x: Any
    y: Any
    folds: Any

    def take(self, rows):
        """Return some of the pairs."""
        return Part(*(values[rows] for values in self))


class Second:
    """Centred second moments of two sets of features, (p, p), (q, q) and (p, q), and the means."""

    def __init__(self, n, f, g, ff, gg, fg):
        n = max(n, 1)
        self.n, self.f, self.g = n, f / n, g / n
        self.ff = ff / n - np.multiply.outer(self.f, self.f)
        self.gg = gg / n - np.multiply.outer(self.g, self.g)
        self.fg = fg / n - np.multiply.outer(self.f, self.g)
        for own, products in ((self.ff, ff), (self.gg, gg)):
            if np.trace(own) <= 1e-12 * np.trace(products) / n:  # constant but for rounding
                own[:] = 0
                self.fg[:] = 0

    @cached_property
    def axes(self):
        """Eigenvalues and eigenvectors of both blocks."""
        return eigen(self.ff), eigen(self.gg)


class Moments:
    """Sums of features and of their products, a fold at a time.

    Parameters
    ----------
    parts : iterable of Part
        All pairs, in chunks.
    n_folds : int
        Number of folds.
    """

    def __init__(self, parts, n_folds):
        self.n_folds = n_folds
        self.sums: Any = [0] * n_folds
        for part in parts:
            for fold in range(n_folds):
                f, g = part.f[part.folds == fold], part.g[part.folds == fold]
                new = len(f), f.sum(axis=0), g.sum(axis=0), f.T @ f, g.T @ g, f.T @ g
                old = self.sums[fold]
                self.sums[fold] = (
                    new if old == 0 else [a + b for a, b in zip(old, new, strict=True)]
                )
        self.all = Second(*(sum(values) for values in zip(*self.sums, strict=True)))

    @cached_property
    def training(self):
        """The moments of all folds but one, for each fold."""
        total = [sum(values) for values in zip(*self.sums, strict=True)]
        return [Second(*(t - s for t, s in zip(total, own, strict=True))) for own in self.sums]

    @cached_property
    def each(self):
        """The moments of each fold."""
        return [Second(*own) for own in self.sums]

    def held_out(self, fold):
        """Return the sums of products in a fold, less the means of the others, (pp, qq, pq)."""
        n, f, g, ff, gg, fg = self.sums[fold]
        mf, mg = self.training[fold].f, self.training[fold].g
        return _shift(ff, f, f, mf, mf, n), _shift(gg, g, g, mg, mg, n), _shift(fg, f, g, mf, mg, n)


def _shift(products, f, g, mf, mg, n):
    """Return sums of products less the means."""
    outer = np.multiply.outer
    return products - outer(f, mg) - outer(mf, g) + n * outer(mf, mg)


def eigen(c):
    """Return the eigenvalues of a covariance, descending, and its eigenvectors, with one sign."""
    variances, axes = linalg.eigh(c)
    return np.maximum(variances[::-1], 0), of_one_sign(axes[:, ::-1])


def of_one_sign(axes):
    """Return eigenvectors whose largest entry is positive: rounding decides their signs."""
    largest = axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])]
    return axes * np.where(largest >= 0, 1.0, -1.0)


def canonical_directions(moments, ridge):
    """Return regularised canonical directions of unit variance, (p, m) and (q, m)."""
    whitened = []
    for variances, axes in moments.axes:
        penalised = np.maximum(variances + ridge * variances.mean(), _TINY)
        whitened.append(axes * penalised**-0.5)
    u, _, v = np.linalg.svd(whitened[0].T @ moments.fg @ whitened[1], full_matrices=False)
    u, v = svd_flip(u, v)
    directions = []
    for w, c in ((whitened[0] @ u, moments.ff), (whitened[1] @ v.T, moments.gg)):
        variances = np.einsum("ij,ij->j", c @ w, w)
        varying = variances > max(1e-9 * variances.max(), _TINY)  # the others are rounding
        directions.append(w * np.where(varying, np.where(varying, variances, 1) ** -0.5, 0))
    return directions


def held_out_correlations(moments, ridge):
    """Return the correlation of each direction on the pairs that it was not fitted on.

    Parameters
    ----------
    moments : Moments
        The sums.
    ridge : float
        Penalty of the canonical directions, in units of the mean variance.

    Returns
    -------
    correlations : ndarray of shape (n_directions,)
        Of products and squares around the mean of each fold, summed over folds.
    directions : list of two ndarray
        The directions of each training part.
    """
    directions, products = [], []
    for training, own in zip(moments.training, moments.each, strict=True):
        a, b = canonical_directions(training, ridge)
        both, left, right = (
            np.einsum("ij,ij->j", c @ w, v)
            for c, w, v in ((own.fg, b, a), (own.ff, a, a), (own.gg, b, b))
        )
        rounding = 1e-12 * np.array([np.sum(a**2, axis=0), np.sum(b**2, axis=0)])
        varying = (left > rounding[0]) & (right > rounding[1])
        products.append(np.where(varying, own.n * np.array([both, left, right]), 0))
        directions.append((a, b))
    both, left, right = np.sum(products, axis=0)
    varying = (left > 0) & (right > 0)
    return np.where(varying, both / np.sqrt(np.where(varying, left * right, 1)), 0), directions


class Regressions:
    """Ridge regressions of a target on the features of one modality, cross-validated.

    Parameters
    ----------
    moments : Moments
        The sums of the features.
    products, sums, squares : list of ndarray
        For each fold, features times targets, (p, t), the sums of the targets, (t,), and of their
        squares.
    block : {0, 1}
        Which modality.
    ridges : sequence of float
        Penalties to choose from, in units of the mean variance.

    Attributes
    ----------
    ridge : float
        The penalty with the least squared error on held-out pairs.
    coefficients, intercept : ndarray of shape (p, t) and (t,)
        Learned from all pairs.
    out_of_fold : list of tuple
        Coefficients and intercept without each fold.
    """

    def __init__(self, moments, products, sums, squares, block, ridges):
        errors, solvers = np.zeros(len(ridges)), []
        for fold, training in enumerate(moments.training):
            kept, total = sum(products) - products[fold], sum(sums) - sums[fold]
            solve = _Ridge(training, kept, total, block)
            n, own = moments.sums[fold][0], moments.sums[fold][1 + block]
            features = moments.held_out(fold)[block]
            crossed = _shift(products[fold], own, sums[fold], solve.mean, solve.target, n)
            spread = np.sum(squares[fold] - 2 * sums[fold] * solve.target + n * solve.target**2)
            rotated, crossed = solve.axes.T @ features @ solve.axes, solve.axes.T @ crossed
            for i, ridge in enumerate(ridges):
                d = solve.rotated(ridge)
                errors[i] += spread - 2 * np.sum(d * crossed) + np.sum(d * (rotated @ d))
            solvers.append(solve)
        self.ridge = float(ridges[int(np.argmin(errors))])
        self.out_of_fold = [solve(self.ridge) for solve in solvers]
        everything = _Ridge(moments.all, sum(products), sum(sums), block)
        self.coefficients, self.intercept = everything(self.ridge)


class _Ridge:
    """Ridge regressions from second moments, for any penalty."""

    def __init__(self, moments, products, sums, block):
        self.mean = (moments.f, moments.g)[block]
        self.variances, self.axes = moments.axes[block]
        self.target = sums / moments.n
        covariance = products / moments.n - np.multiply.outer(self.mean, self.target)
        self.covariance = self.axes.T @ covariance

    def rotated(self, ridge):
        """Return the coefficients along the eigenvectors."""
        penalised = self.variances + ridge * self.variances.mean()
        penalised[penalised == 0] = np.inf  # constant features predict nothing
        return self.covariance / penalised[:, None]

    def __call__(self, ridge):
        """Return the coefficients and the intercept."""
        coefficients = self.axes @ self.rotated(ridge)
        return coefficients, self.target - self.mean @ coefficients


def draw_folds(groups, n_folds, rng):
    """Draw the fold of each row; rows of a group have one, unless all rows are of one group."""
    ids, of = np.unique(groups, return_inverse=True)
    if len(ids) == 1:  # nothing to learn from would be left
        ids = of = np.arange(len(groups))
    n_folds = min(n_folds, max(len(ids) // 2, 2), len(ids))  # correlations need two rows of a fold
    return (rng.permutation(len(ids)) % n_folds)[of]
