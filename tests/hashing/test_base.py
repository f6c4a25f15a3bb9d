"""What every hasher does, shown on CFRH."""

import os
import pickle
import subprocess
import sys

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils.estimator_checks import estimator_checks_generator

from skhash.codes import convert_codes
from skhash.hashing import CFRHHasher, _training

FAST = {"n_bits": 10, "max_iter": 3, "batch_size": 10, "random_state": 0}


@pytest.fixture
def fitted(table):
    return CFRHHasher(**FAST).fit(table)


def hasher(**parameters):
    return CFRHHasher(**{**FAST, "n_image_features": 6, **parameters})


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("estimator", "check"),
    list(estimator_checks_generator(CFRHHasher(n_image_features=1, max_iter=2), mark="skip")),
    ids=lambda value: getattr(getattr(value, "func", value), "__name__", type(value).__name__),
)
def test_scikit_learn_check(estimator, check):
    check(estimator)


# Formats and containers.


def test_bits_are_the_default_image_codes_first(fitted, table, pairs):
    codes = fitted.transform(table)
    assert codes.dtype == bool
    np.testing.assert_array_equal(codes[:, :10], fitted.encode_image(pairs[:, :6]))
    np.testing.assert_array_equal(codes[:, 10:], fitted.encode_text(pairs[:, 6:]))


@pytest.mark.parametrize("output", ["packed", "signs", "real"])
def test_every_format_holds_the_same_code(fitted, table, output):
    bits = fitted.transform(table)
    fitted.set_params(output=output)
    image, text = np.split(fitted.transform(table), 2, axis=1)
    np.testing.assert_array_equal(convert_codes(image, "bits", n_bits=10), bits[:, :10])
    np.testing.assert_array_equal(convert_codes(text, "bits", n_bits=10), bits[:, 10:])


def test_one_block_alone_gives_its_half_of_the_codes(fitted, table):
    codes = fitted.transform(table)
    np.testing.assert_array_equal(fitted.transform(table.filter(like="image__")), codes[:, :10])
    np.testing.assert_array_equal(fitted.transform(table.filter(like="text__")), codes[:, 10:])


def test_pandas_output_keeps_the_index_and_names_the_bits(fitted, table):
    table.index = [f"row{i}" for i in range(len(table))]
    codes = fitted.set_output(transform="pandas").transform(table)
    assert list(codes.columns) == list(fitted.get_feature_names_out())
    assert codes.columns[0] == "image__bit0"
    assert codes.columns[-1] == "text__bit9"
    assert codes.index.equals(table.index)
    assert fitted.transform(table.filter(like="text__")).columns[0] == "text__bit0"


def test_polars_in_and_out_gives_the_same_codes(fitted, table):
    codes = fitted.transform(table)
    out = (
        clone(fitted)
        .set_output(transform="polars")
        .fit(pl.from_pandas(table))
        .transform(pl.from_pandas(table))
    )
    assert isinstance(out, pl.DataFrame)
    np.testing.assert_array_equal(out.to_numpy(), codes)


def test_clone_keeps_the_output_container(fitted):
    assert clone(fitted.set_output(transform="pandas"))._output_container() == "pandas"


def test_packed_columns_are_named_bytes(fitted):
    fitted.set_params(output="packed")
    assert list(fitted.get_feature_names_out()) == [
        "image__byte0", "image__byte1", "text__byte0", "text__byte1",
    ]  # fmt: skip


# What it can be trained on.


@pytest.mark.parametrize("container", [sparse.csr_matrix, sparse.csr_array, pd.DataFrame])
def test_sparse_and_unnamed_tables_train_like_dense_arrays(pairs, container):
    X = container(pairs)
    if isinstance(X, pd.DataFrame):
        X.columns = [f"column{i}" for i in range(15)]
    np.testing.assert_array_equal(hasher().fit_transform(X), hasher().fit_transform(pairs))


def test_memory_mapped_features_train_like_arrays(pairs, tmp_path):
    np.save(tmp_path / "features.npy", pairs)
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")
    np.testing.assert_array_equal(hasher().fit_transform(mapped), hasher().fit_transform(pairs))


def test_the_column_split_of_a_column_transformer_is_understood(pairs):
    from sklearn.compose import ColumnTransformer
    from sklearn.preprocessing import StandardScaler

    raw = pd.DataFrame(pairs, columns=[f"c{i}" for i in range(15)])
    split = ColumnTransformer(
        [("image", StandardScaler(), list(raw)[:6]), ("text", "passthrough", list(raw)[6:])]
    ).set_output(transform="pandas")
    assert CFRHHasher(**FAST).fit(split.fit_transform(raw)).n_image_features_ == 6


