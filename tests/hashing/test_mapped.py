"""Features of memory maps, which are read a chunk at a time."""

import tracemalloc

import numpy as np
import pytest

from skhash.hashing import CCAHasher, CFRHHasher, ITQHasher

WIDTHS = 24, 40


def make_pairs(n_rows, seed=0):
    rng = np.random.default_rng(seed)
    topics = rng.normal(size=(n_rows, 12))
    mixing = np.random.default_rng(1).normal(size=(12, sum(WIDTHS)))
    return (topics @ mixing + 0.3 * rng.normal(size=(n_rows, sum(WIDTHS)))).astype(np.float16)


@pytest.fixture
def mapped(tmp_path):
    """Return a function that puts an array into a file and maps it."""

    def put(array):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.npy"
        np.save(path, array)
        return np.load(path, mmap_mode="r")

    return put


def peak(function):
    """Return how many bytes NumPy and Python held at once in a call."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def hashers():
    return [
        CCAHasher(n_bits=16, n_image_features=24, random_state=0),
        CCAHasher(n_bits=8, n_image_features=24, rotation=None),
        ITQHasher(n_bits=16, n_image_features=24, random_state=0),
        CFRHHasher(n_bits=16, n_image_features=24, max_iter=2, random_state=0),
        CFRHHasher(n_bits=16, n_image_features=24, max_iter=2, early_stopping=True, random_state=0),
    ]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(
    "hasher", hashers(), ids=["cca", "cca alone", "itq", "cfrh", "cfrh held out"]
)
def test_codes_are_those_of_the_same_features_in_memory(mapped, hasher, dtype):
    pairs = make_pairs(9000).astype(dtype)
    expected = hasher.fit(pairs).transform(pairs)
    codes = hasher.fit(mapped(pairs)).transform(mapped(pairs))
    # A chunk at a time, sums are rounded differently.
    assert np.mean(codes != expected) < 1e-4
    np.testing.assert_array_equal(
        hasher.encode_text(mapped(pairs[:, 24:])), codes[:, -codes.shape[1] // 2 :]
    )


def test_a_fit_on_half_precision_holds_no_features(mapped, monkeypatch):
    monkeypatch.setattr("skhash.hashing._linear._ROWS", 4096)
    hasher = CCAHasher(n_bits=16, n_image_features=24, n_iter=2)
    few, many = (mapped(make_pairs(n_rows)) for n_rows in (9000, 36_000))
    grown = peak(lambda: hasher.fit(many)) - peak(lambda: hasher.fit(few))
    projections = 2 * 16 * 4  # bytes a row, of which the rotation is learned
    assert grown < 27_000 * (projections + 32) < 27_000 * sum(WIDTHS) * 4


def test_encoding_half_precision_holds_the_codes_alone(mapped):
    hasher, features = (
        CCAHasher(n_bits=16, n_image_features=24).fit(make_pairs(300)),
        make_pairs(40_000),
    )
    file = mapped(features)
    assert peak(lambda: hasher.transform(file)) < features.nbytes * 2


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(mapped, bad):
    pairs = make_pairs(5000)
    pairs[4900, 3] = bad
    with pytest.raises(ValueError, match="Input X contains"):
        CCAHasher(n_bits=8, n_image_features=24).fit(mapped(pairs))


def test_other_widths_are_refused(mapped):
    hasher = CCAHasher(n_bits=8, n_image_features=24).fit(make_pairs(50))
    with pytest.raises(ValueError, match="60 features, but CCAHasher is expecting 64 features"):
        hasher.transform(mapped(make_pairs(50)[:, :60]))
    with pytest.raises(ValueError, match="minimum of 2"):
        CCAHasher(n_image_features=24).fit(mapped(make_pairs(1)))
