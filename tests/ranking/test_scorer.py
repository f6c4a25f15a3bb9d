import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_val_score, cross_validate
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skhash._ranking.scorer import RetrievalScorer
from skhash.codes import convert_codes
from skhash.metrics import (
    hit_rate_at_k,
    mean_average_precision,
    ndcg_at_k,
    precision_at_k,
    recall_at_k,
)


class Signs(TransformerMixin, BaseEstimator):
    """Hash by the signs of the features, of which `noise` are spoilt."""

    def __init__(self, noise=0):
        self.noise = noise

    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        codes = np.asarray(X) >= 0
        codes[:, : self.noise] = False
        return codes


identity = FunctionTransformer()


def example(n_samples=24, n_bits=6, seed=0):
    """Features of pairs, codes of which differ in a bit or two, and an id for two rows."""
    rng = np.random.default_rng(seed)
    ids = np.arange(n_samples) // 2
    centres = rng.normal(size=(n_samples, n_bits))[ids]
    return np.hstack([centres + 0.3 * rng.normal(size=centres.shape) for _ in range(2)]), ids


def halves(X):
    half = X.shape[1] // 2
    return X[:, :half], X[:, half:]


@pytest.mark.parametrize("form", ["bits", "packed", "signs", "real"])
def test_each_format_is_scored_as_the_metric_does(form):
    X, ids = example(n_bits=8)
    X = np.hstack([convert_codes(half >= 0, form) for half in halves(X)])
    image, text = halves(X)
    forth = mean_average_precision(image, text, ids, ids, k=5)
    back = mean_average_precision(text, image, ids, ids, k=5)
    assert RetrievalScorer(k=5)(identity, X, ids) == pytest.approx((forth + back) / 2)
    assert RetrievalScorer(k=5, direction="image_to_text")(identity, X, ids) == forth
    assert RetrievalScorer(k=5, direction="text_to_image")(identity, X, ids) == back


@pytest.mark.parametrize("option", [{"ties": "index"}, {"normalize": "possible"}, {"k": 2}])
def test_options_reach_the_metric(option):
    X, ids = example()
    codes = X >= 0
    expected = mean_average_precision(*halves(codes), ids, ids, **{"k": 3, **option})
    scorer = RetrievalScorer(direction="image_to_text", **{"k": 3, **option})
    assert scorer(identity, codes, ids) == expected


@pytest.mark.parametrize("options", [{"k": 3}, {"k": 3, "ties": "index"}, {"k": 3, "n_jobs": 2}])
@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("map", mean_average_precision),
        ("precision", precision_at_k),
        ("recall", recall_at_k),
        ("hit_rate", hit_rate_at_k),
        ("ndcg", ndcg_at_k),
    ],
)
def test_each_metric_is_the_function_of_that_name(name, metric, options):
    X, _ = example()
    codes, labels = X >= 0, np.random.default_rng(0).random((24, 4)) < 0.6
    labels[:, 0] = True
    scorer = RetrievalScorer(name, direction="image_to_text", **options)
    assert scorer(identity, codes, labels) == metric(*halves(codes), labels, labels, **options)


def test_ndcg_needs_no_cut_off():
    X, ids = example()
    scorer = RetrievalScorer("ndcg", direction="text_to_image")
    assert scorer(identity, X >= 0, ids) == ndcg_at_k(*halves(X >= 0)[::-1], ids, ids)


def test_tables_are_split_by_name_and_arrays_in_the_middle():
    X, ids = example()
    names = [f"image__{i}" for i in range(6)] + [f"text__{i}" for i in range(6)]
    scores = [
        RetrievalScorer()(identity, table, ids)
        for table in (X, pd.DataFrame(X), pd.DataFrame(X, columns=names), sparse.csr_matrix(X))
    ]
    assert len(set(scores)) == 1


def test_without_labels_the_pair_is_relevant_and_groups_stand_in_for_labels():
    X, ids = example()
    scorer = RetrievalScorer()
    rows = np.arange(len(X))
    assert scorer(identity, X) == scorer(identity, X, rows)
    assert scorer(identity, X, groups=ids) == scorer(identity, X, ids)
    assert scorer(identity, X, rows, groups=ids) == scorer(identity, X, rows)
    assert scorer(identity, X) != scorer(identity, X, ids)


