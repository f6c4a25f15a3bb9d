"""Rotations to bits: the projections, and the contrastive refinement against plain formulas."""

import numpy as np
import pytest

from skhash.hashing._rotation import _gradient, rotate, tell_apart

TEMPERATURE = 0.1


def predictions(n_rows=60, n_axes=6, noise=0.5, seed=0):
    rng = np.random.default_rng(seed)
    targets = rng.normal(size=(n_rows, n_axes)) * np.arange(n_axes, 0, -1) + 3
    both = [targets + noise * rng.normal(size=targets.shape) for _ in range(2)]
    return targets, both


def loss_of(w, x, y, groups, alpha):
    """Return the loss in the docstring, pair by pair."""

    def codes(rows):
        codes = np.tanh(alpha * rows @ w)
        return codes / np.linalg.norm(codes, axis=1, keepdims=True)

    h, g = codes(x), codes(y)
    total = 0.0
    for i in range(len(x)):
        others = [j for j in range(len(x)) if j == i or groups[j] != groups[i]]
        for a, b in ((h, g), (g, h)):
            powers = [np.exp(a[i] @ b[j] / TEMPERATURE) for j in others]
            total -= np.log(np.exp(a[i] @ b[i] / TEMPERATURE) / np.sum(powers))
    return total / (2 * len(x))


@pytest.mark.parametrize("groups", [np.arange(7), np.array([0, 0, 1, 2, 2, 2, 3])])
@pytest.mark.parametrize("alpha", [1.0, 2.5])
def test_the_gradient_is_that_of_the_loss(groups, alpha):
    rng = np.random.default_rng(0)
    x, y, w = rng.normal(size=(7, 4)), rng.normal(size=(7, 4)), 0.3 * rng.normal(size=(4, 3))
    expected = np.zeros_like(w)
    for place in np.ndindex(w.shape):
        step = np.zeros_like(w)
        step[place] = 1e-6
        above, below = (loss_of(w + s, x, y, groups, alpha) for s in (step, -step))
        expected[place] = (above - below) / 2e-6
    np.testing.assert_allclose(_gradient(w, x, y, groups, alpha), expected, rtol=1e-5, atol=1e-8)


def test_the_gradient_of_pairs_of_one_group_is_zero():
    rng = np.random.default_rng(0)
    x, y, w = rng.normal(size=(5, 4)), rng.normal(size=(5, 4)), rng.normal(size=(4, 3))
    np.testing.assert_allclose(_gradient(w, x, y, np.zeros(5), 1.0), 0, atol=1e-12)


def test_codes_of_zeros_have_a_finite_gradient():
    x, w = np.zeros((4, 3)), np.ones((3, 2))
    assert np.isfinite(_gradient(w, x, x, np.arange(4), 1.0)).all()


@pytest.mark.parametrize("n_bits", [1, 4, 6, 9])
def test_projections_are_orthonormal_and_on_the_leading_axes_of_predictions(n_bits):
    targets, both = predictions()
    center, rotation = rotate(targets, both, n_bits, np.random.default_rng(0), 20)
    told = np.vstack(both)
    np.testing.assert_allclose(center, told.mean(axis=0))
    used = min(n_bits, 6)
    products = rotation.T @ rotation if n_bits <= 6 else rotation @ rotation.T
    np.testing.assert_allclose(products, np.eye(used), atol=1e-10)
    _, _, rows = np.linalg.svd(told - center)
    projector = rows[:used].T @ rows[:used]
    np.testing.assert_allclose(projector @ rotation, rotation, atol=1e-8)


def test_rotation_loses_less_than_the_axes_themselves():
    targets, both = predictions()
    center, rotation = rotate(targets, both, 4, np.random.default_rng(0), 50)
    rows = np.vstack([targets, *both]) - center
    told = np.vstack(both) - center
    axes = np.linalg.svd(told)[2][:4].T

    def lost(w):
        return np.sum((np.where(rows @ w >= 0, 1, -1) - rows @ w) ** 2)

    assert lost(rotation) < lost(axes)


def test_refined_projections_tell_pairs_apart_better():
    targets, both = predictions(300, noise=1.5)
    center, rotation = rotate(targets, both, 8, np.random.default_rng(0), 50)
    image, text = (p - center for p in both)
    groups = np.arange(300)
    refined = tell_apart(rotation, image, text, groups, np.random.default_rng(0))
    assert refined.shape == rotation.shape
    spread = np.sqrt(np.mean((np.vstack([image, text]) @ rotation) ** 2))
    before, after = (
        loss_of(w, image[:100], text[:100], groups[:100], 3.0) for w in (rotation / spread, refined)
    )
    assert after < 0.9 * before


def test_the_same_generator_refines_to_the_same_bits():
    targets, both = predictions()
    _, rotation = rotate(targets, both, 4, np.random.default_rng(0), 5)
    one, other = (
        tell_apart(rotation, *both, np.arange(60), np.random.default_rng(1)) for _ in range(2)
    )
    np.testing.assert_array_equal(one, other)


def test_nothing_to_tell_apart_leaves_the_projections():
    rotation, nothing = np.eye(3), np.zeros((5, 3))
    refined = tell_apart(rotation, nothing, nothing, np.arange(5), np.random.default_rng(0))
    np.testing.assert_array_equal(refined, rotation)
