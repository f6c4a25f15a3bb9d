"""Consensus codes of any features: dense, CSR or mapped, few or many, constant or extreme."""

import pickle
import tracemalloc

import numpy as np
import pytest
from scipy import sparse

from skhash import make_table
from skhash.hashing import ConsensusHasher, _consensus, _kernel

from .test_consensus import TEST, TRAIN, D, aligned, assert_same_codes, learned, make, pairs, real


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    """Do not repeat the folds of few pairs."""
    monkeypatch.setattr(_consensus, "_HELD_OUT", 60)


@pytest.fixture(scope="module")
def fitted():
    return make().fit(TRAIN)


# The form of the features.


def test_the_same_seed_gives_the_same_bits():
    for parameters in ({}, {"target": "pair"}):
        one, other = (make(**parameters).fit(TRAIN) for _ in range(2))
        assert learned(one) == learned(other)
    assert learned(make(random_state=1).fit(TRAIN)) != learned(make().fit(TRAIN))


def test_the_global_generator_is_left_alone():
    np.random.seed(3)  # noqa: NPY002
    before = pickle.dumps(np.random.get_state())  # noqa: NPY002
    make(target="pair").fit(TRAIN)
    assert pickle.dumps(np.random.get_state()) == before  # noqa: NPY002


@pytest.mark.parametrize("n_jobs", [2, -1])
def test_threads_do_not_change_the_bits(n_jobs):
    X = aligned(60)
    one, other = (make(n_image_features=24, n_jobs=n).fit(X) for n in (None, n_jobs))
    assert learned(one) == learned(other)


@pytest.mark.parametrize("X", [TRAIN, np.abs(TRAIN)], ids=["signed", "positive"])
@pytest.mark.parametrize("convert", [sparse.csr_matrix, sparse.csr_array])
def test_csr_features_give_the_codes_of_dense_ones(X, convert):
    dense, csr = make(memory=0.0).fit(X), make(memory=0.0).fit(convert(X))
    np.testing.assert_allclose(csr.correlations_, dense.correlations_, atol=1e-6)
    assert csr.ridges_ == dense.ridges_
    np.testing.assert_array_equal(dense.transform(convert(TEST)), dense.transform(TEST))
    assert_same_codes(csr, dense, TEST, atol=1e-4)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_the_type_of_the_numbers_does_not_matter(dtype):
    half = TRAIN.astype(np.float16)
    expected = make().fit(half.astype(np.float64))
    found = make().fit(half.astype(dtype))
    np.testing.assert_array_equal(found.transform(TEST), expected.transform(TEST))


def test_integers_are_features():
    whole = np.round(10 * TRAIN)
    expected, found = make().fit(whole), make().fit(whole.astype(np.int64))
    np.testing.assert_array_equal(found.transform(TEST), expected.transform(TEST))


def test_a_memory_map_is_read_as_an_array_is(tmp_path, fitted):
    np.save(tmp_path / "pairs.npy", TRAIN)
    mapped = np.load(tmp_path / "pairs.npy", mmap_mode="r")
    assert learned(make().fit(mapped)) == learned(fitted)
    np.testing.assert_array_equal(fitted.transform(mapped), fitted.transform(TRAIN))


def test_a_table_is_read_as_an_array_is(fitted):
    table = make_table(image=TRAIN[:, :D], text=TRAIN[:, D:])
    hasher = ConsensusHasher(16, random_state=0).fit(table)
    np.testing.assert_allclose(hasher.correlations_, fitted.correlations_)
    codes = np.hstack([fitted.encode_image(TEST[:, :D]), fitted.encode_text(TEST[:, D:])])
    assert (
        np.mean(hasher.transform(make_table(image=TEST[:, :D], text=TEST[:, D:])) == codes) > 0.99
    )


