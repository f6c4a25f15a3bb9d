"""The whole road, from raw pairs to scores, through scikit-learn's tools."""

import subprocess
import sys

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    HalvingGridSearchCV,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import Pipeline, make_pipeline

from skhash import make_table, split_towers
from skhash.datasets import make_scenes
from skhash.features import BoWTextFeaturizer, CrossModalFeaturizer, PatchFeaturizer
from skhash.hashing import CFRHHasher
from skhash.metrics import RetrievalScorer, mean_average_precision
from skhash.retrieval import HammingRetriever

N_BITS = 12


@pytest.fixture(scope="module")
def scenes():
    return make_scenes(40, image_size=32, random_state=0)


@pytest.fixture(scope="module")
def precomputed(scenes):
    """The same pairs, their pictures embedded once."""
    image = PatchFeaturizer(n_patterns=16, image_size=32, random_state=0)
    return make_table(image=image.fit_transform(scenes.frame["image"]), text=scenes.frame["text"])


def hasher():
    return CFRHHasher(N_BITS, max_iter=4, batch_size=16, hidden_units=16, random_state=0)


def tuned():
    return Pipeline(
        [("features", CrossModalFeaturizer(text=BoWTextFeaturizer())), ("hash", hasher())]
    )


@pytest.fixture(scope="module")
def fitted(scenes):
    image = make_pipeline(PatchFeaturizer(n_patterns=16, image_size=32, random_state=0), PCA(8))
    features = CrossModalFeaturizer(image=image, text=BoWTextFeaturizer())
    return Pipeline([("features", features), ("hash", hasher())]).fit(scenes.frame)


GRID = {
    "hash__n_bits": [6, 12],
    "hash__pairing_weight": [0.0, 4.0],
    "features__text__max_features": [20, 30],
}


def relevance(scenes, kind):
    return {"pairs": None, "ids": scenes.group, "multilabel": scenes.target}[kind]


@pytest.mark.parametrize("kind", ["pairs", "ids", "multilabel"])
@pytest.mark.filterwarnings("ignore:.*hold none of the .* known terms")
def test_grid_search_tunes_bits_a_weight_and_the_vocabulary(scenes, precomputed, kind):
    search = GridSearchCV(tuned(), GRID, scoring=HammingRetriever().as_scorer(), cv=2)
    search.fit(precomputed, relevance(scenes, kind))
    scores = search.cv_results_["mean_test_score"]
    assert np.isfinite(scores).all()
    assert len(set(scores)) > 4  # every parameter reaches the result
    assert search.transform(precomputed).shape == (40, 2 * search.best_params_["hash__n_bits"])


@pytest.mark.filterwarnings("ignore:.*hold none of the .* known terms")
def test_two_jobs_give_the_scores_of_one(precomputed):
    one, two = (
        GridSearchCV(tuned(), GRID, scoring=RetrievalScorer(k=5), cv=2, n_jobs=n).fit(precomputed)
        for n in (1, 2)
    )
    np.testing.assert_array_equal(
        one.cv_results_["mean_test_score"], two.cv_results_["mean_test_score"]
    )


def test_cross_validate_takes_several_scorers(scenes, precomputed):
    scoring = {
        direction: HammingRetriever().as_scorer(direction=direction)
        for direction in ("image_to_text", "text_to_image", "mean")
    }
    scores = cross_validate(tuned(), precomputed, scenes.target, scoring=scoring, cv=2)
    both = scores["test_image_to_text"] + scores["test_text_to_image"]
    np.testing.assert_allclose(both / 2, scores["test_mean"])


def test_halving_search_grows_the_epochs(precomputed):
    search = HalvingGridSearchCV(
        tuned(),
        {"hash__n_bits": [6, 12, 24]},
        resource="hash__max_iter",
        max_resources=4,
        min_resources=1,
        factor=2,
        scoring=RetrievalScorer(),
        cv=2,
        random_state=0,
    ).fit(precomputed)
    assert search.n_resources_ == [1, 2]
    assert search.best_estimator_["hash"].n_iter_ == search.best_params_["hash__max_iter"]


def test_several_captions_an_image_stay_in_one_fold_and_reach_the_loss():
    scenes = make_scenes(12, image_size=32, n_captions=2, random_state=0)
    image = PatchFeaturizer(n_patterns=8, image_size=32, random_state=0)
    table = make_table(image=image.fit_transform(scenes.frame["image"]), text=scenes.frame["text"])
    search = GridSearchCV(
        tuned(), {"hash__n_bits": [6, 12]}, scoring=RetrievalScorer(), cv=GroupKFold(3)
    ).fit(table, scenes.group, groups=scenes.group, hash__groups=scenes.group)
    alone = clone(search.best_estimator_).fit(table)
    assert alone["hash"].loss_curve_ != search.best_estimator_["hash"].loss_curve_


