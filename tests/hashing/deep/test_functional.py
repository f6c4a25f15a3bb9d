"""Affinities and losses against plain loops over their formulas, on 8 x 8 numbers."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skhash.hashing._deep import functional as F

M = 8


def numbers(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def t(array):
    return torch.tensor(array, dtype=torch.float64)


def cosine(x, y):
    return sum(a * b for a, b in zip(x, y, strict=True)) / np.sqrt(
        sum(a * a for a in x) * sum(b * b for b in y)
    )


def test_signed_cosine_is_twice_the_cosine_less_one():
    x = numbers(0, M, 5)
    expected = [[2 * cosine(a, b) - 1 for b in x] for a in x]
    np.testing.assert_allclose(F.signed_cosine(t(x)), expected, atol=1e-12)


def test_signed_cosine_with_a_row_of_zeros_is_minus_one():
    x = numbers(0, 3, 5)
    x[1] = 0
    np.testing.assert_array_equal(F.signed_cosine(t(x))[1], -np.ones(3))


def test_cosine_joint_similarity_compares_profiles_symmetrically():
    a, b = numbers(1, M, M), numbers(2, M, M)
    profile = np.array([[cosine(a[i], b[j]) for j in range(M)] for i in range(M)])
    joint = F.joint_similarity(t(a), t(b), "cosine")
    np.testing.assert_allclose(joint, (profile + profile.T) / 2, atol=1e-12)


def test_rownorm_joint_similarity_is_the_product_with_unit_rows():
    a, b = numbers(1, M, M), numbers(2, M, M)
    product = [[sum(a[i, k] * b[k, j] for k in range(M)) for j in range(M)] for i in range(M)]
    expected = [np.array(row) / np.sqrt(sum(v * v for v in row)) for row in product]
    np.testing.assert_allclose(F.joint_similarity(t(a), t(b), "rownorm"), expected, atol=1e-12)


def test_reweight_pushes_both_tails_out_and_leaves_the_middle():
    fitted = {"left": -0.5, "right": 0.5, "low": -1.0, "high": 1.0}
    s = np.linspace(-1.0, 1.0, M * M).reshape(M, M)
    expected = np.empty_like(s)
    for i in range(M):
        for j in range(M):
            v = s[i, j]
            if v < -0.5:
                v *= 1 + 0.1 * np.exp(-(v + 1.0))
            elif v > 0.5:
                v *= 1 + 0.2 * np.exp(v - 1.0)
            expected[i, j] = v
    np.testing.assert_allclose(F.reweight(t(s), **fitted), expected, atol=1e-12)


def test_reweighting_finds_the_scales_of_a_gaussian_and_a_laplace_half():
    rng = np.random.default_rng(0)
    left = -0.2 - np.abs(rng.normal(scale=0.1, size=200_000))
    right = -0.2 + rng.exponential(scale=0.05, size=200_000)
    fitted = F.fit_reweighting(np.concatenate([left, right]))
    assert fitted["left"] == pytest.approx(-0.2 - 2 * 0.1, abs=0.02)
    assert fitted["right"] == pytest.approx(-0.2 + 4 * 0.05, abs=0.02)
    assert (fitted["low"], fitted["high"]) == (left.min(), right.max())


def test_reweighting_of_constant_entries_has_no_tails():
    fitted = F.fit_reweighting(np.full(10, 0.3))
    s = torch.full((2, 2), 0.3)
    assert torch.equal(F.reweight(s, **fitted), s)


def test_join_groups_gives_rows_of_a_group_their_own_affinity():
    s = t(numbers(3, 3, 3))
    joined = F.join_groups(s, torch.tensor([7, 8, 7]))
    assert joined[0, 2] == joined[2, 0] == (s[0, 0] + s[2, 2]) / 2
    assert joined[0, 1] == s[0, 1]
    assert torch.equal(joined.diagonal(), s.diagonal())


def test_unit_rows_have_length_one():
    lengths = torch.linalg.norm(F.unit_rows(t(numbers(4, M, 5))), dim=1)
    np.testing.assert_allclose(lengths, np.ones(M), atol=1e-12)


def test_similarity_reconstruction_is_the_mean_squared_difference():
    a, b, s = numbers(5, M, 4), numbers(6, M, 4), numbers(7, M, M)
    expected = np.mean([[(a[i] @ b[j] - s[i, j]) ** 2 for j in range(M)] for i in range(M)])
    assert float(F.similarity_reconstruction(t(a), t(b), t(s))) == pytest.approx(expected, abs=1e-9)


def test_pairing_is_the_negative_mean_inner_product_of_pairs():
    a, b = numbers(8, M, 4), numbers(9, M, 4)
    expected = -np.mean([a[i] @ b[i] for i in range(M)])
    assert float(F.pairing(t(a), t(b))) == pytest.approx(expected, abs=1e-12)


def test_feature_reconstruction_is_the_mean_over_entries():
    a, b = numbers(10, M, 4), numbers(11, M, 4)
    expected = sum((a[i, j] - b[i, j]) ** 2 for i in range(M) for j in range(4)) / (M * 4)
    assert float(F.feature_reconstruction(t(a), t(b))) == pytest.approx(expected, abs=1e-12)


AFFINITIES = {
    "signed_cosine": lambda x, y: F.signed_cosine(x),
    "joint_cosine": lambda x, y: F.joint_similarity(F.signed_cosine(x), F.signed_cosine(y)),
    "joint_rownorm": lambda x, y: F.joint_similarity(
        F.signed_cosine(x), F.signed_cosine(y), "rownorm"
    ),
}


@pytest.mark.parametrize("name", AFFINITIES)
@given(seed=st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_affinity_of_shuffled_rows_is_the_shuffled_affinity(name, seed):
    rng = np.random.default_rng(seed)
    x, y = t(rng.normal(size=(M, 5))), t(rng.normal(size=(M, 6)))
    order = rng.permutation(M)
    s, shuffled = AFFINITIES[name](x, y), AFFINITIES[name](x[order], y[order])
    np.testing.assert_allclose(shuffled, s[np.ix_(order, order)], atol=1e-9)


@pytest.mark.parametrize(("name", "low"), [("signed_cosine", -3), ("joint_cosine", -1)])
def test_affinity_is_symmetric_and_within_its_range(name, low):
    s = AFFINITIES[name](t(numbers(0, M, 5)), t(numbers(1, M, 6)))
    np.testing.assert_allclose(s, s.T, atol=1e-12)
    assert s.min() >= low - 1e-9
    assert s.max() <= 1 + 1e-9


@pytest.mark.parametrize(
    "loss",
    [
        lambda x: F.similarity_reconstruction(x, x.flip(0), torch.eye(4, dtype=torch.float64)),
        lambda x: F.pairing(x, x.flip(0) ** 2),
        lambda x: F.feature_reconstruction(x, torch.ones_like(x)),
        lambda x: F.unit_rows(x)[:, 0].sum(),
    ],
)
def test_gradients_equal_finite_differences(loss):
    x = t(numbers(12, 4, 3)).requires_grad_()
    assert torch.autograd.gradcheck(loss, (x,))