@pytest.mark.parametrize("target", ["meaning", "pair"])
@pytest.mark.parametrize("convert", [np.asarray, sparse.csr_matrix])
def test_chunks_and_what_is_kept_do_not_change_the_codes(convert, target, monkeypatch):
    X = convert(TRAIN)
    whole = make(target=target).fit(X)
    monkeypatch.setattr(_consensus, "CHUNK", 37)
    monkeypatch.setattr(_kernel, "CHUNK", 11)
    chunked = make(target=target).fit(X)
    monkeypatch.setattr(_kernel, "_KEPT", 0)
    again = make(target=target).fit(X)
    for found in (chunked, again):
        np.testing.assert_allclose(found.correlations_, whole.correlations_, atol=1e-7)
        assert found.ridges_ == whole.ridges_
        assert found.shared_weight_ == whole.shared_weight_
        assert np.mean(found.transform(TEST) == whole.transform(TEST)) > 0.99


def test_encoding_in_small_steps_gives_the_same_codes(fitted, monkeypatch):
    expected = real(fitted, TEST)
    monkeypatch.setattr(_consensus, "ENTRIES", 1)
    monkeypatch.setattr(_consensus, "CHUNK", 7)
    np.testing.assert_allclose(real(fitted, TEST), expected, atol=1e-10)


def test_what_is_no_sum_is_learned_from_a_sample(monkeypatch):
    monkeypatch.setattr(_consensus, "_SAMPLE", 80)
    hasher = make().fit(TRAIN)
    assert hasher.n_remembered_ == 150
    assert hasher.score(TEST) > 0.5


# Odd features.


@pytest.mark.parametrize("target", ["meaning", "pair"])
@pytest.mark.parametrize("n_text", [D, 12])
@pytest.mark.parametrize("n_pairs", [2, 3, 5])
def test_very_few_pairs_have_codes(n_pairs, n_text, target):
    X, new = pairs(n_pairs, n_text=n_text), pairs(20, seed=2, n_text=n_text)
    hasher = make(target=target).fit(X)
    assert np.isfinite(real(hasher, new)).all()
    assert hasher.score(X) > 0.6


@pytest.mark.parametrize("n_bits", [1, 300])
@pytest.mark.parametrize("target", ["meaning", "pair"])
def test_any_length_of_code(n_bits, target):
    hasher = make(n_bits, target=target).fit(TRAIN)
    assert hasher.transform(TEST).shape == (60, 2 * n_bits)
    assert np.isfinite(real(hasher, TEST)).all()
    assert hasher.score(TEST) > (0.6 if n_bits > 1 else 0.08)


def test_one_feature_a_block():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 2))
    codes = real(make(4, n_image_features=1).fit(X), X)
    assert np.isfinite(codes).all()


