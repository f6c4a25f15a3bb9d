"""CIRH against a plain reference written from its formulas, on 8 rows."""

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning

from skhash.hashing import CIRHHasher
from skhash.hashing._deep import functional as F
from skhash.hashing._deep import graphs

SETTINGS = {
    "n_bits": 6,
    "n_image_features": 5,
    "hidden_units": 4,
    "graph_units": 7,
    "batch_size": 8,
    "graph_iter": 2,
    "max_iter": 3,
    "random_state": 0,
}


def unit(x):
    return x / np.sqrt((x * x).sum(axis=1, keepdims=True))


def reference_affinity(X, *, image_weight, direct_weight, k):
    X = X.astype(float) - X.astype(float).mean(axis=0)
    image, text = unit(X[:, :5]), unit(X[:, 5:])
    c = image_weight * image @ image.T + (1 - image_weight) * text @ text.T
    s = np.zeros_like(c)
    for row in range(len(c)):
        kept = np.argsort(-c[row])[:k]
        s[row, kept] = np.maximum(c[row, kept], 0)
    sigmoid = 2 / (1 + np.exp(-s)) - 1
    identity = (sigmoid + sigmoid.T) / 2 + np.eye(len(c))
    return direct_weight * s + (1 - direct_weight) * identity


def test_affinity_equals_the_formula(eight, monkeypatch):
    weights = {"image_weight": 0.7, "direct_weight": 0.4}
    hasher = CIRHHasher(n_neighbors=3, **weights, **SETTINGS)
    expected = reference_affinity(eight, k=3, **weights)
    np.testing.assert_allclose(hasher.affinity(eight), expected, atol=1e-6)
    monkeypatch.setattr(graphs, "DENSE", 0)
    np.testing.assert_allclose(hasher.affinity(eight), expected, atol=1e-6)


def test_the_affinity_of_a_batch_is_that_of_its_own_rows(begin, eight):
    hasher = CIRHHasher(n_neighbors=4, **SETTINGS)
    run, rows = begin(hasher, eight), np.array([6, 0, 3])
    part = hasher._target(run, run.batch(rows))
    np.testing.assert_allclose(part, hasher.affinity(eight)[np.ix_(rows, rows)], atol=1e-6)


def test_rows_are_mixed_with_their_nearest_two_or_themselves():
    x = torch.eye(4)
    s = torch.tensor([[1, 0.5, 0.9, 0], [0.5, 1, 0, 0], [0.9, 0, 1, 0], [0, 0, 0, 1]])
    expected = [[0.7, 0.1, 0.2, 0], [0.2, 0.8, 0, 0], [0.2, 0, 0.8, 0], [0, 0, 0, 1]]
    np.testing.assert_allclose(F.mix_neighbors(x, s), expected)
    assert F.mix_neighbors(x[:1], s[:1, :1])[0].tolist() == pytest.approx([1, 0, 0, 0])


def test_loss_terms_of_the_encoders_equal_the_formulas(begin, eight):
    hasher = CIRHHasher(n_neighbors=3, similarity_weight=0.5, **SETTINGS)
    run, rng = begin(hasher, eight), np.random.default_rng(1)
    batch = run.batch(np.array([4, 1, 7, 2]))
    image, text = np.tanh(rng.normal(size=(2, 4, 6)))
    joint = np.where(rng.normal(size=(8, 6)) >= 0, 1.0, -1.0)
    batch.codes = {"image": torch.from_numpy(image), "text": torch.from_numpy(text)}
    run.memory["codes"] = torch.from_numpy(joint)
    s, target = hasher._target(run, batch).numpy(), joint[batch.rows]
    i, t = unit(image), unit(text)
    expected = {
        "joint_code": ((image - target) ** 2).mean() + ((text - target) ** 2).mean(),
        "pairing": ((image - text) ** 2).mean(),
        "similarity": 0.5 * sum(((x - s) ** 2).mean() for x in (i @ i.T, i @ t.T, t @ t.T)),
    }
    terms = hasher._loss(run, batch)
    found = {name: term.item() for name, term in terms.items()}
    assert found == pytest.approx(expected, rel=1e-6)