def test_groups_reach_the_affinity(pairs):
    alone = hasher().fit(pairs)
    grouped = hasher().fit(pairs, groups=np.repeat(["a", "b", "c"], 10))
    assert alone.loss_curve_["cross"] != grouped.loss_curve_["cross"]
    np.testing.assert_array_equal(
        alone.transform(pairs), hasher().fit(pairs, groups=np.arange(30)).transform(pairs)
    )


# Randomness.


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(pairs):
    codes = hasher().fit_transform(pairs)
    np.testing.assert_array_equal(codes, hasher().fit_transform(pairs))
    assert not np.array_equal(codes, hasher(random_state=1).fit_transform(pairs))


@pytest.mark.parametrize("make", [np.random.RandomState, np.random.default_rng])
def test_generators_are_accepted_and_advanced(pairs, make):
    first = hasher(random_state=make(3)).fit_transform(pairs)
    np.testing.assert_array_equal(first, hasher(random_state=make(3)).fit_transform(pairs))
    shared = make(3)
    hasher(random_state=shared).fit(pairs)
    assert not np.array_equal(first, hasher(random_state=shared).fit_transform(pairs))


@pytest.mark.parametrize("random_state", [None, 0])
def test_global_generators_are_left_alone(pairs, random_state):
    numpy_before, torch_before = np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    hasher(random_state=random_state, early_stopping=True).fit(pairs)
    numpy_after = np.random.get_state()  # noqa: NPY002
    assert all(np.array_equal(a, b) for a, b in zip(numpy_before, numpy_after, strict=True))
    assert torch.equal(torch_before, torch.get_rng_state())


def test_one_thread_or_two_give_the_same_bits_and_leave_the_setting():
    code = (
        "import numpy as np, torch, hashlib\n"
        "from skhash.hashing import CFRHHasher\n"
        "X = np.random.default_rng(0).normal(size=(300, 700)).astype('float32')\n"
        "h = CFRHHasher(n_bits=16, n_image_features=300, max_iter=3, random_state=0).fit(X)\n"
        "real = h.set_params(output='real').transform(X)\n"
        "weights = b''.join(a.tobytes() for a in (real, *h.image_state_.values()))\n"
        "print(torch.get_num_threads(), hashlib.sha256(weights).hexdigest())\n"
    )

    def run(threads):
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.split()

    (one, bits_of_one), (two, bits_of_two) = run("1"), run("2")
    assert (one, two) == ("1", "2")
    assert bits_of_one == bits_of_two


# Training that goes on, stops, or is stopped.


def test_partial_fit_in_a_loop_equals_fit(pairs):
    streamed = hasher()
    for _ in range(3):
        streamed.partial_fit(pairs)
    whole = hasher().fit(pairs)
    assert streamed.n_iter_ == whole.n_iter_ == 3
    np.testing.assert_array_equal(streamed.transform(pairs), whole.transform(pairs))


def test_partial_fit_takes_chunks(pairs):
    streamed = hasher()
    for rows in (slice(0, 12), slice(12, 30)):
        streamed.partial_fit(pairs[rows])
    assert streamed.n_iter_ == len(streamed.loss_curve_["total"]) == 2
    assert streamed.transform(pairs).shape == (30, 20)


def test_warm_start_goes_on_and_a_cold_start_begins_anew(pairs):
    warm = hasher(warm_start=True).fit(pairs).fit(pairs)
    cold = hasher().fit(pairs).fit(pairs)
    assert (warm.n_iter_, cold.n_iter_) == (6, 3)
    assert warm.loss_curve_["total"][:3] == cold.loss_curve_["total"]


def test_training_goes_on_after_a_pickle(pairs):
    loaded = pickle.loads(pickle.dumps(hasher().partial_fit(pairs)))
    assert loaded.partial_fit(pairs).n_iter_ == 2


def test_networks_that_no_longer_fit_the_parameters_are_refused(pairs):
    model = hasher(warm_start=True).fit(pairs)
    loaded = pickle.loads(pickle.dumps(model)).set_params(hidden_units=7)
    with pytest.raises(ValueError, match=r"hidden_units or another parameter .* changed since fit"):
        loaded.transform(pairs)


def test_training_cannot_go_on_with_another_number_of_bits(pairs):
    model = hasher(warm_start=True).fit(pairs).set_params(n_bits=11)
    with pytest.raises(ValueError, match="cannot go on with n_bits=11, the codes have 10 bits"):
        model.fit(pairs)


