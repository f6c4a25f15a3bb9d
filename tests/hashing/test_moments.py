"""Sums by folds against refitting on the rows of each fold."""

import numpy as np
import pytest
from scipy import linalg

from skhash.hashing._agreement import _ENCODER_RIDGES, Agreement, _negentropy
from skhash.hashing._moments import (
    Moments,
    Part,
    Regressions,
    canonical_directions,
    eigen,
    held_out_correlations,
)

N_FOLDS = 3


def pairs(n_rows=60, seed=0):
    rng = np.random.default_rng(seed)
    topics = rng.normal(size=(n_rows, 2))
    f = topics @ rng.normal(size=(2, 5)) + 0.5 * rng.normal(size=(n_rows, 5)) + 2
    g = topics @ rng.normal(size=(2, 4)) + 0.5 * rng.normal(size=(n_rows, 4)) - 1
    x, y = rng.normal(size=(n_rows, 3)), rng.normal(size=(n_rows, 2))
    return Part(f, g, x, y, rng.permutation(n_rows) % N_FOLDS)


def chunks(part, size=17):
    rows = np.arange(len(part.folds))
    return [part.take(rows[start : start + size]) for start in range(0, len(rows), size)]


def covariance(a, b):
    return (a - a.mean(axis=0)).T @ (b - b.mean(axis=0)) / len(a)


def test_moments_are_those_of_the_rows():
    part = pairs()
    moments = Moments(chunks(part), N_FOLDS)
    for fold in range(N_FOLDS):
        train, own = part.take(part.folds != fold), part.take(part.folds == fold)
        for found, rows in ((moments.training[fold], train), (moments.each[fold], own)):
            assert found.n == len(rows.folds)
            np.testing.assert_allclose(found.f, rows.f.mean(axis=0))
            np.testing.assert_allclose(found.g, rows.g.mean(axis=0))
            np.testing.assert_allclose(found.ff, covariance(rows.f, rows.f), atol=1e-12)
            np.testing.assert_allclose(found.gg, covariance(rows.g, rows.g), atol=1e-12)
            np.testing.assert_allclose(found.fg, covariance(rows.f, rows.g), atol=1e-12)
        f, g = own.f - train.f.mean(axis=0), own.g - train.g.mean(axis=0)
        for found, expected in zip(
            moments.held_out(fold), (f.T @ f, g.T @ g, f.T @ g), strict=True
        ):
            np.testing.assert_allclose(found, expected, atol=1e-10)
    np.testing.assert_allclose(moments.all.fg, covariance(part.f, part.g), atol=1e-12)


def test_a_fold_without_rows_in_the_first_chunks_is_summed():
    part = pairs()
    part = part.take(np.argsort(part.folds, kind="stable"))
    moments, whole = Moments(chunks(part), N_FOLDS), Moments([part], N_FOLDS)
    for some, every in zip(moments.training, whole.training, strict=True):
        assert some.n == every.n
        np.testing.assert_allclose(some.fg, every.fg, atol=1e-12)


def test_constant_features_have_no_moments():
    part = pairs()
    moments = Moments(chunks(part._replace(f=np.full_like(part.f, 0.1))), N_FOLDS)
    np.testing.assert_array_equal(moments.all.ff, 0)
    np.testing.assert_array_equal(moments.all.fg, 0)
    np.testing.assert_array_equal(canonical_directions(moments.all, 1.0)[0], 0)
    np.testing.assert_array_equal(held_out_correlations(moments, 1.0)[0], 0)


def test_eigenvectors_have_one_sign_and_eigenvalues_descend():
    c = covariance(pairs().f, pairs().f)
    variances, axes = eigen(c)
    assert np.all(np.diff(variances) <= 0)
    np.testing.assert_allclose(axes * variances @ axes.T, c, atol=1e-12)
    assert np.all(axes[np.abs(axes).argmax(axis=0), range(5)] > 0)


def direct_directions(f, g, ridge):
    """Return regularised canonical directions by a generalised eigenproblem, of unit variance."""
    ff, gg, fg = covariance(f, f), covariance(g, g), covariance(f, g)
    a = ff + ridge * np.trace(ff) / len(ff) * np.eye(len(ff))
    b = gg + ridge * np.trace(gg) / len(gg) * np.eye(len(gg))
    _, right = linalg.eigh(fg.T @ np.linalg.solve(a, fg), b)
    right = right[:, ::-1]
    left = np.linalg.solve(a, fg @ right)
    left /= np.sqrt(np.sum(left * (ff @ left), axis=0))
    right = right / np.sqrt(np.sum(right * (gg @ right), axis=0))
    return left, right


