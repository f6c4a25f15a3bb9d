"""What every public hasher gives, whoever adds it: codes, containers, persistence, tuning."""

import copy
import pickle
import subprocess
import sys
import textwrap
from inspect import signature

import joblib
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from skhash import make_table
from skhash.codes import convert_codes

from ..hashers import HASHERS, labels_for, needs_labels
from ..without_torch import FORBID_TORCH

N_IMAGE = 8
# What makes a hasher fit for 90 small pairs, where its defaults do not.
OPTIONS = {
    "RandomHyperplaneHasher": {"space": "image"},
    "SignHasher": {"space": "image"},
}


# What makes a hasher fast, where it has such parameters.
FAST = {"max_iter": 20, "batch_size": 30, "hidden_units": 64, "graph_units": 16, "graph_iter": 5}


def make(name, **parameters):
    cls = HASHERS[name]
    fast = {key: value for key, value in FAST.items() if key in signature(cls).parameters}
    options = {"n_bits": 8, "random_state": 0, **fast, **OPTIONS.get(name, {}), **parameters}
    return cls(**options)


def fit(hasher, X):
    return hasher.fit(X, labels_for(hasher, X))


def small_pairs(n_pairs, seed):
    rng, maps = np.random.default_rng(seed), np.random.default_rng(0)
    topics = rng.normal(size=(n_pairs, 4))
    image = topics @ maps.normal(size=(4, N_IMAGE)) + 0.1 * rng.normal(size=(n_pairs, N_IMAGE))
    text = np.maximum(topics @ maps.normal(size=(4, 12)) + 0.1 * rng.normal(size=(n_pairs, 12)), 0)
    return make_table(image=image.astype(np.float32), text=(text + 1e-3).astype(np.float32))


TRAIN, TEST = small_pairs(90, 1), small_pairs(60, 2)


@pytest.fixture(scope="module", params=HASHERS)
def fitted(request):
    return fit(make(request.param), TRAIN)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", HASHERS)
def test_scikit_learn_checks_pass(name):
    hasher = make(name, n_bits=1, n_image_features=1)
    if "max_iter" in hasher.get_params():
        hasher.set_params(max_iter=2)
    checks = check_estimator(hasher, on_skip=None, on_fail=None)
    assert not [check["check_name"] for check in checks if check["status"] == "failed"]


def test_the_other_half_of_a_pair_is_found_far_better_than_by_chance(fitted):
    by_chance = np.mean(1 / np.arange(1, len(TEST) + 1))
    # Codes that tell classes apart need not tell pairs of one class apart.
    assert fitted.score(TEST) > (2 if needs_labels(fitted) else 3) * by_chance


def test_the_same_seed_gives_the_same_codes(fitted):
    again = fit(make(type(fitted).__name__), TRAIN)
    np.testing.assert_array_equal(again.transform(TEST), fitted.transform(TEST))


def test_a_saved_hasher_gives_the_same_codes(fitted, tmp_path):
    joblib.dump(fitted, tmp_path / "hasher.joblib")
    for loaded in (
        pickle.loads(pickle.dumps(fitted)),
        joblib.load(tmp_path / "hasher.joblib", mmap_mode="r"),
    ):
        np.testing.assert_array_equal(loaded.transform(TEST), fitted.transform(TEST))


@pytest.mark.parametrize("table", [TRAIN, TEST], ids=["train", "test"])
def test_rows_encoded_alone_have_the_codes_that_they_have_in_a_table(fitted, table):
    codes = fitted.transform(table)
    alone = np.vstack([fitted.transform(table.iloc[[row]]) for row in range(len(table))])
    np.testing.assert_array_equal(alone, codes)


def test_one_block_alone_gives_its_half_of_the_codes(fitted):
    image, text = np.split(fitted.transform(TEST), 2, axis=1)
    for block, codes, encode in (
        ("image", image, fitted.encode_image),
        ("text", text, fitted.encode_text),
    ):
        columns = TEST.filter(like=f"{block}__")
        np.testing.assert_array_equal(fitted.transform(columns), codes)
        np.testing.assert_array_equal(encode(columns), codes)


