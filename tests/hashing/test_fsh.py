"""Fusion similarity hashing, against its formula."""

import numpy as np
import pytest

from skhash._inputs.seed import draw_seed
from skhash.hashing import FSHHasher
from skhash.hashing._fsh import _fused_graph
from skhash.hashing._linear import principal_axes

N_BITS, LAMBDA, RIDGE = 2, 0.7, 0.2
OPTIONS = {
    "n_image_features": 3,
    "n_anchors": 5,
    "n_neighbors": 2,
    "mapping_weight": LAMBDA,
    "ridge": RIDGE,
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


def nearest(x, row, anchors):
    return np.argsort(np.sum((x[anchors] - x[row]) ** 2, axis=1))[: OPTIONS["n_neighbors"]]


def fused(eight, anchors):
    """Return the graph, entry by entry."""
    graph = np.zeros((8, len(anchors)))
    for row in range(8):
        for column, anchor in enumerate(anchors):
            for x, other in (eight, eight[::-1]):
                graph[row, column] += np.mean(
                    [
                        np.exp(-np.sum((x[anchors[a]] - x[anchors[b]]) ** 2) / 2)
                        for a in nearest(x, row, anchors)
                        for b in nearest(other, anchor, anchors)
                    ]
                )
    return graph / 2


def sign(values):
    return np.where(values >= 0, 1, -1)


def penalty_of(x):
    return RIDGE * np.trace(x.T @ x) / x.shape[1]


def objective(eight, graph, codes, anchor_codes, maps):
    return np.trace(codes.T @ graph @ anchor_codes) - LAMBDA * sum(
        np.sum((codes - x @ w) ** 2) + penalty_of(x) * np.sum(w**2)
        for x, w in zip(eight, maps, strict=True)
    )


def alternate(eight, n_iter):
    """Return the objective after every step, and the maps, from where the hasher begins."""
    rng = np.random.default_rng(draw_seed(0))
    anchors = rng.choice(8, 5, replace=False)
    axes = [principal_axes(x, None, rng)[0] for x in eight]
    maps = [a @ rng.standard_normal((a.shape[1], N_BITS)) for a in axes]
    graph = fused(eight, anchors)
    codes = sign(sum(x @ w for x, w in zip(eight, maps, strict=True)))
    anchor_codes, scores = codes[anchors], []
    for _ in range(n_iter):
        projected = sum(x @ w for x, w in zip(eight, maps, strict=True))
        codes = sign(graph @ anchor_codes + 2 * LAMBDA * projected)
        scores.append(objective(eight, graph, codes, anchor_codes, maps))
        anchor_codes = sign(graph.T @ codes)
        scores.append(objective(eight, graph, codes, anchor_codes, maps))
        maps = [
            np.linalg.solve(x.T @ x + penalty_of(x) * np.eye(x.shape[1]), x.T @ codes)
            for x in eight
        ]
        scores.append(objective(eight, graph, codes, anchor_codes, maps))
    return scores, maps


def test_the_graph_is_that_of_the_formula(eight):
    anchors = np.array([6, 1, 3, 0, 4])
    np.testing.assert_allclose(_fused_graph(*eight, anchors, 2), fused(eight, anchors))


def test_every_closed_form_raises_the_objective(eight):
    scores, _ = alternate(eight, 5)
    assert np.all(np.diff(scores) >= -1e-9)
    assert scores[-1] > scores[0]


@pytest.mark.parametrize("max_iter", [1, 2, 50])
def test_codes_are_those_of_the_formula(eight, max_iter):
    X = np.hstack(eight)
    codes = FSHHasher(N_BITS, max_iter=max_iter, output="real", **OPTIONS).fit_transform(X)
    _, maps = alternate(eight, max_iter)
    expected = np.hstack([x @ w for x, w in zip(eight, maps, strict=True)])
    np.testing.assert_allclose(codes, expected, atol=1e-5)


def test_alternation_ends_where_no_code_changes(eight):
    X = np.hstack(eight)
    hasher = FSHHasher(N_BITS, **OPTIONS).fit(X)
    assert 2 <= hasher.n_iter_ < hasher.max_iter
    longer = FSHHasher(N_BITS, max_iter=hasher.n_iter_ - 1, **OPTIONS).fit(X)
    np.testing.assert_array_equal(
        longer.image_state_["directions"], hasher.image_state_["directions"]
    )
