"""Signs, random hyperplanes and iterative quantization in one space."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import Ridge

from skhash.hashing import ITQHasher, RandomHyperplaneHasher, SignHasher

FAMILY = [ITQHasher, RandomHyperplaneHasher, SignHasher]


@pytest.fixture(scope="module")
def shared():
    """Image and text vectors of 60 pairs in a space of 10 dimensions, with a gap between them."""
    rng = np.random.default_rng(0)
    meaning = rng.normal(size=(60, 10)) * np.linspace(2, 0.5, 10)
    image, text = (meaning + 0.2 * rng.normal(size=(60, 10)) for _ in range(2))
    return image + 3, text - 1


def test_signs_are_those_of_the_features_less_their_own_means(shared):
    hasher = SignHasher(n_image_features=10).fit(np.hstack(shared))
    assert hasher.n_bits_ == 10
    for x, codes in zip(shared, np.split(hasher.transform(np.hstack(shared)), 2, 1), strict=True):
        np.testing.assert_array_equal(codes, x >= x.mean(axis=0))


def test_without_centring_signs_are_those_of_the_features(shared):
    codes = SignHasher(n_image_features=10, center=False).fit_transform(np.hstack(shared))
    np.testing.assert_array_equal(codes, np.hstack(shared) >= 0)


def test_fewer_bits_are_the_signs_of_the_leading_dimensions(shared):
    X = np.hstack(shared)
    codes = SignHasher(4, n_image_features=10).fit_transform(X)
    everything = SignHasher(n_image_features=10).fit_transform(X)
    np.testing.assert_array_equal(codes, everything[:, [0, 1, 2, 3, 10, 11, 12, 13]])


def test_more_signs_than_dimensions_are_refused(shared):
    with pytest.raises(ValueError, match="n_bits=11 is more than the 10 dimensions"):
        SignHasher(11, n_image_features=10).fit(np.hstack(shared))


@pytest.mark.parametrize("make", FAMILY)
def test_a_shared_space_of_unequal_widths_is_refused(make, shared):
    hasher = make(4, n_image_features=9, space="shared")
    with pytest.raises(ValueError, match="equal width, got 9 image and 11 text features"):
        hasher.fit(np.hstack(shared))


@pytest.mark.parametrize("make", FAMILY)
def test_both_modalities_of_a_shared_space_are_projected_alike(make, shared):
    hasher = make(6, n_image_features=10, space="shared", random_state=0).fit(np.hstack(shared))
    # One map, divided by the spread of each block.
    image, text = (s["directions"] for s in (hasher.image_state_, hasher.text_state_))
    np.testing.assert_allclose(image / np.linalg.norm(image), text / np.linalg.norm(text), 1e-5)


@pytest.mark.parametrize("make", FAMILY)
@pytest.mark.parametrize("space", ["shared", "image", "text"])
def test_sparse_rows_have_the_codes_of_dense_rows(make, space, shared):
    X = np.hstack(shared)
    hasher = make(8, n_image_features=10, space=space, random_state=0)
    np.testing.assert_array_equal(
        hasher.fit_transform(sparse.csr_matrix(X)), hasher.fit_transform(X)
    )


@pytest.mark.parametrize(("space", "own", "other"), [("image", 0, 1), ("text", 1, 0)])
def test_the_other_block_is_mapped_by_ridge_regression(space, own, other, shared):
    hasher = SignHasher(n_image_features=10, space=space, ridge=0.5, output="real")
    codes = np.split(hasher.fit_transform(np.hstack(shared)), 2, axis=1)
    x, y = (block - block.mean(axis=0) for block in (shared[other], shared[own]))
    expected = Ridge(0.5 * np.sum(x**2) / 10, fit_intercept=False).fit(x, y).predict(x)
    scale = np.sqrt(np.mean(np.sum(y**2, axis=1)))
    np.testing.assert_allclose(codes[own], y / scale, atol=1e-5)
    np.testing.assert_allclose(codes[other], expected / scale, atol=1e-5)


def test_random_hyperplanes_separate_vectors_by_their_angle(shared):
    X = np.hstack(shared)
    hasher = RandomHyperplaneHasher(4096, n_image_features=10, center=False, random_state=0)
    image, text = np.split(hasher.fit_transform(X), 2, axis=1)
    cosines = np.sum(shared[0] * shared[1], axis=1) / (
        np.linalg.norm(shared[0], axis=1) * np.linalg.norm(shared[1], axis=1)
    )
    np.testing.assert_allclose(
        np.mean(image != text, axis=1), np.arccos(cosines) / np.pi, atol=0.04
    )


def test_quantized_projections_are_principal_scores_rotated(shared):
    X = np.hstack(shared)
    hasher = ITQHasher(10, n_image_features=10, space="shared", output="real", random_state=0)
    codes = np.vstack(np.split(hasher.fit_transform(X), 2, axis=1))
    centred = [x - x.mean(axis=0) for x in shared]
    rows = np.vstack([x / np.sqrt(np.mean(np.sum(x**2, axis=1))) for x in centred])
    np.testing.assert_allclose(codes @ codes.T, rows @ rows.T, atol=1e-5)  # rotation keeps angles


def test_fewer_quantized_bits_span_the_leading_principal_axes(shared):
    X = np.hstack(shared)
    hasher = ITQHasher(4, n_image_features=10, space="shared", output="real", random_state=0)
    codes = np.vstack(np.split(hasher.fit_transform(X), 2, axis=1))
    centred = [x - x.mean(axis=0) for x in shared]
    rows = np.vstack([x / np.sqrt(np.mean(np.sum(x**2, axis=1))) for x in centred])
    u, s, _ = np.linalg.svd(rows, full_matrices=False)
    scores = u[:, :4] * s[:4]
    np.testing.assert_allclose(codes @ codes.T, scores @ scores.T, atol=1e-5)


def test_quantization_takes_axes_that_the_other_block_predicts():
    rng = np.random.default_rng(0)
    meaning = rng.normal(size=(500, 2))
    loud = 2 * rng.normal(size=(500, 3))  # varies more than the rest, and no text tells of it
    image, text = np.hstack([loud, meaning]), meaning @ rng.normal(size=(2, 4))
    hasher = ITQHasher(2, n_image_features=5, random_state=0).fit(np.hstack([image, text]))
    weights = np.linalg.norm(hasher.image_state_["directions"], axis=1)
    assert weights[3:].min() > 3 * weights[:3].max()