def test_a_pipeline_that_ends_in_the_retriever_is_scored_against_its_training_fold(
    scenes, precomputed
):
    pipeline = Pipeline([*tuned().steps, ("index", HammingRetriever(paired=True))])
    scores = cross_val_score(pipeline, precomputed, scenes.target, cv=2)
    first, second = slice(0, 20), slice(20, 40)
    codes = tuned().fit(precomputed[second]).transform
    image, text = np.split(codes(precomputed[first]), 2, axis=1)
    image_gallery, text_gallery = np.split(codes(precomputed[second]), 2, axis=1)
    y, y_gallery = scenes.target[first], scenes.target[second]
    expected = (
        mean_average_precision(image, text_gallery, y, y_gallery)
        + mean_average_precision(text, image_gallery, y, y_gallery)
    ) / 2
    assert scores[0] == pytest.approx(expected)


def test_text_rows_alone_give_the_text_half_of_the_codes_of_pairs(fitted, scenes):
    codes = fitted.transform(scenes.frame)
    np.testing.assert_array_equal(fitted.transform(scenes.frame[["text"]]), codes[:, N_BITS:])
    np.testing.assert_array_equal(fitted.transform(scenes.frame[["image"]]), codes[:, :N_BITS])


def test_towers_take_plain_lists(fitted, scenes):
    towers = split_towers(fitted)
    codes = fitted.transform(scenes.frame)
    np.testing.assert_array_equal(
        towers.image.transform(list(scenes.frame["image"])), codes[:, :N_BITS]
    )
    np.testing.assert_array_equal(
        towers.text.transform(list(scenes.frame["text"])), codes[:, N_BITS:]
    )


@pytest.mark.parametrize(
    ("container", "kind"), [("pandas", pd.DataFrame), ("polars", pl.DataFrame)]
)
def test_every_step_hands_on_named_columns(fitted, scenes, container, kind):
    expected = fitted.transform(scenes.frame)
    out = clone(fitted).set_output(transform=container).fit_transform(scenes.frame)
    assert isinstance(out, kind)
    assert list(out.columns) == list(fitted["hash"].get_feature_names_out())
    np.testing.assert_array_equal(out.to_numpy(), expected)


@pytest.mark.parametrize("mmap_mode", [None, "r"])
def test_a_saved_pipeline_answers_in_a_new_process(fitted, scenes, tmp_path, mmap_mode):
    joblib.dump(fitted, tmp_path / "model.joblib")
    code = (
        "import sys, joblib, pandas as pd\n"
        f"model = joblib.load(sys.argv[1], mmap_mode={mmap_mode!r})\n"
        "codes = model.transform(pd.DataFrame({'text': [sys.argv[2]]}))\n"
        "print(''.join('01'[int(bit)] for bit in codes[0]))\n"
    )
    text = scenes.frame["text"][3]
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "model.joblib", text],
        capture_output=True,
        text=True,
        check=True,
    )
    expected = fitted.transform(scenes.frame)[3, N_BITS:]
    assert done.stdout.strip() == "".join("01"[int(bit)] for bit in expected)


def test_tuning_through_polars_gives_the_scores_of_pandas(precomputed):
    scores = [
        cross_val_score(tuned(), table, scoring=RetrievalScorer(), cv=2)
        for table in (precomputed, pl.from_pandas(precomputed))
    ]
    np.testing.assert_array_equal(*scores)


def test_pairs_dealt_wrongly_leave_nothing_to_find():
    scenes = make_scenes(150, image_size=32, random_state=0)
    image = make_pipeline(
        PatchFeaturizer(n_patterns=64, image_size=32, random_state=0), PCA(16, whiten=True)
    )
    right = make_table(image=image.fit_transform(scenes.frame["image"]), text=scenes.frame["text"])
    wrong = right.assign(text=np.random.default_rng(0).permutation(right["text"].to_numpy()))
    model = tuned().set_params(hash__max_iter=60, hash__n_bits=32, hash__hidden_units=128)
    found, chance = (
        cross_val_score(model, table, scoring=RetrievalScorer(), cv=2).mean()
        for table in (right, wrong)
    )
    expected = np.mean(1 / np.arange(1, 76))  # of one relevant item at a random rank
    assert chance == pytest.approx(expected, abs=0.02)
    assert found > 1.5 * expected
