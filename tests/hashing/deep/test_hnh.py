"""HNH against a plain reference written from its formulas, on 8 rows."""

import numpy as np
import pytest
import torch

from skhash.hashing import HNHHasher

SETTINGS = {"n_bits": 6, "n_image_features": 5, "hidden_units": 4, "batch_size": 8}


def unit(x):
    return x / np.sqrt((x * x).sum(axis=1, keepdims=True))


def numbers(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def test_affinity_equals_the_formula(eight):
    hasher = HNHHasher(image_weight=0.7, scale=1.5, **SETTINGS)
    X = eight.astype(float) - eight.astype(float).mean(axis=0)
    expected = -np.ones((8, 8))
    for weight, block in ((0.7, X[:, :5]), (0.3, X[:, 5:])):
        cosine = np.maximum(unit(block) @ unit(block).T, 0)
        for i in range(8):
            for j in range(8):
                expected[i, j] += (
                    weight * 1.5 * cosine[i, j] * (unit(cosine) @ unit(cosine).T)[i, j]
                )
    np.testing.assert_allclose(hasher.affinity(eight), expected, atol=1e-6)


def test_loss_terms_equal_the_formulas():
    image, text, s = np.tanh(numbers(1, 8, 6)), np.tanh(numbers(2, 8, 6)), numbers(3, 8, 8)
    s = (s + s.T) / 2
    i, t, r = unit(image), unit(text), 0.7 / (0.4 * 8)
    inverse = np.linalg.inv(2 * np.eye(6) + r * (i.T @ i + t.T @ t))
    common = (np.eye(8) + r * s) @ (i + t) @ inverse
    expected = {
        "common": 0.4 / 8 * sum(((common - b) ** 2).sum() for b in (i, t)),
        "affinity": 0.7 * sum(((common @ b.T - s) ** 2).mean() for b in (i, t)),
        "cross": 0.6 * ((i @ t.T - s) ** 2).mean(),
    }
    hasher = HNHHasher(common_weight=0.4, affinity_weight=0.7, cross_weight=0.6, **SETTINGS)
    codes = {"image": torch.from_numpy(image), "text": torch.from_numpy(text)}
    terms = hasher._reconstruct({}, {}, codes, torch.from_numpy(s))
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(expected)


def test_the_common_representation_minimises_its_two_terms():
    image, text = (torch.from_numpy(unit(numbers(seed, 8, 6))) for seed in (1, 2))
    s = torch.from_numpy(numbers(3, 8, 8))
    s = (s + s.T) / 2
    hasher = HNHHasher(common_weight=0.4, affinity_weight=0.7, **SETTINGS)
    common = hasher._common(image, text, s).requires_grad_()
    loss = torch.zeros(())
    for b in (image, text):
        loss = loss + 0.4 / 8 * (common - b).square().sum()
        loss = loss + 0.7 * (common @ b.T - s).square().mean()
    (gradient,) = torch.autograd.grad(loss, common)
    assert gradient.abs().max() < 1e-12


@pytest.mark.parametrize(("batch_size", "n_bits"), [(7, 40), (30, 3)])
def test_any_batch_size_and_code_length_train(pairs, batch_size, n_bits):
    hasher = HNHHasher(n_bits, n_image_features=6, batch_size=batch_size, random_state=0)
    hasher.set_params(hidden_units=4, max_iter=2).fit(pairs)
    assert np.isfinite(hasher.loss_curve_["total"]).all()
