"""Kernel features against a direct Nyström approximation, dense, CSR and in chunks."""

import numpy as np
import pytest
from scipy import linalg, sparse

from skhash.hashing import _kernel
from skhash.hashing._kernel import KernelFeatures, squared_distances, unit

GAMMA = 0.7


def block(n_rows=40, n_features=6, *, negative=True, seed=0):
    values = np.random.default_rng(seed).normal(size=(n_rows, n_features))
    return values if negative else np.maximum(values, 0)


def learned(values, *, n_anchors=15, gamma=GAMMA, center=True, seed=0):
    rng = np.random.default_rng(seed)
    return KernelFeatures(values, center=center, n_anchors=n_anchors, gamma=gamma, rng=rng)


def features_of(kernel, values):
    return kernel.features(kernel.coordinates(values))


def test_distances_are_those_of_every_two_rows():
    a, b = block(5), block(7, seed=1)
    expected = [[np.sum((x - y) ** 2) for y in b] for x in a]
    np.testing.assert_allclose(squared_distances(a, b), expected)
    assert squared_distances(a, a).min() >= 0


def test_unit_rows_have_length_one_and_zeros_stay():
    values = block(4)
    values[1] = 0
    np.testing.assert_allclose(np.linalg.norm(unit(values), axis=1), [1, 0, 1, 1])


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("negative", [True, False])
def test_features_are_those_of_a_direct_nystroem_approximation(center, negative):
    values, new = block(negative=negative), block(9, negative=negative, seed=1)
    kernel = learned(values, center=center)

    def unit_rows(x):
        x = x if negative else np.sqrt(x)
        lengths = np.linalg.norm(x, axis=1, keepdims=True)
        return np.divide(x, lengths, out=np.zeros_like(x), where=lengths > 0)

    z = unit_rows(values)
    mean = z.mean(axis=0) if center else 0
    scale = np.sqrt(np.mean(np.sum((z - z.mean(axis=0) * center) ** 2, axis=1)))
    # Distances do not depend on a rotation to principal axes.
    p, q = (z - mean) / scale, (unit_rows(new) - mean) / scale
    found = kernel.coordinates(values)
    np.testing.assert_allclose(found @ found.T, p @ p.T, atol=1e-10)
    rows = [int(np.argmin(np.sum((found - a) ** 2, axis=1))) for a in kernel.anchors]
    assert len(set(rows)) == 15
    # With fewer than 500 rows, the median is that of all.
    median = np.median(squared_distances(p, p[rows]))

    def gaussian(a, b):
        return np.exp(-GAMMA / median * squared_distances(a, b))

    np.testing.assert_allclose(kernel.similarities(kernel.coordinates(new)), gaussian(q, p[rows]))
    variances, axes = linalg.eigh(gaussian(p[rows], p[rows]))
    keep = variances > 1e-5 * variances.max()
    root = axes[:, keep] / np.sqrt(variances[keep] + 1e-6)
    approximated = features_of(kernel, new)
    expected = gaussian(q, p[rows]) @ root
    np.testing.assert_allclose(approximated @ approximated.T, expected @ expected.T, atol=1e-8)


def test_with_all_rows_as_anchors_products_of_features_are_the_kernel():
    values = block()
    kernel = learned(values, n_anchors=1000)
    p = kernel.coordinates(values)
    found = kernel.features(p)
    expected = np.exp(-kernel.rate * squared_distances(p, p))
    np.testing.assert_allclose(found @ found.T, expected, atol=1e-3)


@pytest.mark.parametrize("negative", [True, False])
def test_csr_rows_have_the_features_of_dense_rows(negative):
    values, new = block(negative=negative), block(9, negative=negative, seed=1)
    new[2] = 0
    dense, csr = learned(values), learned(sparse.csr_matrix(values))
    for a, b in ((new, sparse.csr_matrix(new)), (new, sparse.csr_array(new))):
        np.testing.assert_allclose(csr.coordinates(b), dense.coordinates(a), atol=1e-10)
        np.testing.assert_allclose(features_of(csr, b), features_of(dense, a), atol=1e-8)
        axes = np.eye(6)[:, :2]
        expected = dense.directions(a, axes)
        np.testing.assert_allclose(csr.directions(b, axes), expected, atol=1e-10)