@pytest.mark.parametrize("ridge", [0.3, 3.0])
def test_canonical_directions_solve_the_eigenproblem(ridge):
    part = pairs()
    found = canonical_directions(Moments(chunks(part), N_FOLDS).all, ridge)
    expected = direct_directions(part.f, part.g, ridge)
    for a, b in zip(found, expected, strict=True):
        signs = np.sign(np.sum(a * b, axis=0))
        np.testing.assert_allclose(a, b * signs, atol=1e-8)


@pytest.mark.parametrize("ridge", [0.3, 3.0])
def test_held_out_correlations_are_those_of_refitting_without_each_fold(ridge):
    part = pairs()
    found, directions = held_out_correlations(Moments(chunks(part), N_FOLDS), ridge)
    products = np.zeros((3, 4))
    for fold in range(N_FOLDS):
        train, own = part.take(part.folds != fold), part.take(part.folds == fold)
        a, b = direct_directions(train.f, train.g, ridge)
        signs = np.sign(np.sum(directions[fold][0] * a, axis=0))
        np.testing.assert_allclose(directions[fold][1], b * signs, atol=1e-8)
        u, v = own.f @ a, own.g @ b
        u, v = u - u.mean(axis=0), v - v.mean(axis=0)
        products += [np.sum(u * v, axis=0), np.sum(u**2, axis=0), np.sum(v**2, axis=0)]
    np.testing.assert_allclose(found, products[0] / np.sqrt(products[1] * products[2]))


def test_an_offset_of_held_out_rows_is_no_correlation():
    """Such as rows that resemble none that the features were learned from."""
    rng = np.random.default_rng(0)
    folds = np.arange(40) % 2
    noise = [rng.normal(size=(40, 3)) for _ in range(2)]
    f, g = (values + 50 * (folds == 1)[:, None] for values in noise)
    found, _ = held_out_correlations(Moments([Part(f, g, f, g, folds)], 2), 1.0)
    assert np.abs(found).max() < 0.7


def regress(part, moments, block, ridges, z):
    values = (part.f, part.g)[block]
    products, sums, squares = [], [], []
    for fold in range(N_FOLDS):
        rows = part.folds == fold
        products.append(values[rows].T @ z[rows])
        sums.append(z[rows].sum(axis=0))
        squares.append((z[rows] ** 2).sum(axis=0))
    return Regressions(moments, products, sums, squares, block, ridges)


def direct_regression(values, z, ridge):
    centred = values - values.mean(axis=0)
    c = centred.T @ centred / len(centred)
    penalty = ridge * np.trace(c) / len(c) * np.eye(len(c))
    w = np.linalg.solve(c + penalty, centred.T @ (z - z.mean(axis=0)) / len(z))
    return w, z.mean(axis=0) - values.mean(axis=0) @ w


@pytest.mark.parametrize("block", [0, 1])
def test_regressions_are_those_of_refitting_without_each_fold(block):
    part = pairs()
    values = (part.f, part.g)[block]
    z = np.random.default_rng(1).normal(size=(len(values), 3)) + np.tanh(values[:, :3]) + 5
    ridges = (0.01, 0.1, 1.0, 10.0)
    found = regress(part, Moments(chunks(part), N_FOLDS), block, ridges, z)
    errors = []
    for ridge in ridges:
        error = 0.0
        for fold in range(N_FOLDS):
            train, own = part.folds != fold, part.folds == fold
            w, intercept = direct_regression(values[train], z[train], ridge)
            error += np.sum((z[own] - values[own] @ w - intercept) ** 2)
        errors.append(error)
    assert found.ridge == ridges[int(np.argmin(errors))]
    w, intercept = direct_regression(values, z, found.ridge)
    np.testing.assert_allclose(found.coefficients, w, atol=1e-10)
    np.testing.assert_allclose(found.intercept, intercept)
    for fold, (coefficients, offset) in enumerate(found.out_of_fold):
        train = part.folds != fold
        w, intercept = direct_regression(values[train], z[train], found.ridge)
        np.testing.assert_allclose(coefficients, w, atol=1e-10)
        np.testing.assert_allclose(offset, intercept)


def test_constant_features_predict_the_mean():
    part = pairs()
    part = part._replace(g=np.full_like(part.g, 0.3))
    z = np.random.default_rng(1).normal(size=(60, 3))
    found = regress(part, Moments(chunks(part), N_FOLDS), 1, (0.1, 1.0), z)
    np.testing.assert_array_equal(found.coefficients, 0)
    np.testing.assert_allclose(found.intercept, z.mean(axis=0))


def test_negentropy_is_zero_for_gaussians_and_larger_far_from_them():
    rng = np.random.default_rng(0)
    n = 20_000
    columns = [rng.normal(size=n), rng.laplace(size=n), rng.exponential(size=n), np.ones(n)]
    gaussian, laplace, exponential, constant = _negentropy(np.column_stack(columns))
    assert gaussian < 1e-3
    assert 0.01 < laplace < exponential
    assert constant == 0


