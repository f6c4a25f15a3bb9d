"""JDSH against a plain reference written from its formulas, on 8 rows."""

import numpy as np
import pytest
import torch

from skhash.hashing import CFRHHasher, JDSHHasher

SETTINGS = {"n_bits": 6, "n_image_features": 5, "hidden_units": 4, "batch_size": 8}


def unit(x):
    return x / np.sqrt((x * x).sum(axis=1, keepdims=True))


def reference_similarity(X, weights):
    X = X.astype(float) - X.astype(float).mean(axis=0)
    blocks = np.array_split(X, 2, axis=1)
    image, text = (2 * unit(x) @ unit(x).T - 1 for x in blocks)
    profiles = unit(image) @ unit(text).T
    return weights[0] * image + weights[1] * text + weights[2] * (profiles + profiles.T) / 2


def reference_tails(entries):
    """Return where the tails of a distribution begin, and its extremes."""
    counts, edges = np.histogram(entries, bins=100)
    mode = edges[np.argmax(counts)] + (edges[1] - edges[0]) / 2
    deviation = np.sqrt(np.mean((mode - entries[entries < mode]) ** 2))
    scale = np.mean(entries[entries > mode] - mode)
    return mode - 2 * deviation, mode + 4 * scale, entries.min(), entries.max()


@pytest.mark.parametrize(("n_rows", "n_image"), [(8, 5), (40, 20)])
def test_affinity_equals_the_formula(n_rows, n_image):
    X = np.random.default_rng(1).normal(size=(n_rows, 2 * n_image)).astype(np.float32)
    X[1] = X[0] + 0.01  # two that are alike
    s = reference_similarity(X, (0.3, 0.2, 0.4))
    left, right, low, high = reference_tails(s[~np.eye(n_rows, dtype=bool)])
    if n_rows == 40:  # eight rows have no tails
        assert (s < left).any()
        assert s[0, 1] > right
    factor = np.ones_like(s)
    factor[s < left] += 0.3 * np.exp(low - s[s < left])
    factor[s > right] += 0.5 * np.exp(np.minimum(s[s > right] - high, 0))
    hasher = JDSHHasher(
        image_weight=0.3,
        text_weight=0.2,
        joint_weight=0.4,
        left_weight=0.3,
        right_weight=0.5,
        scale=1.2,
        **{**SETTINGS, "batch_size": n_rows, "n_image_features": n_image},
    )
    np.testing.assert_allclose(hasher.affinity(X), 1.2 * s * factor, atol=1e-6)


def test_without_weights_of_the_tails_nothing_is_reweighted(eight):
    hasher = JDSHHasher(left_weight=0.0, right_weight=0.0, **SETTINGS)
    expected = 1.4 * reference_similarity(eight, (0.4, 0.3, 0.3))
    np.testing.assert_allclose(hasher.affinity(eight), expected, atol=1e-6)


def test_the_tails_are_those_that_cfrh_fits(pairs):
    settings = {**SETTINGS, "n_image_features": 6, "max_iter": 1, "random_state": 0}
    weights = {"image_weight": 0.5, "text_weight": 0.1, "joint_weight": 0.4}
    jdsh = JDSHHasher(**settings, **weights).fit(pairs)
    cfrh = CFRHHasher(**settings, **weights, reweight=True).fit(pairs)
    assert jdsh.reweighting_ == cfrh.reweighting_


def test_the_tails_of_the_first_chunk_are_kept(pairs):
    hasher = JDSHHasher(**{**SETTINGS, "n_image_features": 6}).partial_fit(pairs[:14])
    first = hasher.reweighting_
    assert hasher.partial_fit(pairs[14:]).reweighting_ == first


def test_loss_terms_equal_the_formulas():
    rng = np.random.default_rng(5)
    codes = {b: np.tanh(rng.normal(size=(8, 6))) for b in ("image", "text")}
    s = rng.normal(size=(8, 8))
    i, t = unit(codes["image"]), unit(codes["text"])
    expected = {
        "intra": 0.7 * (((i @ i.T - s) ** 2).mean() + ((t @ t.T - s) ** 2).mean()),
        "cross": ((i @ t.T - s) ** 2).mean() + ((t @ i.T - s) ** 2).mean(),
        "pairing": -0.6 * (i * t).sum(axis=1).mean(),
    }
    tensors = {b: torch.from_numpy(c) for b, c in codes.items()}
    hasher = JDSHHasher(intra_weight=0.7, pairing_weight=0.6, **SETTINGS)
    terms = hasher._reconstruct({}, {}, tensors, torch.from_numpy(s))
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(expected)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"text_weight": -0.1}, r"text_weight must be a number in \[0, inf\), got -0.1"),
        ({"left_weight": float("nan")}, r"left_weight must be a number in .* got nan"),
        ({"scale": 0.0}, r"scale must be a number in \(0, inf\), got 0.0"),
    ],
)
def test_a_parameter_out_of_range_is_named(eight, parameters, message):
    with pytest.raises(ValueError, match=message):
        JDSHHasher(**SETTINGS, **parameters).fit(eight)