def test_a_gallery_is_encoded_and_searched():
    X, ids = example()
    codes = X >= 0
    scorer = RetrievalScorer(gallery=codes[8:], gallery_y=ids[8:] % 3, direction="text_to_image")
    expected = mean_average_precision(codes[:8, 6:], codes[8:, :6], ids[:8] % 3, ids[8:] % 3)
    assert scorer(identity, codes[:8], ids[:8] % 3) == expected


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_grid_search_over_a_pipeline_finds_the_codes_without_noise(n_jobs):
    X, ids = example()
    pipeline = Pipeline([("scale", StandardScaler()), ("hash", Signs())])
    search = GridSearchCV(
        pipeline, {"hash__noise": [0, 4]}, scoring=RetrievalScorer(k=5), cv=3, n_jobs=n_jobs
    )
    search.fit(X)
    assert search.best_params_ == {"hash__noise": 0}
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    search.fit(X, ids)
    assert search.best_params_ == {"hash__noise": 0}


def test_cross_validate_takes_several_scorers():
    X, ids = example()
    scoring = {name: RetrievalScorer(direction=name) for name in ("image_to_text", "mean")}
    result = cross_validate(Signs(), X, scoring=scoring, cv=GroupKFold(3), groups=ids)
    assert len(result["test_image_to_text"]) == 3
    assert len(result["test_mean"]) == 3


def test_routed_groups_reach_splitter_and_scorer():
    X, ids = example()
    with sklearn.config_context(enable_metadata_routing=True):
        scorer = RetrievalScorer().set_score_request(groups=True)
        options = {"cv": GroupKFold(3), "error_score": "raise"}
        search = GridSearchCV(Signs(), {"noise": [0]}, scoring=scorer, **options)
        routed = search.fit(X, groups=ids).cv_results_["mean_test_score"]
    labelled = search.set_params(scoring=RetrievalScorer()).fit(X, ids, groups=ids)
    assert routed == labelled.cv_results_["mean_test_score"]


def test_groups_are_the_one_metadata_that_can_be_requested():
    with sklearn.config_context(enable_metadata_routing=True):
        routing = RetrievalScorer().get_metadata_routing()
    assert routing.score.requests == {"groups": None}


@pytest.mark.parametrize("copy", [clone, lambda scorer: pickle.loads(pickle.dumps(scorer))])
def test_copies_score_alike(copy):
    X, ids = example()
    scorer = RetrievalScorer(k=4, ties="index", gallery=X, gallery_y=ids)
    assert copy(scorer)(identity, X[:5], ids[:5]) == scorer(identity, X[:5], ids[:5])


@pytest.mark.parametrize(
    ("options", "X", "message"),
    [
        ({"metric": "auc"}, np.ones((2, 4)), "metric must be one of 'map', 'precision', 'recall'"),
        ({"metric": "recall"}, np.ones((2, 4)), "metric='recall' needs a cut-off, got k=None"),
        ({"direction": "both"}, np.ones((2, 4)), "direction must be one of 'image_to_text'"),
        ({}, np.ones((2, 5)), "paired codes of 5 columns cannot be split in half"),
        ({}, np.ones(4), r"must have two dimensions .*, got 1"),
        (
            {},
            pd.DataFrame(np.ones((2, 3)), columns=["image__a", "image__b", "text__a"]),
            r"as many image__\* as text__\* columns, got 2 and 1",
        ),
    ],
)
def test_bad_input_is_named(options, X, message):
    with pytest.raises(ValueError, match=message):
        RetrievalScorer(**options)(identity, X)


def test_labels_of_queries_alone_are_an_error():
    X, ids = example()
    with pytest.raises(ValueError, match="labels are given on one side only"):
        RetrievalScorer(gallery=X)(identity, X, ids)


def test_a_warning_names_the_line_that_started_the_search_of_scikit_learn():
    pairs, y = np.random.default_rng(0).normal(size=(8, 4)), [0, 1, 2, 2, 0, 3, 4, 4]
    with pytest.warns(UndefinedMetricWarning, match="no relevant item") as caught:
        cross_val_score(
            FunctionTransformer(),
            pairs,
            y,
            scoring=RetrievalScorer(gallery=pairs[:7], gallery_y=[0, 1, 2, 2, 0, 3, 7]),
            cv=KFold(2),
        )
    assert {warning.filename for warning in caught} == {__file__}
