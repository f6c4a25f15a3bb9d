"""The linear algebra that linear hashers share."""

import numpy as np
import pytest
from scipy import linalg, sparse

from skhash.hashing._linear import (
    covariance,
    itq_rotation,
    principal_axes,
    ridge_regression,
    standardize,
)


def block(n_rows=40, n_features=9, seed=0):
    rng = np.random.default_rng(seed)
    values = np.maximum(rng.normal(size=(n_rows, n_features)) * np.arange(1, n_features + 1), 0)
    return values.astype(np.float32)


def test_standardized_rows_have_mean_zero_and_mean_square_length_one():
    x, mean, scale = standardize("image", block(), center=True)
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-6)
    assert np.mean(np.sum(x**2, axis=1)) == pytest.approx(1)
    np.testing.assert_allclose(x * scale + mean, block(), atol=1e-6)


@pytest.mark.parametrize("center", [True, False])
def test_csr_rows_multiply_as_dense_ones_do(center):
    dense = standardize("image", block(), center=center)[0]
    csr = standardize("image", sparse.csr_matrix(block()), center=center)[0]
    rng = np.random.default_rng(1)
    right, left = rng.normal(size=(9, 4)), rng.normal(size=(40, 4))
    np.testing.assert_allclose(csr @ right, dense @ right, atol=1e-12)
    np.testing.assert_allclose(csr.T @ left, dense.T @ left, atol=1e-12)
    np.testing.assert_allclose(covariance(csr), covariance(dense), atol=1e-12)


def test_axes_are_the_eigenvectors_of_the_covariance():
    x = standardize("image", block(), center=True)[0]
    axes, variances = principal_axes(x, 5, np.random.default_rng(0))
    expected = linalg.eigh(np.cov(x.T, bias=True))[0][::-1][:5]
    np.testing.assert_allclose(variances, expected, atol=1e-12)
    np.testing.assert_allclose(axes.T @ axes, np.eye(5), atol=1e-12)
    np.testing.assert_allclose(covariance(x) @ axes, axes * variances, atol=1e-12)


# Wider than 8,192 columns a CSR block goes through an iteration.
@pytest.mark.parametrize("n_features", [9, 60, 8200])
def test_axes_of_csr_rows_are_those_of_dense_rows(n_features):
    values = block(30, n_features)
    axes = [
        principal_axes(standardize("image", v, center=True)[0], 6, np.random.default_rng(0))
        for v in (values, sparse.csr_matrix(values))
    ]
    np.testing.assert_allclose(axes[1][1], axes[0][1], atol=1e-10)
    np.testing.assert_allclose(axes[1][0], axes[0][0], atol=1e-7)


def test_where_columns_outnumber_rows_axes_rebuild_the_rows():
    x = standardize("image", block(20, 2100), center=True)[0]
    axes, variances = principal_axes(x, None, np.random.default_rng(0))
    assert axes.shape == (2100, 19)
    np.testing.assert_allclose(x @ axes @ axes.T, x, atol=1e-6)
    assert variances.sum() == pytest.approx(1)


def test_axes_without_variance_are_left_out():
    values = np.repeat(block(n_features=3) + 1, 2, axis=1)
    x = standardize("image", values, center=True)[0]
    assert principal_axes(x, None, np.random.default_rng(0))[0].shape == (6, 3)


def test_ridge_regression_equals_the_normal_equations():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 3)), rng.normal(size=(8, 2))
    penalty = 0.5 * np.trace(x.T @ x) / 3
    expected = np.linalg.inv(x.T @ x + penalty * np.eye(3)) @ x.T @ y
    np.testing.assert_allclose(ridge_regression(x, 0.5)(y), expected)
    np.testing.assert_allclose(ridge_regression(x, 0.5)(y[:, 0]), expected[:, 0])


def test_regression_without_ridge_solves_for_dependent_columns_and_constant_blocks():
    rng = np.random.default_rng(0)
    x, y = np.repeat(rng.normal(size=(8, 1)), 2, axis=1), rng.normal(size=(8, 1))
    expected = x[:, :1] @ np.linalg.lstsq(x[:, :1], y)[0]
    np.testing.assert_allclose(x @ ridge_regression(x, 0.0)(y), expected, atol=1e-6)
    np.testing.assert_array_equal(ridge_regression(np.zeros((8, 2)), 0.0)(y), 0)


def quantization_loss(z, rotation):
    projected = z @ rotation
    return np.sum((np.where(projected >= 0, 1, -1) - projected) ** 2)


def test_the_loss_of_iterative_quantization_never_rises():
    z = np.random.default_rng(0).normal(size=(50, 6)) * np.arange(1, 7)
    losses = [
        quantization_loss(z, itq_rotation(z, 6, np.random.default_rng(1), n_iter))
        for n_iter in range(12)
    ]
    assert np.all(np.diff(losses) <= 1e-9)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("n_bits", [4, 6, 9])
def test_the_rotation_is_orthogonal(n_bits):
    z = np.random.default_rng(0).normal(size=(50, 6))
    rotation = itq_rotation(z, n_bits, np.random.default_rng(1))
    used = min(n_bits, 6)
    np.testing.assert_allclose(rotation[:used] @ rotation[:used].T, np.eye(used), atol=1e-12)
    np.testing.assert_array_equal(rotation[used:], 0)
