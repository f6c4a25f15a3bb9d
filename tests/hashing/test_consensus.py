"""Consensus codes: what is learned, remembered and chosen, whatever the form of the features."""

import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skhash.hashing import CCAHasher, ConsensusHasher, _consensus, _kernel, _memory, _shared
from skhash.hashing._moments import draw_folds

D = 8  # image features


def pairs(n_pairs=150, seed=1, n_image=D, n_text=12, noise=0.1):
    rng, maps = np.random.default_rng(seed), np.random.default_rng(0)
    topics = rng.normal(size=(n_pairs, 4))
    image = topics @ maps.normal(size=(4, n_image)) + noise * rng.normal(size=(n_pairs, n_image))
    text = topics @ maps.normal(size=(4, n_text)) + noise * rng.normal(size=(n_pairs, n_text))
    return np.hstack([image, np.maximum(text, 0)]).astype(np.float32)


def aligned(n_pairs, seed=1, n_common=24):
    """Draw pairs in one space of 24 axes, some of which both modalities have in common."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(n_pairs, n_common))
    both = []
    for _ in range(2):
        own = rng.normal(size=(n_pairs, 24 - n_common))
        both += [common + 0.5 * rng.normal(size=common.shape), own]
    return np.hstack(both)


def make(n_bits=16, **parameters):
    return ConsensusHasher(n_bits, **{"n_image_features": D, "random_state": 0, **parameters})


def real(hasher, X):
    return clone_with(hasher, output="real").transform(X)


def clone_with(hasher, **parameters):
    return pickle.loads(pickle.dumps(hasher)).set_params(**parameters)


def learned(hasher):
    """Return all that was learned, as bytes that compare bit for bit."""
    return {
        name: pickle.dumps(value)
        for name, value in vars(hasher).items()
        if name.endswith("_") and not name.startswith("_")
    }


def assert_same_codes(one, other, X, *, atol):
    np.testing.assert_allclose(real(one, X), real(other, X), atol=atol)


TRAIN, TEST = pairs(), pairs(60, seed=2)


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    """Do not repeat the folds of few pairs."""
    monkeypatch.setattr(_consensus, "_HELD_OUT", 60)


@pytest.fixture(scope="module")
def fitted():
    return make().fit(TRAIN)


# What codes find.


def bent_pairs(n_pairs, seed):
    """Draw pairs whose texts depend on their images, but not linearly."""
    rng, maps = np.random.default_rng(seed), np.random.default_rng(0)
    angles = rng.uniform(0, 2 * np.pi, size=(n_pairs, 2))
    circles = np.hstack([np.cos(angles), np.sin(angles)])
    doubled = np.hstack([np.cos(2 * angles), np.sin(2 * angles)])
    image = circles @ maps.normal(size=(4, D))
    text = doubled @ maps.normal(size=(4, 10))
    return np.hstack([image, text]) + 0.05 * rng.normal(size=(n_pairs, D + 10))


def test_pairs_that_depend_on_each_other_not_linearly_are_found():
    train, test = bent_pairs(600, 1), bent_pairs(200, 2)
    scores = [
        cls(32, n_image_features=D, random_state=0).fit(train).score(test)
        for cls in (ConsensusHasher, CCAHasher)
    ]
    assert scores[0] > 2 * scores[1]


def test_codes_for_pairs_find_the_other_half_more_often_where_each_half_has_much_of_its_own():
    rng = np.random.default_rng(0)
    common, own = rng.normal(size=(500, 8)), rng.normal(size=(2, 500, 16))
    mixing = [np.linalg.qr(rng.normal(size=(24, 24)))[0] for _ in range(2)]
    image, text = (np.hstack([common, o]) @ m for o, m in zip(own, mixing, strict=True))
    train, test = np.split(np.hstack([image, text]), [300])
    scores = {
        target: make(32, n_image_features=24, target=target).fit(train).score(test)
        for target in ("meaning", "pair")
    }
    assert scores["pair"] > scores["meaning"] + 0.05


# Memory.


def test_rows_of_the_training_set_are_remembered():
    whole, nothing = (make(memory=memory).fit(TRAIN) for memory in (1.0, 0.0))
    half = make(memory=0.5).fit(TRAIN)
    assert (whole.n_remembered_, half.n_remembered_, nothing.n_remembered_) == (150, 150, 0)
    assert "known" not in nothing.image_state_
    image, text = np.split(real(whole, TRAIN), 2, axis=1)
    # Both halves of a pair are where the pair should lie, but for what neighbours add.
    distances = np.linalg.norm(image - text, axis=1)
    forgotten = np.linalg.norm(np.subtract(*np.split(real(nothing, TRAIN), 2, axis=1)), axis=1)
    assert np.median(distances) < 0.05 * np.median(forgotten)
    # The parameter is a share of the way there.
    halfway = (real(nothing, TRAIN) + real(whole, TRAIN)) / 2
    np.testing.assert_allclose(real(half, TRAIN), halfway, atol=1e-6)


def test_rows_far_from_those_of_the_training_set_are_as_without_memory():
    new = pairs(60, seed=3, noise=3.0)
    hasher, nothing = make(memory=1.0).fit(TRAIN), make(memory=0.0).fit(TRAIN)
    moved = np.abs(real(hasher, new) - real(nothing, new)).max(axis=1)
    known = np.abs(real(hasher, TRAIN) - real(nothing, TRAIN)).max(axis=1)
    assert np.median(moved) < 0.01 * np.median(known)


def test_memory_is_what_the_formula_says():
    hasher, nothing = make(memory=0.6).fit(TRAIN), make(memory=0.0).fit(TRAIN)
    state = hasher.text_state_
    features = _kernel.KernelFeatures.from_state(state)
    p = features.coordinates(TEST[:, D:])[:, :128]
    distances = np.array([np.sum((state["known"] - row) ** 2, axis=1) for row in p])
    k = np.exp(-state["sharpness"] * distances)
    added = k @ state["lacking"] / np.maximum(1, k.sum(axis=1))[:, None]
    expected = clone_with(nothing, output="real").encode_text(TEST[:, D:]) + added
    found = clone_with(hasher, output="real").encode_text(TEST[:, D:])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    known = features.coordinates(TRAIN[:, D:])[:, :128]
    apart = np.array([np.sum((known - row) ** 2, axis=1) for row in known])
    np.fill_diagonal(apart, np.inf)
    np.testing.assert_allclose(state["sharpness"], 10 / np.median(apart.min(axis=1)), rtol=1e-6)


def test_too_many_pairs_are_not_remembered():
    hasher = make(n_remembered=149).fit(TRAIN)
    assert hasher.n_remembered_ == 0
    np.testing.assert_array_equal(real(hasher, TEST), real(make(memory=0.0).fit(TRAIN), TEST))
    assert make(n_remembered=150).fit(TRAIN).n_remembered_ == 150


def test_memory_is_prepared_in_small_steps_all_the_same(monkeypatch):
    expected = make().fit(TRAIN)
    monkeypatch.setattr(_memory, "ENTRIES", 400)
    assert learned(make().fit(TRAIN)) == learned(expected)


# What both blocks share as they come.


def test_the_least_weight_within_a_standard_error_of_the_best_is_taken():
    scores = np.array([[0.1, 0.50, 0.6], [0.1, 0.52, 0.5], [0.1, 0.51, 0.46]])
    assert _consensus._least_within_error(scores) == 1
    assert _consensus._least_within_error(scores[:, [0, 2]]) == 1
    assert _consensus._least_within_error(np.zeros((3, 4))) == 0
    assert _consensus._least_within_error(np.array([[0.1, 0.3, 0.2]])) == 1


def test_few_pairs_of_one_space_are_hashed_by_what_they_share():
    train, test = aligned(30), aligned(200, seed=2)
    options = {"n_bits": 32, "n_image_features": 24}
    hasher = make(**options).fit(train)
    assert hasher.shared_weight_ > 0
    assert hasher.score(test) > 2 * CCAHasher(**options, random_state=0).fit(train).score(test)


def test_with_more_pairs_less_of_what_blocks_share_is_used():
    weights = [
        make(32, n_image_features=24).fit(aligned(n_pairs, n_common=12)).shared_weight_
        for n_pairs in (30, 300)
    ]
    assert weights[0] > weights[1]


def test_blocks_of_two_spaces_share_nothing():
    assert make().fit(TRAIN).shared_weight_ == 0
    X = pairs(300, n_image=12)  # as wide as each other, but not aligned
    assert make(n_image_features=12).fit(X).shared_weight_ <= 0.1


@pytest.mark.parametrize("target", ["meaning", "pair"])
def test_codes_are_the_rotated_predictions_and_shared_vectors(target, monkeypatch):
    seen, kernels = {}, []
    learn, rotate = _kernel.KernelFeatures.__init__, ConsensusHasher._rotation

    def kept(self, *args, **options):
        kernels.append(self)
        learn(self, *args, **options)

    def rotated(self, agreement, shared, *args):
        seen["center"], seen["rotation"] = rotate(self, agreement, shared, *args)
        seen["last"] = agreement, shared
        return seen["center"], seen["rotation"]

    monkeypatch.setattr(ConsensusHasher, "_rotation", rotated)
    monkeypatch.setattr(_kernel.KernelFeatures, "__init__", kept)
    train, test = aligned(40), aligned(20, seed=2)
    hasher = make(n_image_features=24, memory=0.0, target=target).fit(train)
    assert hasher.shared_weight_ > 0
    agreement, shared = seen["last"]
    for block, encode in enumerate(("encode_image", "encode_text")):
        values = test[:, :24] if block == 0 else test[:, 24:]
        predicted = agreement.predict(
            kernels[block].features(kernels[block].coordinates(values)), block
        )
        known = train[:, :24] if block == 0 else train[:, 24:]
        mean = (known / np.linalg.norm(known, axis=1, keepdims=True)).mean(axis=0)
        centred = values / np.linalg.norm(values, axis=1, keepdims=True) - mean
        units = centred / np.linalg.norm(centred, axis=1, keepdims=True)
        joined = np.hstack([predicted, np.sqrt(hasher.shared_weight_) * units @ shared.axes])
        expected = (joined - seen["center"]) @ seen["rotation"]
        found = getattr(clone_with(hasher, output="real"), encode)(values)
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("convert", [np.asarray, sparse.csr_matrix])
def test_wide_blocks_of_one_space_share_axes_too(convert, monkeypatch):
    train, test = aligned(30), aligned(20, seed=2)
    options = {"n_image_features": 24, "n_bits": 32, "memory": 0.0}
    whole = make(**options).fit(train)
    monkeypatch.setattr(_shared, "_WIDE", 5)
    found = make(**options).fit(convert(train))
    assert found.shared_weight_ == whole.shared_weight_ > 0
    assert_same_codes(found, whole, test, atol=1e-4)


@pytest.mark.filterwarnings("ignore:.*all zeros")
def test_sparse_blocks_of_many_columns_fit():
    X = sparse.random(30, 60_000, density=0.001, format="csr", random_state=0)
    codes = make(n_image_features=30_000).fit(X).transform(X)
    assert codes.shape == (30, 32)


# Groups.


@pytest.mark.parametrize("n_folds", [2, 3, 5])
def test_rows_of_a_group_have_one_fold_and_folds_are_even(n_folds):
    rng = np.random.default_rng(0)
    groups = rng.integers(40, size=200)
    folds = draw_folds(groups, n_folds, rng)
    assert all(len(set(folds[groups == group])) == 1 for group in groups)
    counts = [len(set(groups[folds == fold])) for fold in range(n_folds)]
    assert sum(counts) == len(set(groups))
    assert max(counts) - min(counts) <= 1


def test_a_fold_has_rows_and_so_have_the_others():
    rng = np.random.default_rng(0)
    for n_groups in range(2, 12):
        for n_folds in (2, 3, 1000):
            folds = draw_folds(np.arange(n_groups), n_folds, rng)
            assert 2 <= len(set(folds)) <= n_folds
    assert len(set(draw_folds(np.zeros(9), 3, rng))) == 3


def test_copies_of_a_pair_do_not_flatter_it_if_they_are_of_one_group():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(60, 20))
    copied, groups = np.repeat(noise, 4, axis=0), np.repeat(np.arange(60), 4)
    plain, honest, flattered = (
        make().fit(X, groups=g).mutual_information_
        for X, g in ((noise, None), (copied, groups), (copied, None))
    )
    assert honest < 2 * plain + 1
    assert flattered > 3 * honest


@pytest.mark.parametrize("target", ["meaning", "pair"])
def test_copies_in_groups_leave_retrieval_as_it_is(target):
    copied, groups = np.repeat(TRAIN, 3, axis=0), np.repeat(np.arange(150), 3)
    expected = make(target=target).fit(TRAIN).score(TEST)
    found = make(target=target).fit(copied, groups=groups).score(TEST)
    assert found > 0.8 * expected


def test_a_group_that_the_sample_misses_is_a_fold_all_the_same(monkeypatch):
    monkeypatch.setattr(_consensus, "_SAMPLE", 40)
    for few in (0, 1):
        groups = np.full(150, 1 - few)
        groups[:3] = few
        hasher = make(memory=0.0).fit(TRAIN, groups=groups)
        assert hasher.score(TEST) > 0.2
        assert np.isfinite(real(hasher, TEST)).all()


@pytest.mark.parametrize("target", ["meaning", "pair"])
@pytest.mark.parametrize("n_groups", [1, 2, 3])
def test_few_groups_are_no_obstacle(n_groups, target):
    hasher = make(target=target).fit(TRAIN, groups=np.arange(150) % n_groups)
    assert hasher.score(TEST) > 0.3


def test_groups_may_be_strings():
    groups = np.arange(150) // 2
    named = make().fit(TRAIN, groups=[f"item {group:03d}" for group in groups])
    assert learned(named) == learned(make().fit(TRAIN, groups=groups))


# Living with scikit-learn.


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused_and_nothing_is_forgotten(value):
    hasher = make().fit(TRAIN)
    before = dict(vars(hasher))
    X = TRAIN.copy()
    X[3, 4] = value
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        hasher.fit(X)
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        hasher.transform(X)
    assert vars(hasher) == before


@pytest.mark.parametrize("place", ["_agree", "_shared_weight", "_rotation", "_remembered"])
def test_an_interrupted_fit_changes_nothing(place, monkeypatch):
    hasher = make().fit(TRAIN)
    before = dict(vars(hasher))

    def interrupt(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(ConsensusHasher, place, interrupt)
    with pytest.raises(KeyboardInterrupt):
        hasher.fit(TEST)
    assert vars(hasher) == before


@pytest.mark.parametrize("parameters", [{}, {"n_image_features": 24, "target": "pair"}], ids=str)
def test_rows_encoded_alone_have_the_codes_that_they_have_in_a_table(parameters):
    X = aligned(40) if parameters else TRAIN
    hasher = make(**parameters).fit(X)
    alone = np.vstack([hasher.transform(X[[row]]) for row in range(len(X))])
    np.testing.assert_array_equal(alone, hasher.transform(X))


def test_a_second_fit_forgets_the_first():
    hasher = make(n_image_features=24).fit(aligned(30))
    hasher.set_params(n_image_features=D, memory=0.0).fit(TRAIN)
    assert learned(hasher) == learned(make(memory=0.0).fit(TRAIN))


def test_copies_and_saved_hashers_give_the_same_codes(fitted, tmp_path):
    expected = fitted.transform(TEST)
    joblib.dump(fitted, tmp_path / "hasher.joblib")
    for loaded in (
        pickle.loads(pickle.dumps(fitted)),
        joblib.load(tmp_path / "hasher.joblib", mmap_mode="r"),
        clone(fitted).fit(TRAIN),
    ):
        np.testing.assert_array_equal(loaded.transform(TEST), expected)
    for state in (fitted.image_state_, fitted.text_state_):
        assert all(isinstance(value, np.ndarray) for value in state.values())


def test_codes_come_in_a_dataframe(fitted):
    frame = clone_with(fitted).set_output(transform="pandas").transform(TEST)
    assert isinstance(frame, pd.DataFrame)
    np.testing.assert_array_equal(frame.to_numpy(), fitted.transform(TEST))


def test_parameters_are_chosen_on_held_out_pairs_in_a_pipeline():
    X = bent_pairs(200, 1)
    pipeline = make_pipeline(StandardScaler(), make(16))
    grid = {"consensushasher__consensus": [0.0, 0.9]}
    search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(X)
    assert search.best_params_ == {"consensushasher__consensus": 0.9}


def test_fitting_does_not_change_its_input():
    for X in (TRAIN.astype(np.float64), sparse.csr_matrix(TRAIN, dtype=np.float64)):
        before = X.copy()
        make().fit(X).transform(X)
        assert abs(X - before).max() == 0
