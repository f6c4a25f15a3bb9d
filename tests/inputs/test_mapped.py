"""Reading memory maps: the values, and how much of a file stays resident."""

from pathlib import Path

import numpy as np
import pytest

from skhash._inputs import mapped
from skhash._inputs.mapped import take
from skhash.hashing import CCAHasher

STATUS = Path("/proc/self/status")


@pytest.fixture
def path(tmp_path):
    """A file of 64 MB, most of which is a hole that takes no disk."""
    path = tmp_path / "features.npy"
    features = np.lib.format.open_memmap(path, "w+", np.float16, (250_000, 128))
    features[::1000] = np.random.default_rng(0).standard_normal((250, 128))
    features.flush()
    return path


def resident_files():
    row = next(row for row in STATUS.read_text().splitlines() if row.startswith("RssFile"))
    return 1024 * int(row.split()[1])


@pytest.mark.parametrize("mode", ["r", "r+", "c", None])
@pytest.mark.parametrize("rows", [slice(1000, 3000), [2000, 5000, 2001], np.arange(9)])
def test_rows_are_those_of_the_array_however_the_file_is_open(path, mode, rows, monkeypatch):
    monkeypatch.setattr(mapped, "_RESIDENT", 0)
    features = np.load(path, mmap_mode=mode)
    if mode in ("r+", "c"):
        features[1001] = 7  # what was written to a private map is in no file
    expected = np.array(features[rows])
    for _ in range(2):
        np.testing.assert_array_equal(take(features, rows), expected)


@pytest.mark.skipif(not STATUS.exists(), reason="the memory of a process is not in /proc")
def test_a_file_that_is_read_does_not_stay_resident(path, monkeypatch):
    monkeypatch.setattr(mapped, "_RESIDENT", 8 << 20)
    features = np.load(path, mmap_mode="r")
    hasher = CCAHasher(8, n_image_features=64, rotation=None, random_state=0)
    hasher.fit(np.ascontiguousarray(features[::1000]))
    before = resident_files()
    codes = hasher.transform(features)
    assert resident_files() - before < features.nbytes / 2
    assert codes.shape == (250_000, 16)

    monkeypatch.setattr(mapped, "_RESIDENT", 1 << 40)
    hasher.transform(features)
    assert resident_files() - before > features.nbytes / 2  # so that the test can fail
