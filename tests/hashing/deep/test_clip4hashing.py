import numpy as np
import pytest
import torch

from skhash.hashing import CLIP4HashingHasher


def unit(x):
    return x / np.sqrt((x * x).sum(axis=1, keepdims=True))


@pytest.mark.parametrize("w", [1.0, 0.3])
def test_affinity_and_loss_equal_the_formulas(w):
    X = np.random.default_rng(3).normal(size=(8, 10)).astype(np.float32)
    i, t = map(unit, np.split(X - X.mean(axis=0), 2, axis=1))
    c = w * (i @ t.T + t @ i.T) / 2 + (1 - w) * (i @ i.T + t @ t.T) / 2
    np.fill_diagonal(c, 1)
    reach = np.where(c < c.mean(), c.mean() - c.min(), c.max() - c.mean())
    s = np.clip(c * np.exp(0.7 * (c - c.mean()) / reach), -1, 1)
    hasher = CLIP4HashingHasher(6, n_image_features=5, shared=w, contrast=0.7)
    np.testing.assert_allclose(hasher.affinity(X), s, atol=1e-5)
    codes = {"image": torch.tensor(i), "text": torch.tensor(t)}
    terms = hasher._reconstruct({}, {}, codes, torch.tensor(s))
    intra = 0.1 * sum(((b @ b.T - s) ** 2).mean() for b in (i, t))
    cross = sum(((b - s) ** 2).mean() for b in (i @ t.T, t @ i.T))
    expected = {"intra": intra, "cross": cross, "pairing": 2 * ((i - t) ** 2).mean()}
    assert {n: term.item() for n, term in terms.items()} == pytest.approx(expected, rel=1e-5)