def test_sparse_and_dense_features_give_the_same_codes(fitted):
    hasher = make(type(fitted).__name__, n_image_features=N_IMAGE)
    train, test = (sparse.csr_matrix(table.to_numpy()) for table in (TRAIN, TEST))
    equal = fit(hasher, train).transform(test) == fitted.transform(TEST)
    # Alternations between codes and rotation may end elsewhere where a value is nearly 0.
    assert equal.mean() > 0.99


def test_all_formats_hold_the_same_code(fitted):
    bits = np.split(fitted.transform(TEST), 2, axis=1)
    for output in ("packed", "signs", "real"):
        codes = copy.copy(fitted).set_params(output=output).transform(TEST)
        for half, expected in zip(np.split(codes, 2, axis=1), bits, strict=True):
            np.testing.assert_array_equal(convert_codes(half, "bits", n_bits=8), expected)


def test_every_column_of_the_codes_has_a_name(fitted):
    codes = copy.copy(fitted).set_output(transform="pandas").transform(TEST)
    assert isinstance(codes, pd.DataFrame)
    assert list(codes) == list(fitted.get_feature_names_out())
    assert len(set(codes)) == 2 * fitted.n_bits_


@pytest.mark.parametrize("name", HASHERS)
def test_the_code_length_is_tuned_in_a_pipeline(name):
    hasher = make(name, n_image_features=N_IMAGE)
    pipeline = make_pipeline(StandardScaler(), hasher)
    search = GridSearchCV(pipeline, {f"{name.lower()}__n_bits": [1, 8]}, cv=2, error_score="raise")
    search.fit(TRAIN.to_numpy(), labels_for(hasher, TRAIN))
    assert search.best_estimator_[-1].n_bits_ == 8


@pytest.mark.parametrize("name", HASHERS)
def test_more_features_than_pairs_are_no_obstacle(name):
    pairs = np.random.default_rng(0).normal(size=(12, 60))
    hasher = make(name, n_image_features=25)
    if "batch_size" in hasher.get_params():
        hasher.set_params(batch_size=6)
    codes = hasher.fit_transform(pairs, labels_for(hasher, pairs))
    assert codes.shape == (12, 16)


def test_hashers_that_train_no_network_fit_without_torch():
    script = """
        import numpy as np
        from skhash import hashing
        X = np.random.default_rng(0).normal(size=(30, 12))
        for name, module in hashing._MODULES.items():
            if not module.startswith("_deep"):
                hasher = getattr(hashing, name)(n_bits=4, n_image_features=6)
                print(name, hasher.fit(X).transform(X).shape)
    """
    done = subprocess.run(
        [sys.executable, "-c", FORBID_TORCH + textwrap.dedent(script)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "CCAHasher (30, 8)" in done.stdout


@pytest.mark.filterwarnings("ignore:.*codes have collapsed")
@pytest.mark.parametrize("name", HASHERS)
def test_fit_warns_of_a_block_of_equal_rows(name):
    constant = TRAIN.copy()
    constant[constant.filter(like="image__").columns] = 0.5
    with pytest.warns(UserWarning, match="all 90 rows of the image block are equal"):
        fit(make(name), constant)


@pytest.mark.parametrize("output", ["bits", "packed", "signs", "real"])
@pytest.mark.filterwarnings("ignore:.*(all zeros|codes|same)")
@pytest.mark.parametrize("name", HASHERS)
def test_rows_whose_real_codes_are_whole_numbers_have_codes(name, output):
    """Such as a text without a known word, or a block of one value."""
    constant = TRAIN.copy()
    constant[constant.filter(like="image__").columns] = 0.0
    hasher = fit(make(name, output=output), constant)
    assert np.isfinite(hasher.transform(constant)).all()
    assert np.isfinite(hasher.encode_text(0 * TRAIN.filter(like="text__")[:1])).all()
