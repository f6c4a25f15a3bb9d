"""Scorers that rank by real codes or by vectors."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skhash.hashing import CCAHasher, RandomHyperplaneHasher
from skhash.metrics import RetrievalScorer
from skhash.retrieval import HammingRetriever

rng = np.random.default_rng(0)
LATENT = rng.standard_normal((200, 10))
PAIRS = np.hstack([LATENT + 0.3 * rng.standard_normal(LATENT.shape) for _ in range(2)])
HASHER = CCAHasher(8, n_image_features=10, random_state=0).fit(PAIRS[:100])
TEST = PAIRS[100:]
WAYS = [None, "asymmetric", "vectors"]


def real_codes():
    real = CCAHasher(8, n_image_features=10, random_state=0, output="real").fit(PAIRS[:100])
    return np.hsplit(real.transform(TEST), 2)


def score(rerank, metric="hit_rate", k=1, **options):
    return RetrievalScorer(metric, k=k, direction="image_to_text", rerank=rerank, **options)


def test_asymmetric_scores_are_those_of_the_distances():
    image, text = real_codes()
    differ = (image >= 0)[:, None] != (text >= 0)
    distances = (differ * np.abs(image.astype(np.float64))[:, None]).sum(axis=2)
    nearest = distances.min(axis=1, keepdims=True) == distances
    expected = np.mean(np.diag(nearest) / nearest.sum(axis=1))  # of equal codes each may be first
    assert score("asymmetric")(HASHER, TEST) == pytest.approx(expected)
    assert HASHER.output == "bits"


def test_with_all_as_candidates_scores_are_those_of_the_features():
    expected = score(None)(FunctionTransformer(), TEST)
    assert score("vectors", n_candidates=100)(HASHER, TEST) == expected
    assert score("vectors", n_candidates=1)(HASHER, TEST) != expected


@pytest.mark.parametrize("metric", ["map", "precision", "recall", "hit_rate", "ndcg"])
def test_every_metric_ranks_by_them_and_finds_more(metric):
    k = None if metric in ("map", "ndcg") else 1
    scores = [score(way, metric, k, n_candidates=30)(HASHER, TEST) for way in WAYS]
    assert scores[0] < scores[1] < scores[2] <= 1


@pytest.mark.parametrize("ties", ["expected", "optimistic", "pessimistic", "index"])
def test_a_scorer_and_an_index_agree(ties):
    image, text = real_codes()
    index = HammingRetriever(rerank="asymmetric").fit(text)
    if ties == "expected":
        found = score("asymmetric", "map", None)(HASHER, TEST)
        assert found == pytest.approx(index.score(image))
    low, high = (
        score("asymmetric", "map", None, ties=t)(HASHER, TEST)
        for t in ("pessimistic", "optimistic")
    )
    assert low <= score("asymmetric", "map", None, ties=ties)(HASHER, TEST) <= high


@pytest.mark.parametrize("way", WAYS[1:])
def test_pipelines_search_a_gallery_and_labels_count(way):
    pipeline = make_pipeline(FunctionTransformer(), HASHER)
    labels = np.arange(100) % 4
    options = {"gallery": PAIRS[:100], "gallery_y": labels, "n_candidates": 20}
    scorer = HammingRetriever.as_scorer("map", rerank=way, **options)
    assert scorer(pipeline, TEST, labels) == scorer(HASHER, TEST, labels)
    assert pipeline[-1].output == "bits"


def test_a_grid_search_tunes_the_code_by_what_is_ranked():
    grid = {"n_bits": [2, 8]}
    for way in WAYS:
        search = GridSearchCV(
            RandomHyperplaneHasher(n_image_features=10, space="shared", random_state=0),
            grid,
            scoring=RetrievalScorer(rerank=way, n_candidates=10),
            cv=2,
        ).fit(PAIRS)
        assert search.best_params_ == {"n_bits": 8}
        assert 0 < RetrievalScorer(rerank=way)(search, TEST) <= 1


@pytest.mark.parametrize("width", [19, 20])
@pytest.mark.parametrize("steps", [[], [FunctionTransformer()]])
def test_features_of_two_spaces_are_refused(width, steps):
    hasher = CCAHasher(4, n_image_features=12).fit(PAIRS[:, :width])
    with pytest.raises(ValueError, match="features of both modalities, which must be of one space"):
        score("vectors")(make_pipeline(*steps, hasher), PAIRS[:, :width])


def test_bits_have_no_asymmetric_distances():
    with pytest.raises(
        TypeError, match="needs real codes of the queries to weight the bits, got bits"
    ):
        score("asymmetric")(FunctionTransformer(), TEST > 0)


def test_float_codes_are_real_codes():
    reduced = PCA(8).fit(PAIRS[:100])
    assert 0 < score("asymmetric")(reduced, TEST) <= 1
