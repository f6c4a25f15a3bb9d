"""What both modalities of pairs agree on, and encoders that predict it."""

from typing import Any

import numpy as np
from sklearn.isotonic import isotonic_regression

from ._kernel import unit
from ._moments import Moments, Regressions, canonical_directions, eigen, held_out_correlations

_CANONICAL_RIDGES = (0.3, 1.0, 3.0, 10.0)
_ENCODER_RIDGES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
_PRIVATE = 256  # leading coordinates of a modality that stand for it in the target
_MOST_CORRELATED = 1 - 1e-6
# Coefficients of the approximation of negentropy by two moments (Hyvärinen, NIPS 1998).
_ODD, _EVEN = 36 / (8 * 3**0.5 - 9), 24 / (16 * 3**0.5 - 27)


class Agreement:
    """Where each pair should lie, and both modalities' regressions to it.

    Parameters
    ----------
    parts : callable
        Returns an iterable of all pairs in chunks, as Part.
    sample : Part
        The pairs that a pass in memory looks at.
    n_folds : int
        Number of folds of the pairs.
    power : float
        Power of a direction's held-out correlation.
    consensus : float
        Share of the consensus in the target.
    n_axes : int
        Largest number of axes of the target.
    """

    def __init__(self, parts, sample, n_folds, *, power, consensus, n_axes):
        self.moments = Moments(parts(), n_folds)
        self._correlate(sample)
        self.weights = self.correlations**power
        self.consensus = consensus
        self.axes: Any = None
        self.center: Any = 0.0
        stacked = self.target(sample)
        self.center = stacked.mean(axis=0)
        stacked -= self.center
        variances, axes = eigen(stacked.T @ stacked)
        keep = variances > 1e-9 * max(variances[0], np.finfo(np.float64).tiny)
        keep[0] = True
        self.axes = axes[:, keep][:, : min(n_axes, max(len(sample.f) // 2, 1))]
        self._regress(parts())
        self.sample = self.target(sample)
        self.predicted = [self.out_of_fold(sample, block) for block in (0, 1)]

    def _correlate(self, sample):
        """Choose the ridge by mutual information on held-out pairs, and the share of the text."""
        best = -1.0
        for ridge in _CANONICAL_RIDGES:
            found, directions = held_out_correlations(self.moments, ridge)
            falling = isotonic_regression(found, increasing=False)
            correlations = np.clip(falling, 0, _MOST_CORRELATED)
            information = 0.5 * np.sum(-np.log1p(-(correlations**2)))
            if information > best:
                best, self.ridge, self.correlations = information, ridge, correlations
                self._held_out = directions
        self.information = float(best)
        self.directions = canonical_directions(self.moments.all, self.ridge)
        self.text_share = self._share(sample)

    def _share(self, sample):
        negentropy = np.zeros(2)
        for fold, directions in enumerate(self._held_out):
            rows = sample.folds == fold
            for block, (values, w) in enumerate(zip((sample.f, sample.g), directions, strict=True)):
                if rows.sum() > 1:
                    scores = values[rows] @ w
                    negentropy[block] += self.correlations**2 @ _negentropy(scores)
        return float(negentropy[1] / negentropy.sum()) if negentropy.all() else 0.5

    def target(self, part):
        """Return where pairs should lie, (m, t)."""
        share, scores = self.text_share, []
        means = self.moments.all.f, self.moments.all.g
        for values, mean, w in zip((part.f, part.g), means, self.directions, strict=True):
            scores.append((values @ w - mean @ w) * self.weights)
        agreed = unit((1 - share) * scores[0] + share * scores[1])
        private = unit(part.y[:, :_PRIVATE]), unit(part.x[:, :_PRIVATE])
        weights = self.consensus, *(1 - self.consensus) * np.array([share, 1 - share])
        columns = zip(weights, (agreed, *private), strict=True)
        stacked = np.hstack([np.sqrt(weight) * values for weight, values in columns])
        return stacked if self.axes is None else (stacked - self.center) @ self.axes

    def _regress(self, parts):
        n_folds = self.moments.n_folds
        products = [[0] * n_folds, [0] * n_folds]
        sums, squares = [0] * n_folds, [0] * n_folds
        for part in parts:
            z = self.target(part)
            for fold in range(n_folds):
                rows = part.folds == fold
                sums[fold] += z[rows].sum(axis=0)
                squares[fold] += (z[rows] ** 2).sum(axis=0)
                for block, values in enumerate((part.f, part.g)):
                    products[block][fold] += values[rows].T @ z[rows]
        self.encoders = [
            Regressions(self.moments, products[block], sums, squares, block, _ENCODER_RIDGES)
            for block in (0, 1)
        ]

    def predict(self, values, block):
        """Predict the target from the features of one modality, (m, p) to (m, t)."""
        return values @ self.encoders[block].coefficients + self.encoders[block].intercept

    def out_of_fold(self, part, block):
        """Predict the target of pairs by regressions that were fitted without their fold."""
        values = (part.f, part.g)[block]
        predicted = np.empty((len(values), self.axes.shape[1]))
        for fold, (coefficients, intercept) in enumerate(self.encoders[block].out_of_fold):
            rows = part.folds == fold
            predicted[rows] = values[rows] @ coefficients + intercept
        return predicted


def _negentropy(scores):
    """Approximate the negentropy of each column: how far from Gaussian it is."""
    centred = scores - scores.mean(axis=0)
    spread = centred.std(axis=0)
    centred /= np.where(spread > 0, spread, 1)
    bell = np.exp(-(centred**2) / 2)
    odd, even = (centred * bell).mean(axis=0), bell.mean(axis=0) - 0.5**0.5
    return np.where(spread > 0, _ODD * odd**2 + _EVEN * even**2, 0)