def test_training_that_fails_leaves_the_fitted_weights_in_use(pairs):
    model = hasher(optimizer="sgd", warm_start=True).fit(pairs)
    codes = model.transform(pairs)
    with pytest.raises(FloatingPointError):
        model.set_params(learning_rate=1e30, max_iter=20).fit(pairs)
    np.testing.assert_array_equal(model.transform(pairs), codes)


def test_early_stopping_keeps_the_best_weights(pairs):
    model = hasher(
        max_iter=40, early_stopping=True, validation_fraction=0.3, n_iter_no_change=3
    ).fit(pairs)
    scores = model.validation_scores_
    assert len(scores) == model.n_iter_ < 40
    assert model.alpha_ == np.sqrt(np.argmax(scores) + 1)
    assert max(scores[-3:]) <= max(scores[:-3]) + model.tol


def test_given_validation_pairs_are_scored_without_being_trained_on(pairs):
    model = hasher().fit(pairs[:20], X_val=pairs[20:])
    assert len(model.validation_scores_) == 3
    assert model.validation_scores_[-1] == pytest.approx(model.score(pairs[20:]))
    np.testing.assert_array_equal(model.transform(pairs), hasher().fit(pairs[:20]).transform(pairs))


def test_held_out_groups_are_whole(pairs):
    groups = np.repeat(np.arange(6), 5)
    held = hasher()._check_pairs(pairs, groups, reset=True)
    train, validation = _training.hold_out(held, 0.3, seed=0)
    assert set(train.groups).isdisjoint(validation.groups)
    assert len(train) + len(validation) == 30


def test_interrupted_training_leaves_a_usable_hasher_and_says_so(pairs, monkeypatch):
    model, step, calls = hasher(), CFRHHasher._step, []

    def interrupted(self, *arguments):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return step(self, *arguments)

    monkeypatch.setattr(CFRHHasher, "_step", interrupted)
    with pytest.warns(ConvergenceWarning, match=r"interrupted after 1 of 3 epochs.*can be used"):
        model.fit(pairs)
    assert model.n_iter_ == 1
    assert model.transform(pairs).shape == (30, 20)


def test_a_loss_that_is_not_finite_stops_training(pairs):
    with pytest.raises(FloatingPointError, match=r"loss is nan in epoch \d+: lower learning_rate"):
        hasher(optimizer="sgd", learning_rate=1e30, max_iter=20).fit(pairs)


def test_collapse_is_announced(pairs):
    constant = np.ones_like(np.tile(pairs, (10, 1))) + np.arange(15, dtype=np.float32)
    with pytest.warns(ConvergenceWarning, match="codes have collapsed"):
        hasher(center=False).fit(constant)


def test_verbose_training_tells_its_progress(pairs, capsys):
    hasher(verbose=2).fit(pairs)
    assert capsys.readouterr().out.count("[CFRHHasher] epoch") == 3


# Persistence.


@pytest.mark.parametrize("mmap_mode", [None, "r"])
def test_a_saved_hasher_gives_the_same_codes(fitted, table, tmp_path, mmap_mode):
    joblib.dump(fitted, tmp_path / "hasher.joblib")
    loaded = joblib.load(tmp_path / "hasher.joblib", mmap_mode=mmap_mode)
    np.testing.assert_array_equal(loaded.transform(table), fitted.transform(table))


def test_a_pickle_holds_no_torch(fitted):
    assert b"torch" not in pickle.dumps(fitted)


def test_weights_are_numpy_arrays(fitted):
    for state in (fitted.image_state_, fitted.text_state_):
        assert all(type(array) is np.ndarray for array in state.values())


# Bad input.


def test_an_array_without_a_split_names_both_remedies(pairs):
    with pytest.raises(ValueError, match=r"set n_image_features .* or give a dataframe"):
        CFRHHasher().fit(pairs)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("place", ["fit", "transform"])
def test_features_must_be_finite(pairs, value, place):
    bad = pairs.copy()
    bad[4, 2] = value
    model = hasher()
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        model.fit(bad) if place == "fit" else model.fit(pairs).transform(bad)


@pytest.mark.parametrize(("kept", "missing"), [("image__", "text"), ("text__", "image")])
def test_fit_needs_both_blocks(table, kept, missing):
    with pytest.raises(ValueError, match=rf"fit needs both blocks, got no {missing}__\* columns"):
        CFRHHasher().fit(table.filter(like=kept))


def test_text_before_image_is_the_wrong_order(table):
    with pytest.raises(ValueError, match="wrong order: all image__"):
        CFRHHasher().fit(table[list(table.columns[::-1])])


