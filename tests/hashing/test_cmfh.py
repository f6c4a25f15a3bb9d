"""Collective matrix factorization hashing, against its formula."""

import numpy as np
import pytest

from skhash._inputs.seed import draw_seed
from skhash.hashing import CMFHHasher

N_BITS, MU, GAMMA, RIDGE, WEIGHTS = 2, 20.0, 0.3, 0.2, (0.7, 0.4)
OPTIONS = {
    "n_image_features": 3,
    "mapping_weight": MU,
    "penalty": GAMMA,
    "ridge": RIDGE,
    "image_weight": WEIGHTS[0],
    "text_weight": WEIGHTS[1],
    "random_state": 0,
}


@pytest.fixture(scope="module")
def eight():
    """Eight pairs of three image and four text features, centred, of mean square length one."""
    rng = np.random.default_rng(0)
    topics = rng.normal(size=(8, 2))
    blocks = [topics @ rng.normal(size=(2, d)) + 0.3 * rng.normal(size=(8, d)) for d in (3, 4)]
    blocks = [x - x.mean(axis=0) for x in blocks]
    return [x / np.sqrt(np.mean(np.sum(x**2, axis=1))) for x in blocks]


def penalty_of(x):
    return RIDGE * np.trace(x.T @ x) / x.shape[1]


def objective(eight, latent, bases, maps):
    return sum(
        weight
        * (
            np.sum((x - latent @ u) ** 2)
            + MU * np.sum((latent - x @ w) ** 2)
            + MU * penalty_of(x) * np.sum(w**2)
            + GAMMA * (np.sum(u**2) + np.sum(latent**2))
        )
        for weight, x, u, w in zip(WEIGHTS, eight, bases, maps, strict=True)
    )


def best_bases(eight, latent):
    gram = latent.T @ latent + GAMMA * np.eye(N_BITS)
    return [np.linalg.solve(gram, latent.T @ x) for x in eight]


def best_maps(eight, latent):
    return [
        np.linalg.solve(x.T @ x + penalty_of(x) * np.eye(x.shape[1]), x.T @ latent) for x in eight
    ]


def best_latent(eight, bases, maps):
    total, gram = 0, 0
    for weight, x, u, w in zip(WEIGHTS, eight, bases, maps, strict=True):
        total = total + weight * x @ (u.T + MU * w)
        gram = gram + weight * (u @ u.T + (MU + GAMMA) * np.eye(N_BITS))
    return total @ np.linalg.inv(gram)


def alternate(eight, n_iter):
    latent = np.random.default_rng(draw_seed(0)).normal(size=(8, N_BITS))
    maps, losses = best_maps(eight, latent), []
    for _ in range(n_iter):
        bases = best_bases(eight, latent)
        losses.append(objective(eight, latent, bases, maps))
        latent = best_latent(eight, bases, maps)
        losses.append(objective(eight, latent, bases, maps))
        maps = best_maps(eight, latent)
        losses.append(objective(eight, latent, bases, maps))
    return losses, maps


def test_every_closed_form_lowers_the_objective(eight):
    losses, _ = alternate(eight, 10)
    assert np.all(np.diff(losses) < 0)


@pytest.mark.parametrize("n_iter", [1, 2, 10])
def test_codes_are_those_of_the_formula(eight, n_iter):
    X = np.hstack(eight)
    codes = CMFHHasher(N_BITS, n_iter=n_iter, output="real", **OPTIONS).fit_transform(X)
    _, maps = alternate(eight, n_iter)
    expected = np.hstack([x @ w for x, w in zip(eight, maps, strict=True)])
    np.testing.assert_allclose(codes, expected, atol=1e-5 * np.abs(expected).max())


def test_thresholds_are_the_mean_where_features_are_not_centred(eight):
    X = np.hstack(eight) + 1
    codes = CMFHHasher(N_BITS, center=False, output="real", **OPTIONS).fit_transform(X)
    np.testing.assert_allclose(codes.mean(axis=0), 0, atol=1e-5)
