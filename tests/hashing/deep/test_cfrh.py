"""CFRH against a plain reference written from its formulas, on 8 x 8 numbers."""

import numpy as np
import pytest
import torch

from skhash.hashing import CFRHHasher
from skhash.hashing._deep import functional as _functional

M, D_IMAGE, D_TEXT, K = 8, 8, 8, 8

# What the authors describe, with the values of the first release.
PUBLISHED = {"init": "random", "scale": 1.4, "max_iter": 60, "watch_fraction": 0.0}
PUBLISHED["pairing_weight"] = 1.0


@pytest.fixture
def eight():
    rng = np.random.default_rng(3)
    return np.abs(rng.normal(size=(M, D_IMAGE + D_TEXT))).astype(np.float32)


def unit(x):
    return x / np.sqrt((x * x).sum(axis=1, keepdims=True))


def reference_affinity(X, *, center, joint, weights, scale):
    image, text = X[:, :D_IMAGE].astype(float), X[:, D_IMAGE:].astype(float)
    if center:
        image, text = image - image.mean(axis=0), text - text.mean(axis=0)
    s_image, s_text = 2 * unit(image) @ unit(image).T - 1, 2 * unit(text) @ unit(text).T - 1
    if joint == "cosine":
        profiles = unit(s_image) @ unit(s_text).T
        s_joint = (profiles + profiles.T) / 2
    else:
        s_joint = unit(s_image @ s_text)
    return scale * (weights[0] * s_image + weights[1] * s_text + weights[2] * s_joint)


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize(("joint", "joint_weight"), [("cosine", 0.3), ("rownorm", 3.0)])
def test_affinity_equals_the_formula(eight, center, joint, joint_weight):
    hasher = CFRHHasher(
        n_image_features=D_IMAGE, center=center, joint=joint, joint_weight=joint_weight, scale=1.4
    )
    expected = reference_affinity(
        eight, center=center, joint=joint, weights=(0.5, 0.2, joint_weight), scale=1.4
    )
    np.testing.assert_allclose(hasher.affinity(eight), expected, atol=1e-6)


def test_affinity_before_fit_leaves_the_hasher_unfitted(eight):
    hasher = CFRHHasher(n_image_features=D_IMAGE, reweight=True)
    before = dict(vars(hasher))
    hasher.affinity(eight)
    assert vars(hasher) == before


def test_reweighted_affinity_equals_the_formula():
    X = np.random.default_rng(0).normal(size=(40, 16)).astype(np.float32)
    plain = CFRHHasher(n_image_features=8, scale=1.0).affinity(X)
    fitted = _functional.fit_reweighting(plain[~np.eye(40, dtype=bool)])
    expected = plain.copy()
    low, high = plain < fitted["left"], plain > fitted["right"]
    expected[low] *= 1 + 0.1 * np.exp(-(plain[low] - fitted["low"]))
    expected[high] *= 1 + 0.2 * np.exp(np.minimum(plain[high] - fitted["high"], 0))
    assert low.any()
    assert high[~np.eye(40, dtype=bool)].any()
    reweighted = CFRHHasher(n_image_features=8, scale=1.4, reweight=True).affinity(X)
    np.testing.assert_allclose(reweighted, 1.4 * expected, atol=1e-6)


def test_loss_terms_equal_the_formulas(eight):
    rng = np.random.default_rng(5)
    codes = {b: np.tanh(rng.normal(size=(M, K))) for b in ("image", "text")}
    features = {b: rng.normal(size=(M, 8)) for b in ("image", "text")}
    s = rng.normal(size=(M, M))
    hasher = CFRHHasher(
        n_bits=K,
        hidden_units=4,
        intra_weight=0.7,
        cross_weight=1.3,
        pairing_weight=0.6,
        reconstruction_weight=0.4,
    )
    networks = hasher._networks({"image": 8, "text": 8}, torch.Generator().manual_seed(0))
    for network in networks.values():
        network.double()

    b_image, b_text = unit(codes["image"]), unit(codes["text"])
    decoded = {
        b: codes[b] @ networks[b].decoder.weight.detach().numpy().T
        + networks[b].decoder.bias.detach().numpy()
        for b in codes
    }
    expected = {
        "intra": 0.7
        * (((b_image @ b_image.T - s) ** 2).mean() + ((b_text @ b_text.T - s) ** 2).mean()),
        "cross": 1.3
        * (((b_image @ b_text.T - s) ** 2).mean() + ((b_text @ b_image.T - s) ** 2).mean()),
        "pairing": -0.6 * (b_image * b_text).sum(axis=1).mean(),
        "reconstruction": 0.4 * sum(((decoded[b] - features[b]) ** 2).mean() for b in codes),
    }

    def tensors(arrays):
        return {b: torch.tensor(a, dtype=torch.float64) for b, a in arrays.items()}

    terms = hasher._reconstruct(
        networks, tensors(features), tensors(codes), torch.tensor(s, dtype=torch.float64)
    )
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        assert terms[name].item() == pytest.approx(value, abs=1e-6), name


