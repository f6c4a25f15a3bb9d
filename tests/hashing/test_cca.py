"""Canonical correlation analysis, against its definition and scikit-learn."""

import numpy as np
import pytest
from scipy import linalg
from sklearn.cross_decomposition import CCA

from skhash.hashing import CCAHasher

PLAIN = {"n_image_features": 3, "rotation": None, "power": 0.0}


@pytest.fixture
def eight():
    """Eight pairs of three image and four text features."""
    rng = np.random.default_rng(0)
    topics = rng.normal(size=(8, 2))
    image = topics @ rng.normal(size=(2, 3)) + 0.5 * rng.normal(size=(8, 3))
    return image, topics @ rng.normal(size=(2, 4)) + 0.5 * rng.normal(size=(8, 4))


def test_directions_solve_the_generalized_eigenproblem_with_the_ridge(eight):
    image, text = (x - x.mean(axis=0) for x in eight)
    hasher = CCAHasher(3, ridge=0.2, output="real", **PLAIN).fit(np.hstack(eight))
    c = [x.T @ x + 0.2 * np.trace(x.T @ x) / x.shape[1] * np.eye(x.shape[1]) for x in (image, text)]
    cross = image.T @ text
    left = np.block([[np.zeros((3, 3)), cross], [cross.T, np.zeros((4, 4))]])
    values, vectors = linalg.eigh(left, linalg.block_diag(*c), subset_by_index=(4, 6))
    np.testing.assert_allclose(hasher.correlations_, values[::-1], atol=1e-6)
    for codes, x, expected in (
        (hasher.encode_image(eight[0]), image, vectors[:3]),
        (hasher.encode_text(eight[1]), text, vectors[3:]),
    ):
        projected = x @ expected[:, ::-1]
        cosines = np.sum(codes * projected, axis=0) / (
            np.linalg.norm(codes, axis=0) * np.linalg.norm(projected, axis=0)
        )
        np.testing.assert_allclose(np.abs(cosines), 1, atol=1e-5)


def test_without_ridge_scores_correlate_as_those_of_scikit_learn(eight):
    hasher = CCAHasher(3, ridge=0.0, output="real", **PLAIN).fit(np.hstack(eight))
    expected = CCA(3, scale=False, max_iter=5000, tol=1e-12).fit(*eight).transform(*eight)
    ours = hasher.encode_image(eight[0]), hasher.encode_text(eight[1])
    for column in range(3):
        pair = np.corrcoef(ours[0][:, column], ours[1][:, column])[0, 1]
        known = np.corrcoef(expected[0][:, column], expected[1][:, column])[0, 1]
        assert pair == pytest.approx(known, abs=1e-4)
        assert pair == pytest.approx(hasher.correlations_[column], abs=1e-4)


def test_a_power_weights_directions_by_their_correlation(eight):
    X = np.hstack(eight)
    plain = CCAHasher(3, output="real", **PLAIN).fit(X)
    weighted = CCAHasher(3, output="real", **{**PLAIN, "power": 2.0}).fit(X)
    np.testing.assert_allclose(
        weighted.encode_image(eight[0]),
        plain.encode_image(eight[0]) * plain.correlations_**2,
        rtol=1e-4,
    )


def test_rotation_leaves_lengths_as_they_are(eight):
    X = np.hstack(eight)
    options = {"n_image_features": 3, "output": "real", "random_state": 0}
    plain = CCAHasher(3, rotation=None, **options).fit(X)
    rotated = CCAHasher(3, **options).fit(X)
    for encode in ("encode_image", "encode_text"):
        block = eight[encode == "encode_text"]
        lengths = [np.linalg.norm(getattr(h, encode)(block), axis=1) for h in (plain, rotated)]
        np.testing.assert_allclose(lengths[1], lengths[0], rtol=1e-4)


def test_more_bits_than_directions_need_the_rotation(eight):
    X = np.hstack(eight)
    assert CCAHasher(12, n_image_features=3).fit_transform(X).shape == (8, 24)
    with pytest.raises(ValueError, match="n_bits=4 is more than the 3 canonical directions"):
        CCAHasher(4, n_image_features=3, rotation=None).fit(X)
