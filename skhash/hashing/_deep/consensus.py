"""A space in which both modalities of a pair agree, as a target for codes."""

import numpy as np
from scipy import linalg
from scipy.optimize import isotonic_regression
from sklearn.model_selection import GroupKFold
from sklearn.utils import gen_batches

from ..._blocks import BLOCKS
from .._linear import covariance, principal_axes
from .._pairs import CHUNK
from .starts import standardized

ROWS = 10_000  # pairs that are enough to learn the space from
AXES = 512  # principal axes of a block that are used
FEW = 30  # pairs below which nothing can be held out
POWER = 1.25  # of the held-out correlation that a direction is weighted by
SHARE_POWER = 1.5  # of the held-out R squared that a modality's share is in proportion to


def consensus(networks, pairs, n_axes, seed):
    r"""Place each pair where its two modalities agree, and where each says more.

    Both blocks are projected to canonical directions of unit variance, U and V, each weighted by
    the power 1.25 of the correlation that it keeps on held-out pairs. The consensus of a pair is
    :math:`C = \mathrm{unit}((1 - w) U + w V)`, with the share of the text, w, in proportion to the
    power 1.5 of how much of it images foretell (R squared on held-out pairs). The place is

    .. math:: Z = [\sqrt{\tfrac{1}{2}}\, C, \sqrt{\tfrac{w}{2}}\, \mathrm{unit}(F_T),
        \sqrt{\tfrac{1 - w}{2}}\, \mathrm{unit}(F_I)]

    less its mean, along its principal axes.

    Parameters
    ----------
    networks : ModuleDict
        Encoders with the mean and the spread of the features.
    pairs : Pairs
        The pairs.
    n_axes : int
        Largest number of axes to keep.
    seed : int
        Seed of the pairs to learn from, and of the folds.

    Returns
    -------
    ndarray of shape (n_samples, r), float32
        Unit rows.
    """
    rng = np.random.default_rng(seed)
    rows = np.arange(len(pairs))
    if len(rows) > ROWS:
        rows = np.sort(rng.choice(rows, ROWS, replace=False))
    sample = pairs.take(rows)
    features = {b: standardized(networks[b], sample.blocks[b]) for b in BLOCKS}
    axes = {b: principal_axes(x, AXES, rng)[0] for b, x in features.items()}
    image, text = (features[b] @ axes[b] for b in BLOCKS)
    folds = _folds(sample, rng)
    maps, correlations = _canonical(image, text)
    share = 0.5
    if folds is not None:
        kept = [_kept(image, text, fold) for fold in folds]
        n_kept = min(map(len, kept))
        mean = np.mean([c[:n_kept] for c in kept], axis=0)
        correlations = np.zeros(len(correlations))
        correlations[:n_kept] = isotonic_regression(mean, increasing=False).x
        told = [_told(a, b, folds) ** SHARE_POWER for a, b in ((image, text), (text, image))]
        share = told[0] / sum(told)
    weights = np.maximum(correlations, 0) ** POWER
    used = weights > 0
    maps = [m[:, used] * weights[used] for m in maps]

    def place(image, text):
        agreed = _unit((1 - share) * (image @ maps[0]) + share * (text @ maps[1]))
        own = np.sqrt(share) * _unit(text), np.sqrt(1 - share) * _unit(image)
        return np.sqrt(0.5) * np.hstack([agreed, *own])

    z = place(image, text)
    mean = z.mean(axis=0)
    principal = principal_axes(z - mean, n_axes, rng)[0]
    places = np.empty((len(pairs), principal.shape[1]), dtype=np.float32)
    for chunk in gen_batches(len(pairs), CHUNK):
        part = [standardized(networks[b], pairs.blocks[b][chunk]) @ axes[b] for b in BLOCKS]
        places[chunk] = _unit((place(*part) - mean) @ principal)
    return places


def _folds(pairs, rng):
    """Return three splits of the pairs, by group, or None where they are too few."""
    groups = np.arange(len(pairs)) if pairs.groups is None else pairs.groups
    ids = np.unique(groups, return_inverse=True)[1]
    ids = rng.permutation(ids.max() + 1)[ids]
    if ids.max() + 1 < FEW:
        return None
    return list(GroupKFold(3).split(ids, groups=ids))


def _canonical(image, text, ridge=1.0):
    """Return maps of both blocks to canonical directions of unit variance, and correlations."""
    first, second = (_whitening(x, ridge) for x in (image, text))
    u, correlations, v = linalg.svd(
        (image * first).T @ (text * second) / len(image), full_matrices=False
    )
    maps = []
    for x, scale, directions in ((image, first, u), (text, second, v.T)):
        directions = scale[:, None] * directions
        spread = np.sqrt(np.mean((x @ directions) ** 2, axis=0))
        maps.append(directions / np.maximum(spread, 1e-9))
    return maps, correlations


def _whitening(x, ridge):
    variances = np.mean(x**2, axis=0)
    return np.maximum(variances + ridge * variances.mean(), 1e-12) ** -0.5


def _kept(image, text, fold):
    """Return the correlations of canonical directions on held-out pairs."""
    train, held = fold
    means = image[train].mean(axis=0), text[train].mean(axis=0)
    maps, _ = _canonical(image[train] - means[0], text[train] - means[1])
    u, v = (image[held] - means[0]) @ maps[0], (text[held] - means[1]) @ maps[1]
    return (u * v).sum(axis=0) / np.sqrt((u**2).sum(axis=0) * (v**2).sum(axis=0) + 1e-12)


def _told(x, y, folds, ridges=(0.1, 1.0, 10.0)):
    """Return the R squared of the best ridge regression of y on x, on held-out rows."""
    errors = np.zeros(len(ridges))
    for train, held in folds:
        means = x[train].mean(axis=0), y[train].mean(axis=0)
        a, b = x[train] - means[0], y[train] - means[1]
        values, vectors = linalg.eigh(covariance(a))
        values = np.maximum(values, 0)
        projected, told = (x[held] - means[0]) @ vectors, vectors.T @ (a.T @ b) / len(a)
        for i, ridge in enumerate(ridges):
            predicted = projected @ (told / (values + ridge * values.mean() + 1e-12)[:, None])
            errors[i] += np.sum((predicted + means[1] - y[held]) ** 2)
    return max(1 - errors.min() / max(np.sum((y - y.mean(axis=0)) ** 2), 1e-12), 1e-3)


def _unit(x):
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