@pytest.mark.filterwarnings("ignore:.*(all zeros|so far from|are equal)")
@pytest.mark.parametrize("convert", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("value", [0.0, 0.1, -3.0])
@pytest.mark.parametrize("columns", [slice(0, D), slice(D, None), slice(None)])
def test_constant_blocks_tell_nothing_and_have_codes(columns, value, convert):
    X = TRAIN.copy()
    X[:, columns] = value
    hasher = make().fit(convert(X))
    assert hasher.mutual_information_ == 0
    assert hasher.text_share_ == 0.5
    assert np.isfinite(real(hasher, X)).all()
    assert np.isfinite(real(hasher, TEST)).all()


@pytest.mark.filterwarnings("ignore:.*all zeros")
def test_rows_of_zeros_do_not_disturb_the_others():
    X = TRAIN.copy()
    X[::10] = 0
    hasher = make().fit(X)
    assert np.isfinite(real(hasher, X)).all()
    assert hasher.score(TEST) > 0.5


@pytest.mark.parametrize("convert", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("factor", [1e-30, 1e30])
def test_the_scale_of_the_features_does_not_matter(factor, convert, fitted):
    X = convert(TRAIN.astype(np.float64) * factor)
    hasher = make().fit(X)
    np.testing.assert_allclose(hasher.correlations_, fitted.correlations_, atol=1e-5)
    assert np.mean(hasher.transform(TEST) == fitted.transform(TEST)) > 0.97


def test_each_row_may_have_its_own_scale(fitted):
    scales = 10.0 ** np.random.default_rng(0).integers(-20, 20, size=(60, 1))
    np.testing.assert_array_equal(fitted.transform(TEST * scales), fitted.transform(TEST))


@pytest.mark.filterwarnings("ignore:.*are equal")
def test_copies_of_few_rows_have_codes():
    for n_distinct in (1, 2, 5):
        X = np.repeat(TRAIN[:n_distinct], 20, axis=0)
        assert np.isfinite(real(make().fit(X), TEST)).all()


@pytest.mark.parametrize("convert", [np.asarray, sparse.csr_matrix])
def test_far_more_features_than_pairs(convert):
    X = np.random.default_rng(0).normal(size=(12, 5000))
    for n_image in (2100, 2500):
        hasher = make(n_image_features=n_image).fit(convert(X))
        assert np.isfinite(real(hasher, X)).all()


def test_features_that_resemble_none_in_training_correlate_with_nothing():
    X = np.eye(80, 160) + np.eye(80, 160, k=80)  # each row has a feature of its own
    hasher = make(n_image_features=80, gamma=100.0).fit(X)
    assert hasher.mutual_information_ < 1


@pytest.mark.parametrize(
    "parameters",
    [
        *({"gamma": gamma} for gamma in (1e-300, 1e-8, 1e8, 1e300)),
        *({"power": power} for power in (0.0, 1e3, 1e300)),
        *({"n_anchors": n_anchors} for n_anchors in (1, 2)),
        *({"n_folds": n_folds} for n_folds in (2, 1000)),
        *({"consensus": consensus, "power": 1e300} for consensus in (0.0, 1.0)),
        *({"n_iter": 1}, {"center": False}, {"memory": 1.0}),
    ],
    ids=str,
)
def test_extreme_parameters_give_codes(parameters):
    X = TRAIN[:60]
    hasher = make(8, **parameters).fit(X)
    assert np.isfinite(real(hasher, TEST)).all()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"target": "words"}, "target must be one of 'meaning', 'pair'"),
        ({"memory": 1.5}, r"memory must be a number in \[0, 1\]"),
        ({"consensus": -0.1}, r"consensus must be a number in \[0, 1\]"),
        ({"gamma": 0}, r"gamma must be a number in \(0, inf\)"),
        ({"power": -1}, r"power must be a number in \[0, inf\)"),
        ({"n_anchors": 0}, "n_anchors must be at least 1"),
        ({"n_remembered": -1}, "n_remembered must be at least 0"),
        ({"n_folds": 1}, "n_folds must be at least 2"),
        ({"n_jobs": 0}, "n_jobs must be None"),
    ],
)
def test_impossible_parameters_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        make(**parameters).fit(TRAIN)


# Memory of the machine.


@pytest.mark.parametrize("form", ["memory map", "csr"])
def test_features_of_large_blocks_are_not_held(form, tmp_path, monkeypatch):
    n_pairs, width = 30_000, 64
    X = np.random.default_rng(0).random((n_pairs, 2 * width), dtype=np.float32)
    if form == "csr":
        X[X < 0.8] = 0
        X = sparse.csr_matrix(X)
    else:
        np.save(tmp_path / "pairs.npy", X)
        X = np.load(tmp_path / "pairs.npy", mmap_mode="r")
    monkeypatch.setattr(_kernel, "_KEPT", 1000)
    monkeypatch.setattr(_consensus, "_SAMPLE", 500)
    for module in (_consensus, _kernel):
        monkeypatch.setattr(module, "CHUNK", 1000)
    monkeypatch.setattr(_kernel, "_SAMPLE", 200_000)
    hasher = make(n_image_features=width, n_anchors=100, n_iter=5)
    tracemalloc.start()
    try:
        hasher.fit(X)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    features = n_pairs * 2 * (100 + width) * 8
    assert peak < features / 2
    assert hasher.n_remembered_ == 0
