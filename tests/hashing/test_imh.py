"""Inter-media hashing, against its formula."""

import numpy as np
import pytest
from scipy import linalg

from skhash.hashing import IMHHasher, _imh

N_BITS, LAMBDA, RIDGE, K = 3, 0.4, 0.2, 2
OPTIONS = {"n_image_features": 3, "n_neighbors": K, "graph_weight": LAMBDA, "ridge": RIDGE}


def pairs(n_pairs):
    rng = np.random.default_rng(0)
    topics = rng.normal(size=(n_pairs, 2))
    blocks = [
        topics @ rng.normal(size=(2, d)) + 0.3 * rng.normal(size=(n_pairs, d)) for d in (3, 4)
    ]
    blocks = [x - x.mean(axis=0) for x in blocks]
    return [x / np.sqrt(np.mean(np.sum(x**2, axis=1))) for x in blocks]


def laplacian(x):
    distances = np.sum((x[:, None] - x[None]) ** 2, axis=2)
    graph = np.zeros((len(x), len(x)))
    for row, nearest in enumerate(np.argsort(distances, axis=1)):
        graph[row, nearest[1 : K + 1]] = 1 / K  # the nearest is the row itself
    graph = (graph + graph.T) / 2
    return np.diag(graph.sum(axis=1)) - graph


def regression(x):
    gram = x.T @ x
    return np.linalg.inv(gram + RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))) @ x.T


def loss(blocks):
    n_rows = len(blocks[0])
    return sum(np.eye(n_rows) - x @ regression(x) + LAMBDA * laplacian(x) for x in blocks)


def test_codes_are_regressed_on_the_smallest_eigenvectors_orthogonal_to_the_constant():
    blocks = pairs(8)
    X = np.hstack(blocks)
    codes = IMHHasher(N_BITS, output="real", random_state=0, **OPTIONS).fit_transform(X)
    orthogonal = linalg.null_space(np.ones((1, 8)))
    _, vectors = np.linalg.eigh(orthogonal.T @ loss(blocks) @ orthogonal)
    latent = orthogonal @ vectors[:, :N_BITS]
    for ours, x in zip(np.split(codes, 2, axis=1), blocks, strict=True):
        expected = x @ regression(x) @ latent
        expected -= np.median(expected, axis=0)
        expected *= np.sign(np.sum(expected * ours, axis=0))  # an eigenvector has no sign
        np.testing.assert_allclose(ours, expected, atol=2e-4)


def test_the_signs_that_the_solver_gives_eigenvectors_change_no_bit(monkeypatch):
    X = np.hstack(pairs(40))
    codes = IMHHasher(N_BITS, random_state=0, **OPTIONS).fit_transform(X)
    solve = _imh.eigsh

    def flipped(*args, **kwargs):
        values, vectors = solve(*args, **kwargs)
        return values, vectors * [-1, 1, -1]

    monkeypatch.setattr(_imh, "eigsh", flipped)
    again = IMHHasher(N_BITS, random_state=0, **OPTIONS).fit_transform(X)
    np.testing.assert_array_equal(again, codes)


@pytest.mark.parametrize("n_pairs", [40, 41])
def test_every_bit_splits_the_training_pairs_in_halves(n_pairs):
    X = np.hstack(pairs(n_pairs))
    ones = IMHHasher(N_BITS, random_state=0, **OPTIONS).fit_transform(X).sum(axis=0)
    np.testing.assert_array_equal(ones, -(-n_pairs // 2))


def test_many_pairs_are_learned_from_some_and_thresholds_from_all():
    X = np.hstack(pairs(60))
    hasher = IMHHasher(N_BITS, n_anchors=30, random_state=0, **OPTIONS).fit(X)
    np.testing.assert_array_equal(hasher.transform(X).sum(axis=0), 30)
    everything = IMHHasher(N_BITS, n_anchors=60, random_state=0, **OPTIONS).fit(X)
    assert not np.allclose(
        hasher.image_state_["directions"], everything.image_state_["directions"], atol=1e-3
    )


def test_more_bits_than_pairs_are_refused():
    with pytest.raises(ValueError, match="n_bits=8 needs more than the 8 pairs"):
        IMHHasher(8, **OPTIONS).fit(np.hstack(pairs(8)))
    with pytest.raises(ValueError, match="n_bits=5 needs more than the 5 pairs"):
        IMHHasher(5, n_anchors=5, **OPTIONS).fit(np.hstack(pairs(8)))
