"""DJSRH against a plain reference written from its formulas, on 8 rows."""

import numpy as np
import pytest
import torch

from skhash.hashing import DJSRHHasher

SETTINGS = {"n_bits": 6, "n_image_features": 5, "hidden_units": 4, "batch_size": 8}


def unit(x):
    return x / np.sqrt((x * x).sum(axis=1, keepdims=True))


def test_affinity_equals_the_formula(eight):
    X = eight.astype(float) - eight.astype(float).mean(axis=0)
    image, text = (2 * unit(x) @ unit(x).T - 1 for x in (X[:, :5], X[:, 5:]))
    s = 0.7 * image + 0.3 * text
    expected = 1.2 * (0.8 * s + 0.2 * s @ s.T / 8)
    hasher = DJSRHHasher(image_weight=0.7, neighbor_weight=0.2, scale=1.2, **SETTINGS)
    np.testing.assert_allclose(hasher.affinity(eight), expected, atol=1e-6)


def test_a_smaller_batch_divides_by_its_own_rows(begin, eight):
    hasher = DJSRHHasher(image_weight=1.0, neighbor_weight=1.0, scale=1.0, **SETTINGS)
    run = begin(hasher, eight)
    batch = run.batch(np.array([6, 0, 3]))
    image = unit(batch.features["image"].numpy())
    s = 2 * image @ image.T - 1
    np.testing.assert_allclose(hasher._target(run, batch), s @ s.T / 3, atol=1e-6)


def test_loss_terms_equal_the_formulas():
    rng = np.random.default_rng(5)
    codes = {b: np.tanh(rng.normal(size=(8, 6))) for b in ("image", "text")}
    s = rng.normal(size=(8, 8))
    i, t = unit(codes["image"]), unit(codes["text"])
    expected = {
        "intra": 0.7 * (((i @ i.T - s) ** 2).mean() + ((t @ t.T - s) ** 2).mean()),
        "cross": ((i @ t.T - s) ** 2).mean(),
    }
    tensors = {b: torch.from_numpy(c) for b, c in codes.items()}
    hasher = DJSRHHasher(intra_weight=0.7, **SETTINGS)
    terms = hasher._reconstruct({}, {}, tensors, torch.from_numpy(s))
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(expected)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"image_weight": 1.5}, r"image_weight must be a number in \[0, 1\], got 1.5"),
        ({"neighbor_weight": -0.1}, r"neighbor_weight must be a number in \[0, 1\], got -0.1"),
        ({"scale": 0.0}, r"scale must be a number in \(0, inf\), got 0.0"),
    ],
)
def test_a_parameter_out_of_range_is_named(eight, parameters, message):
    with pytest.raises(ValueError, match=message):
        DJSRHHasher(**SETTINGS, **parameters).fit(eight)
