"""The choice of the engine, and the sharing of work, against one engine on one thread."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest

from skhash._hamming import engine_numpy as _popcount
from skhash._hamming import search as _search
from skhash._hamming.engine_numpy import to_words

ENGINES = ["numpy", "numba"]


def random_words(n_codes, n_bits, seed=0):
    bits = np.random.default_rng(seed).random((n_codes, n_bits)) < 0.5
    return to_words(np.packbits(bits, axis=1, bitorder="little"))


class InFile:
    """A gallery that is not an array, and counts what is read of it at a time."""

    def __init__(self, words):
        self.words, self.shape, self.itemsize, self.largest = words, words.shape, words.itemsize, 0
        self.dtype = words.dtype

    def __len__(self):
        return len(self.words)

    def __getitem__(self, key):
        found = self.words[key]
        self.largest = max(self.largest, found.nbytes)
        return found


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("algorithm", ENGINES)
@pytest.mark.parametrize("n_jobs", [None, 1, 2, 3])
@pytest.mark.parametrize("n_queries", [1, 5, 200])  # threads share the gallery, or the queries
class TestSharing:
    def words(self, n_queries):
        return random_words(n_queries, 20, seed=1), random_words(700, 20)

    @pytest.mark.parametrize("k", [1, 10, 500, 700])
    def test_nearest(self, n_queries, n_jobs, algorithm, k):
        queries, gallery = self.words(n_queries)
        found = _search.nearest(queries, gallery, k, algorithm=algorithm, n_jobs=n_jobs)
        assert_same(found, _popcount.nearest(queries, gallery, slice(0, 700), k))

    @pytest.mark.parametrize("radius", [0, 4, 6.7, 20, np.inf])
    def test_within_radius(self, n_queries, n_jobs, algorithm, radius):
        queries, gallery = self.words(n_queries)
        found = _search.within_radius(queries, gallery, radius, algorithm=algorithm, n_jobs=n_jobs)
        whole = int(min(radius, 32))
        assert_same(found, _popcount.within_radius(queries, gallery, slice(0, 700), whole))

    def test_histograms(self, n_queries, n_jobs, algorithm):
        queries, gallery = self.words(n_queries)
        ids = np.arange(700) % 3
        labels = queries, gallery, ids[:n_queries], ids
        found = _search.histograms(*labels, algorithm=algorithm, n_jobs=n_jobs)
        expected = _popcount.histograms(queries, gallery, slice(0, 700), *labels[2:], 2)
        assert_same([found], [expected])


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("n_bits", [20, 100])
@pytest.mark.parametrize("algorithm", ENGINES)
def test_a_gallery_in_a_file_is_read_part_by_part(monkeypatch, algorithm, n_bits, n_jobs):
    monkeypatch.setattr(_search, "_CHUNK", 1000)
    queries, gallery = random_words(40, n_bits, seed=1), random_words(700, n_bits)
    ids = np.arange(700) % 3
    options = {"algorithm": algorithm, "n_jobs": n_jobs}
    for search in (
        lambda words: _search.nearest(queries, words, 60, **options),
        lambda words: _search.within_radius(queries, words, 6, **options),
        lambda words: [_search.histograms(queries, words, ids[:40], ids, **options)],
    ):
        in_file = InFile(gallery)
        assert_same(search(in_file), search(gallery))
        assert 0 < in_file.largest <= 1000


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("n_queries", [5, 40])
@pytest.mark.parametrize("algorithm", ENGINES)
@pytest.mark.parametrize("in_file", [False, True])
def test_codes_that_are_not_kept_are_as_if_they_were_not_there(
    monkeypatch, algorithm, n_queries, n_jobs, in_file
):
    monkeypatch.setattr(_search, "_CHUNK", 1000)
    queries, gallery = random_words(n_queries, 20, seed=1), random_words(700, 20)
    ids, keep = np.arange(700) % 3, np.random.default_rng(0).random(700) < 0.3
    keep[200:500] = False  # whole parts of the gallery hold nothing that is kept
    rows, few = np.flatnonzero(keep), gallery[:, keep]
    words = InFile(gallery) if in_file else gallery
    options = {"algorithm": algorithm, "n_jobs": n_jobs}
    distances, found = _search.nearest(queries, words, 60, keep=keep, **options)
    expected, order = _search.nearest(queries, few, 60)
    assert_same([distances, found], [expected, rows[order]])
    distances, found, starts = _search.within_radius(queries, words, 6, keep=keep, **options)
    expected, order, ends = _search.within_radius(queries, few, 6)
    assert_same([distances, found, starts], [expected, rows[order], ends])
    counts = _search.histograms(queries, words, ids[:n_queries], ids, keep=keep, **options)
    expected = _search.histograms(queries, few, ids[:n_queries], ids[keep])
    assert_same([counts], [expected])


def test_words_that_are_not_in_order_are_searched_too():
    queries, gallery = random_words(3, 100, seed=1), random_words(50, 100)
    strided = np.asfortranarray(gallery)
    assert not strided.flags.c_contiguous
    assert_same(_search.nearest(queries, strided, 4), _search.nearest(queries, gallery, 4))


def test_auto_takes_the_compiled_engine_for_much_work():
    statement = (
        "import sys, numpy as np; from skhash._hamming import search; "
        "words = np.arange({n}, dtype=np.uint64)[None]; search.nearest(words, words, 1); "
        "print('numba' in sys.modules)"
    )
    for n, compiled in ((100, "False"), (5000, "True")):
        done = subprocess.run(
            [sys.executable, "-c", statement.format(n=n)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split() == [compiled]


def test_auto_takes_numpy_where_there_is_no_numba(monkeypatch):
    monkeypatch.delitem(sys.modules, _search._COMPILED, raising=False)
    monkeypatch.setitem(sys.modules, "numba", None)
    words = random_words(5000, 8)
    assert_same(
        _search.nearest(words, words, 2),
        _popcount.nearest(words, words, slice(0, 5000), 2),
    )


def test_asking_for_the_compiled_engine_without_numba_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    words = random_words(5, 8)
    with pytest.raises(ImportError, match=r"algorithm='numba' needs numba.*scikit-hash\[fast\]"):
        _search.nearest(words, words, 1, algorithm="numba")


def test_an_unknown_algorithm_is_an_error():
    words = random_words(5, 8)
    with pytest.raises(ValueError, match="must be one of 'auto', 'numpy', 'numba', got 'cuda'"):
        _search.nearest(words, words, 1, algorithm="cuda")


def search_twice(cache, before="pass", verbose=0):
    """Search twice in a process of its own, and return what it prints."""
    statement = (
        f"import numpy as np; {before}; from skhash._hamming import search; "
        "words = np.arange(9, dtype=np.uint64)[None]; "
        f"[search.nearest(words, words, 1, algorithm='numba', verbose={verbose}) for _ in range(2)]"
    )
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", statement],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "NUMBA_CACHE_DIR": str(cache)},
    )


def pause(seconds):
    return f"from skhash._hamming import words_numba; words_numba._PAUSE = {seconds}"


NO_FOLDER = (
    "import tempfile\ndef refuse(*_, **__): raise OSError('read-only')\n"
    "tempfile.TemporaryFile = refuse"
)


def test_a_pause_for_compiling_is_logged(tmp_path):
    line = "compiling its search code .*, once: later processes load it from numba's cache"
    assert re.search(line, search_twice(tmp_path, pause(0.02)).stderr)
    done = search_twice(tmp_path, pause(60))
    assert (done.stdout, done.stderr) == ("", "")


def test_where_no_folder_can_be_written_code_is_compiled_in_every_process(tmp_path):
    done = search_twice(tmp_path, f"{NO_FOLDER}\n{pause(0.02)}")
    assert re.search("in every process: set NUMBA_CACHE_DIR to a folder", done.stderr)
    done = search_twice(tmp_path, NO_FOLDER, verbose=1)
    assert "for this process alone, since NUMBA_CACHE_DIR names no folder" in done.stdout
    assert list(tmp_path.rglob("*.nbi")) == []


def test_verbose_says_that_code_is_compiled_once(tmp_path):
    lines = [search_twice(tmp_path, verbose=1).stdout.splitlines() for _ in range(2)]
    assert [len(process) for process in lines] == [2, 2]
    assert "compiled, and cached" in lines[0][1]
    assert "loaded from the cache" in lines[1][1]