def test_unknown_columns_are_named(table):
    with pytest.raises(ValueError, match=r"must be named image__\* or text__\*, got 'audio__0'"):
        CFRHHasher().fit(table.rename(columns={"image__0": "audio__0"}))


def test_raw_columns_ask_for_a_featurizer():
    raw = pd.DataFrame({"image": ["a.jpg", "b.jpg"], "text": ["a", "b"]})
    with pytest.raises(ValueError, match=r"'image', 'text'.*CrossModalFeaturizer"):
        CFRHHasher().fit(raw)


def test_columns_of_one_block_must_be_those_of_fit(fitted, table):
    text = table.filter(like="text__")
    with pytest.raises(ValueError, match=r"text columns must be those seen in fit.*another order"):
        fitted.transform(text[list(text.columns[::-1])])
    with pytest.raises(ValueError, match=r"missing: \['text__8'\]"):
        fitted.transform(text.iloc[:, :-1])
    with pytest.raises(ValueError, match=r"unknown: \['text__dog'\]"):
        fitted.transform(text.rename(columns={"text__0": "text__dog"}))


def test_another_width_is_refused_and_the_way_to_one_modality_named(pairs):
    model = hasher().fit(pairs)
    with pytest.raises(ValueError, match=r"X has 9 features, .* expecting 15 .* encode_image or"):
        model.transform(pairs[:, 6:])
    with pytest.raises(ValueError, match=r"text block has 8 features, .* expecting 9 features"):
        model.encode_text(pairs[:, 7:])


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"n_bits": 0}, ValueError, "n_bits == 0, must be >= 1"),
        ({"n_bits": 16.0}, TypeError, "n_bits must be an instance of int"),
        ({"n_image_features": 15}, ValueError, "leaves no text block in a table of n_features=15"),
        ({"n_image_features": 0}, ValueError, "n_image_features == 0, must be >= 1"),
        ({"learning_rate": 0.0}, ValueError, "learning_rate == 0.0, must be > 0"),
        ({"alpha": "cube"}, ValueError, "alpha must be 'sqrt' or a positive number, got 'cube'"),
        ({"optimizer": "lbfgs"}, ValueError, "optimizer must be one of 'adam', 'sgd'"),
        ({"output": "hex"}, ValueError, "output must be one of 'bits'"),
        ({"device": "abacus"}, ValueError, "device must be 'auto' or a device .* got 'abacus'"),
        ({"random_state": -1}, ValueError, "random_state == -1, must be >= 0"),
        ({"validation_fraction": 1.0}, ValueError, "validation_fraction == 1.0, must be < 1"),
    ],
)
def test_a_parameter_out_of_range_is_named(pairs, parameters, error, message):
    with pytest.raises(error, match=message):
        hasher(**parameters).fit(pairs)


def test_fewer_rows_than_a_batch_are_one_batch_with_a_warning(pairs):
    with pytest.warns(UserWarning, match="batch_size=64 is more than the 30 rows"):
        model = hasher(batch_size=64).fit(pairs)
    np.testing.assert_array_equal(
        model.transform(pairs), hasher(batch_size=30).fit(pairs).transform(pairs)
    )


def test_one_row_is_too_few(pairs):
    with pytest.raises(ValueError, match=r"1 sample.*minimum of 2"):
        hasher().fit(pairs[:1])


def test_rows_without_any_word_are_announced(pairs):
    pairs[[3, 8], 6:] = 0
    with pytest.warns(UserWarning, match=r"2 rows of the text block are all zeros \(rows 3, 8\)"):
        hasher().fit(pairs)


@pytest.mark.parametrize("kind", ["csc", "coo", "lil"])
def test_sparse_features_of_another_kind_are_refused(pairs, kind):
    with pytest.raises(TypeError, match=f"must be CSR, .* got {kind}: use X.tocsr"):
        hasher().fit(sparse.csr_matrix(pairs).asformat(kind))


def test_groups_of_another_length_are_refused(pairs):
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        hasher().fit(pairs, groups=np.arange(29))


def test_labels_of_another_length_are_refused(pairs):
    with pytest.raises(ValueError, match=r"30.*29|29.*30"):
        hasher().fit(pairs).score(pairs, np.arange(29))


@pytest.mark.parametrize("call", ["transform", "encode_image", "encode_text", "score"])
def test_nothing_is_encoded_before_fit(pairs, call):
    with pytest.raises(NotFittedError):
        getattr(hasher(), call)(pairs)
    with pytest.raises(NotFittedError):
        hasher().get_feature_names_out()
