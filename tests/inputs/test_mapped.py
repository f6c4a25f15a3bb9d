"""Reading memory maps: the values, and how much of a file stays resident."""

from pathlib import Path

import numpy as np
import pytest

from skhash._inputs import mapped
from skhash._inputs.mapped import take
from skhash.hashing import CCAHasher, CFRHHasher

STATUS = Path("/proc/self/status")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A file of 15 MB."""
    path = tmp_path_factory.mktemp("mapped") / "features.npy"
    features = np.random.default_rng(0).standard_normal((60_000, 128), dtype=np.float32)
    np.save(path, features.astype(np.float16))
    return path


def resident_files():
    row = next(row for row in STATUS.read_text().splitlines() if row.startswith("RssFile"))
    return 1024 * int(row.split()[1])


@pytest.mark.parametrize("mode", ["r", "r+", "c", None])
@pytest.mark.parametrize(
    "rows",
    [slice(1000, 3000), [2000, 5000, -2001], np.arange(999), [], np.arange(60_000) % 500 == 0],
)
def test_rows_are_those_of_the_array_however_the_file_is_open(path, mode, rows, monkeypatch):
    monkeypatch.setattr(mapped, "_RESIDENT", 0)
    features = np.load(path, mmap_mode=mode)
    if mode in ("r+", "c"):
        features[1001] = 7  # what was written to a private map is in no file
    expected = np.array(features[rows])
    for _ in range(2):
        np.testing.assert_array_equal(take(features, rows), expected)


HASHERS = {
    "linear": CCAHasher(8, n_image_features=64, random_state=0),
    "networks": CFRHHasher(
        8,
        n_image_features=64,
        max_iter=1,
        hidden_units=8,
        batch_size=1024,
        init="random",
        random_state=0,
    ),
}


@pytest.mark.skipif(not STATUS.exists(), reason="the memory of a process is not in /proc")
@pytest.mark.parametrize("hasher", HASHERS.values(), ids=HASHERS)
def test_a_file_that_is_read_does_not_stay_resident(hasher, path, monkeypatch):
    few = np.array(np.load(path, mmap_mode="r")[:3000])
    hasher.fit(few).transform(few)  # loads what both need
    monkeypatch.setattr(mapped, "_RESIDENT", 2 << 20)
    features = np.load(path, mmap_mode="r")
    before = resident_files()
    hasher.fit(features)
    assert resident_files() - before < features.nbytes / 2
    codes = hasher.transform(features)
    assert codes.shape == (60_000, 16)
    assert resident_files() - before < features.nbytes / 2

    monkeypatch.setattr(mapped, "_RESIDENT", 1 << 40)
    hasher.transform(features)
    assert resident_files() - before > features.nbytes / 2  # so that the test can fail
