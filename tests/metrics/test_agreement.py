"""Where the definitions meet, other libraries agree."""

import warnings

import numpy as np
import pytest

from skhash.metrics import average_precision, hit_rate_at_k, ndcg_at_k, precision_at_k, recall_at_k


@pytest.fixture(scope="module")
def ranx():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("ranx")


@pytest.fixture(scope="module")
def rankings():
    """Real embeddings, which do not tie, and labels of which every query shares some."""
    rng = np.random.default_rng(0)
    query, gallery = rng.normal(size=(6, 5)), rng.normal(size=(20, 5))
    y_query, y_gallery = rng.random((6, 4)) < 0.5, rng.random((20, 4)) < 0.4
    y_query[:, 0] = y_gallery[:2, 0] = True
    return query, gallery, y_query, y_gallery


@pytest.fixture(scope="module")
def judged(ranx, rankings):
    query, gallery, y_query, y_gallery = rankings
    cosine = query @ gallery.T / np.linalg.norm(gallery, axis=1)
    shared = y_query.astype(int) @ y_gallery.T.astype(int)
    grades = {
        str(q): {str(i): int(g) for i, g in enumerate(row) if g} for q, row in enumerate(shared)
    }
    scores = {str(q): {str(i): float(s) for i, s in enumerate(row)} for q, row in enumerate(cosine)}
    return ranx.Qrels(grades), ranx.Run(scores)


@pytest.mark.parametrize(
    ("name", "metric", "options"),
    [
        ("map", average_precision, {}),
        ("precision@5", precision_at_k, {"k": 5, "per_query": True}),
        ("recall@5", recall_at_k, {"k": 5, "per_query": True}),
        ("hit_rate@1", hit_rate_at_k, {"k": 1, "per_query": True}),
        ("ndcg", ndcg_at_k, {"per_query": True}),
        ("ndcg@5", ndcg_at_k, {"k": 5, "per_query": True}),
        ("ndcg_burges@5", ndcg_at_k, {"k": 5, "gain": "exponential", "per_query": True}),
    ],
)
def test_ranx_agrees_without_ties(ranx, rankings, judged, name, metric, options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = ranx.evaluate(*judged, name, return_mean=False)
    np.testing.assert_allclose(metric(*rankings, **options), expected, rtol=1e-9)
