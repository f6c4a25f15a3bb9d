"""AGCH against a plain reference written from its formulas, on 8 rows."""

import numpy as np
import pytest
import torch

from skhash.hashing import AGCHHasher
from skhash.hashing._deep.networks import GraphConvolutions

SETTINGS = {
    "n_bits": 6,
    "n_image_features": 5,
    "hidden_units": 4,
    "graph_units": 3,
    "batch_size": 8,
}


def unit(x):
    return x / np.sqrt((x * x).sum(axis=1, keepdims=True))


def test_affinity_equals_the_formula(eight):
    hasher = AGCHHasher(image_weight=0.7, distance_scale=2.0, **SETTINGS)
    X = eight.astype(float) - eight.astype(float).mean(axis=0)
    z = np.hstack([0.7**0.5 * unit(X[:, :5]), 0.3**0.5 * unit(X[:, 5:])])
    expected = [[2 * (a @ b) * np.exp(-np.linalg.norm(a - b) / 2) - 1 for b in z] for a in z]
    np.testing.assert_allclose(hasher.affinity(eight), expected, atol=1e-3)  # sqrt near 0


def test_loss_terms_equal_the_formulas():
    rng = np.random.default_rng(1)
    image, text, of_image, of_text, fused = np.tanh(rng.normal(size=(5, 8, 6)))
    s = rng.normal(size=(8, 8))
    i, t, gi, gt, h = map(unit, (image, text, of_image, of_text, fused))

    def away(a, b):
        return ((a - b) ** 2).sum(axis=1).mean()

    expected = {
        "intra": 0.7 * sum(((x @ x.T - s) ** 2).mean() for x in (i, t, h)),
        "cross": 0.6 * sum(((x @ h.T - s) ** 2).mean() for x in (i, t)),
        "fusion": 0.5 * (away(i, h) + away(t, h)),
        "graph": 0.3
        * (sum(((x @ x.T - s) ** 2).mean() for x in (gi, gt)) + away(gi, i) + away(gt, t)),
    }
    weights = {"intra_weight": 0.7, "cross_weight": 0.6, "fusion_weight": 0.5, "graph_weight": 0.3}
    hasher = AGCHHasher(**weights, **SETTINGS)
    codes = [{"image": a, "text": b} for a, b in ((image, text), (of_image, of_text))]
    codes = [{b: torch.from_numpy(code) for b, code in part.items()} for part in codes]
    terms = hasher._terms(*codes, torch.from_numpy(fused), torch.from_numpy(s))
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(expected)


def test_graph_convolutions_equal_the_formula():
    network = GraphConvolutions(["image", "text"], 4, 3, 6, torch.Generator().manual_seed(0))
    w = {name: value.numpy() for name, value in network.state_dict().items()}
    rng = np.random.default_rng(2)
    hidden = {b: rng.normal(size=(8, 4)).astype(np.float32) for b in ("image", "text")}
    graph = rng.normal(size=(8, 8)).astype(np.float32)
    graph = graph + graph.T + 4 * np.eye(8, dtype=np.float32)
    edges = np.maximum(graph, 0)
    root = np.diag(edges.sum(axis=1) ** -0.5)
    step = root @ edges @ root
    tensors = {b: torch.from_numpy(x) for b, x in hidden.items()}
    codes, fused = network(tensors, torch.from_numpy(graph))
    for b, x in hidden.items():
        x = np.maximum(step @ x @ w[f"first.{b}.weight"].T + w[f"first.{b}.bias"], 0)
        x = np.maximum(step @ x @ w[f"last.{b}.0.weight"].T + w[f"last.{b}.0.bias"], 0)
        expected = np.tanh(x @ w[f"last.{b}.2.weight"].T + w[f"last.{b}.2.bias"])
        np.testing.assert_allclose(codes[b].detach(), expected, atol=1e-5)
    both = np.hstack([hidden["image"], hidden["text"]])
    expected = np.tanh(both @ w["fuse.weight"].T + w["fuse.bias"])
    np.testing.assert_allclose(fused.detach(), expected, atol=1e-5)


def test_the_graph_teaches_the_encoders_and_codes_are_those_of_a_row(pairs):
    settings = {**SETTINGS, "n_image_features": 6, "max_iter": 2, "random_state": 0}
    hasher = AGCHHasher(**settings).fit(pairs)
    codes = hasher.transform(pairs)
    np.testing.assert_array_equal(hasher.encode_image(pairs[:1, :6]), codes[:1, :6])
    other = AGCHHasher(**settings, graph_weight=5.0).fit(pairs)
    assert not np.array_equal(other.image_state_["code.weight"], hasher.image_state_["code.weight"])