def test_entries_of_a_csr_matrix_that_are_stored_twice_are_summed():
    values = block(negative=False)
    once = sparse.csr_matrix(values)
    twice = sparse.csr_matrix(
        (
            np.column_stack([once.data + 3, np.full(once.nnz, -3.0)]).ravel(),
            np.repeat(once.indices, 2),
            2 * once.indptr,
        ),
        shape=values.shape,
    )
    before = twice.data.copy()
    kernel = learned(twice)
    assert kernel.non_negative
    np.testing.assert_allclose(kernel.coordinates(twice), learned(values).coordinates(values))
    np.testing.assert_array_equal(twice.data, before)


def test_directions_are_centred_unit_rows_at_unit_length_on_axes():
    values = block()
    kernel, axes = learned(values), block(6, 2, seed=3)
    centred = unit(values) - unit(values).mean(axis=0)
    np.testing.assert_allclose(kernel.directions(values, axes), unit(centred) @ axes, atol=1e-8)


@pytest.mark.parametrize("convert", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("factor", [1e-300, 1e-30, 1e30, 1e150])
def test_the_length_of_a_row_does_not_matter(convert, factor):
    values = block()
    kernel = learned(values)
    expected = kernel.coordinates(values)
    np.testing.assert_allclose(kernel.coordinates(convert(values * factor)), expected, atol=1e-12)
    scaled = learned(convert(values * factor))
    np.testing.assert_allclose(scaled.coordinates(values), expected, atol=1e-8)


def test_chunks_do_not_change_what_is_learned(monkeypatch):
    values = block(negative=False)
    whole = learned(values)
    monkeypatch.setattr(_kernel, "CHUNK", 7)
    chunked = learned(values)
    np.testing.assert_allclose(chunked.root, whole.root, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(chunked.mean, whole.mean)


def test_axes_and_anchors_are_learned_from_a_sample_of_large_blocks(monkeypatch):
    values = block(3000)
    monkeypatch.setattr(_kernel, "_SAMPLE", 6)
    kernel = learned(values, n_anchors=5000)
    assert kernel.anchors.shape == (1000, 6)
    np.testing.assert_allclose(kernel.mean, unit(values).mean(axis=0))


def test_a_state_gives_the_same_coordinates_and_similarities():
    values = block(negative=False)
    kernel = learned(values)
    state = {
        "non_negative": np.array(kernel.non_negative),
        "rate": np.array(kernel.rate),
        **{name: getattr(kernel, name) for name in ("mean", "axes", "anchors")},
    }
    restored = KernelFeatures.from_state(state)
    p = kernel.coordinates(values)
    np.testing.assert_array_equal(restored.coordinates(values), p)
    np.testing.assert_array_equal(restored.similarities(p), kernel.similarities(p))


@pytest.mark.parametrize("n_features", [1, 6])
@pytest.mark.parametrize("value", [0.0, 3.0, -3.0])
@pytest.mark.parametrize("convert", [np.asarray, sparse.csr_matrix])
def test_rows_that_are_all_the_same_have_finite_features(convert, value, n_features):
    values = np.full((20, n_features), value)
    found = features_of(learned(convert(values)), convert(values))
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found - found[0], 0, atol=1e-7)


@pytest.mark.parametrize("convert", [np.asarray, sparse.csr_matrix])
def test_more_features_than_rows_are_no_obstacle(convert):
    values = block(12, 9000, negative=False)
    kernel = learned(convert(values))
    assert kernel.axes.shape[1] <= 12
    z = unit(np.sqrt(values))
    centred = (z - z.mean(axis=0)) / kernel.scale
    found = kernel.coordinates(convert(values))
    np.testing.assert_allclose(
        squared_distances(found, found), squared_distances(centred, centred), atol=1e-8
    )
