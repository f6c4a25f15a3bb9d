"""The consensus of the two modalities of pairs."""

import numpy as np
from scipy import sparse

from skhash.hashing import CFRHHasher
from skhash.hashing._deep import consensus as module
from skhash.hashing._deep.consensus import consensus


def drawn(n_rows=300, seed=0, noise=1.0):
    """Pairs that share three of the eight directions of each block."""
    rng = np.random.default_rng(seed)
    topics = rng.normal(size=(n_rows, 3))
    own = noise * rng.normal(size=(2, n_rows, 5))
    blocks = [np.hstack([topics, x]) @ rng.normal(size=(8, 8)) for x in own]
    return np.hstack(blocks).astype(np.float32), topics


def cosines(x):
    x = x - x.mean(axis=0)
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    return (x @ x.T)[~np.eye(len(x), dtype=bool)]


def test_places_have_unit_length(begin):
    X, _ = drawn()
    run = begin(CFRHHasher(8, n_image_features=8), X)
    places = consensus(run.networks, run.pairs, 128, seed=0)
    np.testing.assert_allclose(np.linalg.norm(places, axis=1), 1, rtol=1e-5)
    assert places.dtype == np.float32


def test_pairs_of_like_topics_are_nearer_than_their_features_are():
    X, topics = drawn()
    hasher = CFRHHasher(8, n_image_features=8, target="consensus", scale=1.0, random_state=0)
    found = hasher.affinity(X)[~np.eye(len(X), dtype=bool)]
    truth = cosines(topics)
    plain = [np.corrcoef(cosines(x), truth)[0, 1] for x in (X[:, :8], X[:, 8:])]
    assert np.corrcoef(found, truth)[0, 1] > max(plain) + 0.1


def test_sparse_pairs_have_the_places_of_dense_ones():
    X, _ = drawn()
    hasher = CFRHHasher(8, n_image_features=8, target="consensus")
    expected = hasher.affinity(X)
    np.testing.assert_allclose(hasher.affinity(sparse.csr_matrix(X)), expected, atol=1e-3)


def test_a_part_of_many_pairs_is_enough_to_learn_from(monkeypatch):
    X, _ = drawn()
    hasher = CFRHHasher(8, n_image_features=8, target="consensus", scale=1.0)
    whole = hasher.affinity(X)
    monkeypatch.setattr(module, "ROWS", 150)
    assert np.corrcoef(whole.ravel(), hasher.affinity(X).ravel())[0, 1] > 0.9


def test_a_modality_that_says_nothing_of_its_own_is_foretold_best(begin):
    X, topics = drawn()
    image, text = X[:, :8] - X[:, :8].mean(axis=0), topics - topics.mean(axis=0)
    run = begin(CFRHHasher(8, n_image_features=8), np.hstack([image, text]))
    folds = module._folds(run.pairs, np.random.default_rng(0))
    assert 0 < module._told(text, image, folds) < module._told(image, text, folds) < 1
