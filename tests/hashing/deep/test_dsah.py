"""DSAH against a plain reference written from its formulas, on 8 rows."""

import numpy as np
import pytest
import torch

from skhash.hashing import DSAHHasher

SETTINGS = {"n_bits": 6, "n_image_features": 5, "hidden_units": 4, "batch_size": 8}


def unit(x):
    return x / np.sqrt((x * x).sum(axis=1, keepdims=True))


def test_affinity_equals_the_formula(eight):
    X = eight.astype(float) - eight.astype(float).mean(axis=0)
    image, text = (2 * unit(x) @ unit(x).T - 1 for x in (X[:, :5], X[:, 5:]))
    hasher = DSAHHasher(image_weight=0.7, scale=1.2, **SETTINGS)
    np.testing.assert_allclose(hasher.affinity(eight), 1.2 * (0.7 * image + 0.3 * text), atol=1e-6)


def test_loss_terms_equal_the_formulas():
    rng = np.random.default_rng(5)
    codes = {b: np.tanh(rng.normal(size=(8, 6))) for b in ("image", "text")}
    features = {"image": rng.normal(size=(8, 5)), "text": rng.normal(size=(8, 4))}
    s = rng.normal(size=(8, 8))
    hasher = DSAHHasher(
        scale=1.2,
        intra_weight=0.7,
        pairing_weight=0.6,
        reconstruction_weight=0.4,
        symmetry_weight=0.3,
        **SETTINGS,
    )
    networks = hasher._networks({"image": 5, "text": 4}, torch.Generator().manual_seed(0))
    decoded = {}
    for block, other in (("image", "text"), ("text", "image")):
        decoder = networks[f"{block}_decoder"].double()
        weight, bias = decoder.weight.detach().numpy(), decoder.bias.detach().numpy()
        decoded[block] = codes[other] @ weight.T + bias

    i, t = unit(codes["image"]), unit(codes["text"])
    ii, it, tt = i @ i.T, i @ t.T, t @ t.T
    own = {b: 1.2 * (2 * unit(x) @ unit(x).T - 1) for b, x in features.items()}
    expected = {
        "affinity": sum(((x - s) ** 2).mean() for x in (ii, it, tt)),
        "intra": 0.7 * (((ii - own["image"]) ** 2).mean() + ((tt - own["text"]) ** 2).mean()),
        "pairing": 0.6 * ((np.diag(it) - 1.2) ** 2).mean(),
        "reconstruction": 0.4 * sum(((decoded[b] - features[b]) ** 2).mean() for b in features),
        "symmetry": 0.3 * ((it - it.T) ** 2).mean(),
    }

    def tensors(arrays):
        return {b: torch.from_numpy(a) for b, a in arrays.items()}

    terms = hasher._reconstruct(networks, tensors(features), tensors(codes), torch.from_numpy(s))
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(expected)


def test_the_decoders_train_the_encoders(begin, eight):
    hasher = DSAHHasher(**SETTINGS)
    run = begin(hasher, eight)
    batch = run.whole()
    batch.codes = run.encode(batch)
    hasher._loss(run, batch)["reconstruction"].backward()
    for block in ("image", "text"):
        assert run.networks[block].code.weight.grad.abs().sum() > 0


def test_the_decoders_are_kept_for_further_training(pairs):
    hasher = DSAHHasher(**{**SETTINGS, "n_image_features": 6}).partial_fit(pairs)
    assert list(hasher.training_state_) == ["image_decoder", "text_decoder"]
    assert hasher.training_state_["text_decoder"]["weight"].shape == (pairs.shape[1] - 6, 6)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"image_weight": 1.5}, r"image_weight must be a number in \[0, 1\], got 1.5"),
        ({"scale": 0.0}, r"scale must be a number in \(0, inf\), got 0.0"),
        ({"symmetry_weight": -1.0}, r"symmetry_weight must be a number in .* got -1.0"),
    ],
)
def test_a_parameter_out_of_range_is_named(eight, parameters, message):
    with pytest.raises(ValueError, match=message):
        DSAHHasher(**SETTINGS, **parameters).fit(eight)