@pytest.mark.parametrize("init", ["random", "cca"])
def test_encoder_is_a_perceptron_with_one_hidden_layer_beside_a_linear_path(pairs, init):
    hasher = CFRHHasher(
        n_bits=5,
        n_image_features=6,
        init=init,
        max_iter=2,
        batch_size=10,
        output="real",
        random_state=0,
    ).fit(pairs)
    w = hasher.image_state_
    z = (pairs[:, :6] - w["mean"]) / w["scale"]
    hidden = np.maximum(z @ w["hidden.weight"].T + w["hidden.bias"], 0)
    code = hidden @ w["code.weight"].T + w["code.bias"]
    if init == "cca":
        code += z @ w["linear_path.weight"].T
    expected = np.tanh(np.sqrt(2) * code)
    np.testing.assert_allclose(hasher.encode_image(pairs[:, :6]), expected, atol=1e-5)


def test_features_are_measured_in_units_of_their_own_spread(pairs):
    hasher = CFRHHasher(n_image_features=6, max_iter=1, batch_size=10, random_state=0).fit(pairs)
    image = pairs[:, :6].astype(float)
    np.testing.assert_allclose(hasher.image_state_["mean"], image.mean(axis=0), atol=1e-6)
    spread = np.sqrt(((image - image.mean(axis=0)) ** 2).mean())
    assert hasher.image_state_["scale"] == pytest.approx(spread, rel=1e-5)


@pytest.mark.parametrize("decoder_hidden_units", [None, 7])
def test_every_loss_term_has_a_curve_and_the_total_falls(pairs, decoder_hidden_units):
    hasher = CFRHHasher(
        n_bits=8,
        n_image_features=6,
        max_iter=30,
        batch_size=10,
        alpha=1.0,
        decoder_hidden_units=decoder_hidden_units,
        random_state=0,
    ).fit(pairs)
    curve = hasher.loss_curve_
    assert list(curve) == ["intra", "cross", "pairing", "reconstruction", "total"]
    assert all(len(values) == 30 for values in curve.values())
    parts = np.sum([curve[name] for name in list(curve)[:-1]], axis=0)
    np.testing.assert_allclose(parts, curve["total"])
    assert curve["total"][-1] < curve["total"][0]


def test_a_weight_of_zero_takes_its_term_out(pairs):
    hasher = CFRHHasher(
        n_bits=8, n_image_features=6, max_iter=2, batch_size=10, reconstruction_weight=0.0
    ).fit(pairs)
    assert hasher.loss_curve_["reconstruction"] == [0.0, 0.0]


def test_codes_find_the_other_half_of_a_pair_better_than_chance(pairs):
    hasher = CFRHHasher(n_bits=32, n_image_features=6, batch_size=10, random_state=0).fit(pairs)
    chance = np.mean(1 / np.arange(1, 31))
    assert hasher.score(pairs) > 2 * chance


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        (
            {"joint": "sum"},
            ValueError,
            "joint must be one of 'cosine', 'rownorm', 'graph', got 'sum'",
        ),
        ({"scale": 0.0}, ValueError, "scale must be a number in .*, got 0.0"),
        ({"image_weight": -0.1}, ValueError, "image_weight must be a number in .*, got -0.1"),
        (
            {"cross_weight": float("nan")},
            ValueError,
            "cross_weight must be a number in .*, got nan",
        ),
        ({"decoder_hidden_units": 0}, ValueError, "decoder_hidden_units must be at least 1, got 0"),
    ],
)
def test_a_parameter_out_of_range_is_named(pairs, parameters, error, message):
    with pytest.raises(error, match=message):
        CFRHHasher(n_image_features=6, **parameters).fit(pairs)