def test_negentropy_follows_the_formula():
    """J(y) = k1 E[y exp(-y²/2)]² + k2 (E[exp(-y²/2)] - sqrt(1/2))², of unit variance."""
    rng = np.random.default_rng(0)
    y = rng.exponential(size=(500, 1)) * 7 + 3
    u = (y[:, 0] - y.mean()) / y.std()
    odd = np.mean(u * np.exp(-(u**2) / 2)) ** 2
    even = (np.mean(np.exp(-(u**2) / 2)) - np.sqrt(1 / 2)) ** 2
    expected = 36 / (8 * np.sqrt(3) - 9) * odd + 24 / (16 * np.sqrt(3) - 27) * even
    np.testing.assert_allclose(_negentropy(y), [expected])


def agreement(part=None, **parameters):
    part = pairs() if part is None else part
    options = {"power": 1.25, "consensus": 0.5, "n_axes": 20, **parameters}
    return Agreement(lambda: chunks(part), part, N_FOLDS, **options), part


def test_the_share_of_the_text_is_that_of_its_held_out_negentropy():
    found, part = agreement()
    negentropy = np.zeros(2)
    for fold in range(N_FOLDS):
        train, own = part.take(part.folds != fold), part.take(part.folds == fold)
        directions = direct_directions(train.f, train.g, found.ridge)
        for block, (values, w) in enumerate(zip((own.f, own.g), directions, strict=True)):
            negentropy[block] += found.correlations**2 @ _negentropy(values @ w)
    np.testing.assert_allclose(found.text_share, negentropy[1] / negentropy.sum())


def test_correlations_fall_and_their_information_is_the_largest():
    found, _ = agreement()
    assert np.all(np.diff(found.correlations) <= 0)
    assert found.correlations.min() >= 0
    expected = -0.5 * np.sum(np.log(1 - found.correlations**2))
    np.testing.assert_allclose(found.information, expected)
    assert found.ridge in (0.3, 1.0, 3.0, 10.0)


def test_the_target_joins_the_consensus_and_what_each_says_for_itself():
    found, part = agreement()

    def unit(x):
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    a, b = direct_directions(part.f, part.g, found.ridge)
    b = b * np.sign(np.sum((part.f @ a - (part.f @ a).mean(0)) * (part.g @ b), axis=0))
    u, v = ((values - values.mean(axis=0)) @ w for values, w in ((part.f, a), (part.g, b)))
    weights, w = found.correlations**1.25, found.text_share
    agreed = unit(((1 - w) * u + w * v) * weights)
    stacked = np.hstack(
        [
            np.sqrt(0.5) * agreed,
            np.sqrt(0.5 * w) * unit(part.y),
            np.sqrt(0.5 * (1 - w)) * unit(part.x),
        ]
    )
    stacked -= stacked.mean(axis=0)
    # Principal axes rotate only.
    np.testing.assert_allclose(found.sample @ found.sample.T, stacked @ stacked.T, atol=1e-8)


def test_the_target_has_no_more_axes_than_asked_for():
    found, _ = agreement(n_axes=3)
    everything, _ = agreement()
    np.testing.assert_allclose(found.sample, everything.sample[:, :3], atol=1e-10)


@pytest.mark.parametrize("block", [0, 1])
def test_encoders_predict_the_target_and_out_of_fold_without_the_fold(block):
    found, part = agreement()
    values, ridge = (part.f, part.g)[block], found.encoders[block].ridge
    assert ridge in _ENCODER_RIDGES
    w, intercept = direct_regression(values, found.sample, ridge)
    np.testing.assert_allclose(found.predict(values, block), values @ w + intercept, atol=1e-8)
    for fold in range(N_FOLDS):
        train, own = part.folds != fold, part.folds == fold
        w, intercept = direct_regression(values[train], found.sample[train], ridge)
        expected = values[own] @ w + intercept
        np.testing.assert_allclose(found.predicted[block][own], expected, atol=1e-8)


def test_consensus_alone_or_none():
    for consensus in (0.0, 1.0):
        found, _ = agreement(consensus=consensus)
        assert np.isfinite(found.sample).all()
    # The rows of the consensus have unit length before they are centred.
    lengths = np.linalg.norm(found.sample + found.center @ found.axes, axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-8)


def test_blocks_that_say_nothing_share_alike():
    part = pairs()
    constant = part._replace(f=np.ones_like(part.f), g=np.ones_like(part.g))
    found, _ = agreement(constant)
    assert (found.information, found.text_share) == (0.0, 0.5)