def test_loss_terms_of_the_graph_network_equal_the_formulas(begin, eight):
    hasher = CIRHHasher(reconstruction_weight=0.7, correlation_weight=0.3, **SETTINGS)
    run = begin(hasher, eight)
    batch = run.whole()
    batch.phase = "fusion"
    s, features, (codes, joint, decoded) = hasher._fuse(run, batch)
    s, joint = s.numpy(), joint.detach().numpy()
    units = [unit(h) for h in (*(code.detach().numpy() for code in codes.values()), joint)]
    expected = {
        "feature_reconstruction": 0.7
        * sum(((decoded[b] - features[b]) ** 2).mean().item() for b in features),
        "correlation": 0.3 * sum(((u @ u.T - s) ** 2).mean() for u in units),
        "discretization": ((joint - np.where(joint >= 0, 1, -1)) ** 2).mean(),
    }
    terms = hasher._step(run, batch)
    found = {name: term.item() for name, term in terms.items()}
    assert found == pytest.approx(expected, rel=1e-5)


def test_the_graph_network_is_trained_first_and_then_stands_still(pairs):
    hasher = CIRHHasher(**{**SETTINGS, "n_image_features": 6})
    curves = hasher.fit(pairs).loss_curve_
    lengths = {name: len(curve) for name, curve in curves.items()}
    assert lengths == {
        **dict.fromkeys(["feature_reconstruction", "correlation", "discretization"], 2),
        **dict.fromkeys(["joint_code", "pairing", "similarity"], 3),
        "total": 5,
    }
    longer = CIRHHasher(**{**SETTINGS, "n_image_features": 6, "max_iter": 5}).fit(pairs)
    for name, weights in hasher.training_state_["fusion"].items():
        np.testing.assert_array_equal(longer.training_state_["fusion"][name], weights)


def test_the_encoders_learn_a_binary_code_for_every_pair(begin, pairs):
    hasher = CIRHHasher(**{**SETTINGS, "n_image_features": 6})
    run = begin(hasher, pairs)
    hasher._begin(run, "encoders")
    codes = run.memory["codes"]
    assert codes.shape == (30, 6)
    assert set(codes.unique().tolist()) == {-1.0, 1.0}


def test_the_text_encoder_is_as_wide_as_that_of_images(pairs):
    hasher = CIRHHasher(**{**SETTINGS, "n_image_features": 6}).fit(pairs)
    for state in (hasher.image_state_, hasher.text_state_):
        assert len(state["hidden.bias"]) == 4


def test_partial_fit_is_an_epoch_of_each_phase(pairs):
    hasher = CIRHHasher(**{**SETTINGS, "n_image_features": 6})
    hasher.partial_fit(pairs[:18]).partial_fit(pairs[18:])
    assert hasher.n_iter_ == 4
    assert len(hasher.loss_curve_["correlation"]) == len(hasher.loss_curve_["pairing"]) == 2


def test_an_interrupt_before_the_encoders_are_trained_leaves_no_hasher(pairs, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(CIRHHasher, "_loss", interrupted)
    hasher = CIRHHasher(**{**SETTINGS, "n_image_features": 6})
    with pytest.raises(KeyboardInterrupt):
        hasher.fit(pairs)
    assert not hasattr(hasher, "image_state_")


def test_an_interrupt_late_in_a_long_first_phase_leaves_no_hasher(pairs, monkeypatch):
    step = CIRHHasher._step

    def interrupted(self, run, batch):
        if batch.epoch == 3:
            raise KeyboardInterrupt
        return step(self, run, batch)

    monkeypatch.setattr(CIRHHasher, "_step", interrupted)
    settings = {**SETTINGS, "n_image_features": 6, "max_iter": 1}
    with pytest.raises(KeyboardInterrupt):
        CIRHHasher(**{**settings, "graph_iter": 4}).fit(pairs)
    with pytest.warns(ConvergenceWarning, match="ended after 3 of 4 epochs"):
        CIRHHasher(**{**settings, "graph_iter": 2, "max_iter": 2}).fit(pairs)