# Codes of 30 pairs, as bytes, that the first release of this method gave.
REFERENCE_CODES = [
    (
        {},
        (
            "e6861a11e606ab11a38031cd840617158486b615c486b311e3801305e6862389e2841181e6061715"
            "c6063211e7801a01e7041f15e684a1dda78031cde7c41f01a38031cde7061f15c6021e11a4862bd9"
            "37040d9de6821a11a7c031cde7041f16f7441f9527061517c3c01345e4861a01c6c01e11b7c4279d"
        ),
    ),
    (
        {
            "reweight": True,
            "joint": "rownorm",
            "joint_weight": 3.0,
            "optimizer": "sgd",
            "decoder_hidden_units": 5,
            "alpha": 1.0,
        },
        (
            "e6860694e6064614a7844795c6066634c4064715c4064614a780079da6864614a6844794e6064634"
            "e6064694e780079ce7044634a6046634a780079de7c44735a7800795e7044734e7024735a4864614"
            "37046674e7820794a7800795e7046575774466346706667487c04715e4860694c7c04735b7046634"
        ),
    ),
    (
        {"early_stopping": True},
        (
            "e7861e11e6062311a78411cd860617158486b6158486a311e7801305e6862389e6841181e6061715"
            "e6063615e7801a01e7041f15a784a1dda780318de7c41f05a78031cde7061f15c6021e11a4862bd9"
            "37040d9de7821a11a78031cde7041f17b74407952706159787c01345e4861a01c6c01e01b784279d"
        ),
    ),
]


@pytest.mark.parametrize(("parameters", "expected"), REFERENCE_CODES)
def test_the_same_seed_gives_the_codes_that_it_has_always_given(pairs, parameters, expected):
    few = {"n_bits": 16, "n_image_features": 6, "hidden_units": 8, "batch_size": 10, "max_iter": 3}
    settings = {**PUBLISHED, **few, "output": "packed", "random_state": 0, **parameters}
    hasher = CFRHHasher(**settings)
    assert hasher.fit_transform(pairs).tobytes().hex() == expected


def test_the_graph_s_joint_similarity_equals_the_formula():
    X = np.random.default_rng(0).normal(size=(40, 16)).astype(np.float32)
    hasher = CFRHHasher(n_image_features=8, joint="graph", n_neighbors=5, joint_weight=0.4)
    image, text = X[:, :8] - X[:, :8].mean(axis=0), X[:, 8:] - X[:, 8:].mean(axis=0)
    cosines = [unit(x.astype(float)) @ unit(x.astype(float)).T for x in (image, text)]
    blended = 5 / 7 * cosines[0] + 2 / 7 * cosines[1]
    np.fill_diagonal(blended, -np.inf)
    walk = np.zeros((40, 40))
    for row, others in enumerate(np.argsort(-blended, axis=1)[:, :5]):
        near = np.maximum(blended[row, others], 0)
        walk[row, others] = near / near.sum()
    joint = 2 * 10 * walk @ walk.T - 1
    expected = 0.5 * (2 * cosines[0] - 1) + 0.2 * (2 * cosines[1] - 1) + 0.4 * joint
    np.testing.assert_allclose(hasher.affinity(X), 0.85 * expected, atol=1e-5)


@pytest.mark.parametrize("parameters", [{"target": "consensus"}, {"joint": "graph"}])
@pytest.mark.parametrize("n_rows", [1, 2, 29, 30])
def test_targets_over_all_pairs_take_chunks_of_any_size(pairs, parameters, n_rows):
    settings = {"n_bits": 8, "n_image_features": 6, "hidden_units": 8, "max_iter": 2}
    hasher = CFRHHasher(**settings, batch_size=10, **parameters)
    hasher.fit(pairs).partial_fit(pairs[:n_rows])
    assert np.isfinite(hasher.loss_curve_["total"]).all()
    assert np.isfinite(hasher.affinity(pairs)).all()
