"""DGCPN against a plain reference written from its formulas, on 8 rows."""

import numpy as np
import pytest
import torch
from sklearn.base import clone

from skhash.hashing import DGCPNHasher
from skhash.hashing._deep import graphs

SETTINGS = {"n_bits": 6, "n_image_features": 5, "hidden_units": 4, "batch_size": 8}


def unit(x):
    return x / np.sqrt((x * x).sum(axis=1, keepdims=True))


def reference_affinity(X, *, image_weight, neighbor_weight, k, scale, groups=None):
    X = X.astype(float) - X.astype(float).mean(axis=0)
    image, text = unit(X[:, :5]), unit(X[:, 5:])
    c = image_weight * image @ image.T + (1 - image_weight) * text @ text.T
    groups = np.arange(len(X)) if groups is None else groups
    near = np.where(groups[:, None] == groups, 0, c)
    p = np.zeros_like(c)
    for row in range(len(c)):
        kept = np.argsort(-near[row])[:k]
        p[row, kept] = np.maximum(near[row, kept], 0)
    p /= p.sum(axis=1, keepdims=True)
    return 2 * ((1 - neighbor_weight) * c + neighbor_weight * scale * p @ p.T) - 1


def test_affinity_equals_the_formula(eight):
    weights = {"image_weight": 0.6, "neighbor_weight": 0.4}
    hasher = DGCPNHasher(n_neighbors=3, scale=2.5, **weights, **SETTINGS)
    expected = reference_affinity(eight, k=3, scale=2.5, **weights)
    np.testing.assert_allclose(hasher.affinity(eight), expected, atol=1e-5)


def test_the_scale_follows_the_number_of_neighbours(eight):
    for k in (2, 5):
        given = DGCPNHasher(n_neighbors=k, scale=2 * k, **SETTINGS).affinity(eight)
        np.testing.assert_array_equal(DGCPNHasher(n_neighbors=k, **SETTINGS).affinity(eight), given)


def test_n_neighbors_counts_the_neighbours_that_are_kept(begin, pairs):
    hasher = DGCPNHasher(n_neighbors=3, **{**SETTINGS, "n_image_features": 6})
    walk = begin(hasher, pairs).memory["walk"].weights
    np.testing.assert_array_equal((walk > 0).sum(dim=1), np.full(30, 3))


def test_a_duplicate_is_a_neighbour_and_a_row_is_none_of_its_own(begin, eight):
    eight[1] = eight[0]
    walk = begin(DGCPNHasher(n_neighbors=2, **SETTINGS), eight).memory["walk"].weights
    assert walk[0, 1] > 0
    assert walk[1, 0] > 0
    assert not walk.diagonal().any()


def test_rows_of_one_group_are_no_neighbours_and_as_alike_as_a_row_is_to_itself(begin, eight):
    groups = np.array([0, 0, 1, 2, 3, 4, 5, 6])
    hasher = DGCPNHasher(n_neighbors=3, **SETTINGS)
    run = begin(hasher, eight, groups)
    assert run.memory["walk"].weights[0, 1] == 0
    s = hasher._joined_target(run, run.whole()).numpy()
    assert s[0, 1] == pytest.approx((s[0, 0] + s[1, 1]) / 2)
    weights = {"image_weight": 0.5, "neighbor_weight": 0.3}
    expected = reference_affinity(eight, k=3, scale=6, groups=groups, **weights)
    np.testing.assert_allclose(s[2:], expected[2:], atol=1e-5)


def test_a_sparse_graph_gives_the_same_affinity_and_codes(pairs, monkeypatch):
    hasher = DGCPNHasher(**{**SETTINGS, "n_image_features": 6}, max_iter=3, random_state=0)
    affinity, codes = hasher.affinity(pairs), hasher.fit_transform(pairs)
    curve = hasher.loss_curve_["total"]
    monkeypatch.setattr(graphs, "DENSE", 0)
    np.testing.assert_allclose(clone(hasher).affinity(pairs), affinity, rtol=1e-5)
    np.testing.assert_array_equal(hasher.fit_transform(pairs), codes)
    np.testing.assert_allclose(hasher.loss_curve_["total"], curve, rtol=1e-4)


def test_loss_terms_equal_the_formulas():
    rng = np.random.default_rng(5)
    codes = {b: np.tanh(rng.normal(size=(8, 6))) for b in ("image", "text")}
    s = rng.normal(size=(8, 8))
    i, t = unit(codes["image"]), unit(codes["text"])
    ii, it, tt, off = i @ i.T, i @ t.T, t @ t.T, 1 - np.eye(8)
    differences = [it - ii, it - tt, ii - tt, it - it.T]
    expected = {
        "affinity": 0.7 * sum((((x - s) * off) ** 2).mean() for x in (ii, it, tt)),
        "pairing": 0.6 * ((np.diag(it) - 1.2) ** 2).mean(),
        "consistency": 0.4 * sum((x**2).mean() for x in differences),
    }
    hasher = DGCPNHasher(
        affinity_weight=0.7,
        pairing_weight=0.6,
        pairing_target=1.2,
        consistency_weight=0.4,
        **SETTINGS,
    )
    tensors = {b: torch.from_numpy(c) for b, c in codes.items()}
    terms = hasher._reconstruct({}, {}, tensors, torch.from_numpy(s))
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(expected)


def test_each_batch_trains_both_networks_then_each_against_binary_codes(begin, eight, monkeypatch):
    hasher = DGCPNHasher(**SETTINGS)
    run = begin(hasher, eight)
    steps, seen = [], []
    step, reconstruct = run.step, hasher._reconstruct
    run.step = lambda terms, *names: (steps.append(names), step(terms, *names))

    def watched(networks, features, codes, s):
        seen.append({b: bool((c.abs() == 1).all()) for b, c in codes.items()})
        return reconstruct(networks, features, codes, s)

    monkeypatch.setattr(hasher, "_reconstruct", watched)
    hasher._step(run, run.whole())
    assert steps == [("image", "text"), ("image",), ("text",)]
    assert seen == [
        {"image": False, "text": False},
        {"image": False, "text": True},
        {"image": True, "text": False},
    ]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"image_weight": 1.5}, r"image_weight must be a number in \[0, 1\], got 1.5"),
        ({"neighbor_weight": -0.1}, r"neighbor_weight must be a number in \[0, 1\], got -0.1"),
        ({"neighbor_weight": float("nan")}, r"neighbor_weight must be a number in .* got nan"),
        ({"n_neighbors": 0}, "n_neighbors must be at least 1, got 0"),
        ({"scale": 0.0}, r"scale must be a number in \(0, inf\), got 0.0"),
    ],
)
def test_a_parameter_out_of_range_is_named(eight, parameters, message):
    with pytest.raises(ValueError, match=message):
        DGCPNHasher(**SETTINGS, **parameters).fit(eight)
