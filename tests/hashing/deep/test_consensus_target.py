"""The consensus of the two modalities of pairs as the target of CFRH."""

import numpy as np
from scipy import sparse

from skhash.hashing import CFRHHasher


def drawn(n_rows=300, seed=0):
    """Draw pairs that share three of the eight directions of each block."""
    rng = np.random.default_rng(seed)
    topics = rng.normal(size=(n_rows, 3))
    own = rng.normal(size=(2, n_rows, 5))
    blocks = [np.hstack([topics, x]) @ rng.normal(size=(8, 8)) for x in own]
    return np.hstack(blocks).astype(np.float32), topics


def cosines(x):
    x = x - x.mean(axis=0)
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    return (x @ x.T)[~np.eye(len(x), dtype=bool)]


def make():
    return CFRHHasher(8, n_image_features=8, target="consensus", scale=1.0, random_state=0)


def test_a_pair_has_an_affinity_of_one_with_itself():
    np.testing.assert_allclose(np.diag(make().affinity(drawn()[0])), 1, rtol=1e-5)


def test_pairs_of_like_topics_are_nearer_than_their_features_are():
    X, topics = drawn()
    found = make().affinity(X)[~np.eye(len(X), dtype=bool)]
    truth = cosines(topics)
    plain = [np.corrcoef(cosines(x), truth)[0, 1] for x in (X[:, :8], X[:, 8:])]
    assert np.corrcoef(found, truth)[0, 1] > max(plain) + 0.05


def test_sparse_pairs_have_the_affinity_of_dense_ones():
    X, _ = drawn()
    found = make().affinity(sparse.csr_matrix(X))
    np.testing.assert_allclose(found, make().affinity(X), atol=1e-3)
