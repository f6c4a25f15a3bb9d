"""Words that Dask workers hold, against the same words in this process."""

import os
import pickle
import signal
import time

import numpy as np
import pytest

from skhash._hamming import search as _search
from skhash._hamming.engine_numpy import to_words
from skhash._hamming.shards import shard_codes
from skhash.codes import read_codes

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")

ROWS = 700


def random_codes(n_codes, n_bytes, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n_codes, n_bytes), dtype=np.uint8)


def read(chunk):
    return {"codes": read_codes(chunk)}


def shard(codes, chunks):
    return shard_codes(da.from_array(codes, chunks=(chunks, codes.shape[1])), read)["codes"].words


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


@pytest.fixture(params=["two processes", "threads", "one thread"])
def scheduler(request):
    """What Dask computes with."""
    if request.param == "two processes":
        with request.getfixturevalue("two_processes").as_current():
            yield
    else:
        name = {"threads": "threads", "one thread": "synchronous"}[request.param]
        with dask.config.set(scheduler=name):
            yield


@pytest.fixture
def both(scheduler):
    """Queries, words in this process and the same in shards of 2 bytes a code: many ties."""
    codes = random_codes(ROWS, 2)
    return to_words(random_codes(30, 2, 1)), to_words(codes), shard(codes, 100)


@pytest.mark.parametrize("k", [1, 10, 150, ROWS])
def test_nearest_gives_the_same_to_the_last_tie(both, k):
    queries, words, shards = both
    assert_same(_search.nearest(queries, shards, k), _search.nearest(queries, words, k))


@pytest.mark.parametrize("radius", [0, 3, 5.5, np.inf])
def test_within_radius_gives_the_same(both, radius):
    queries, words, shards = both
    found = _search.within_radius(queries, shards, radius)
    assert_same(found, _search.within_radius(queries, words, radius))


@pytest.mark.parametrize("labels", ["ids", "indicators"])
def test_histograms_add_up_to_the_same(both, labels):
    queries, words, shards = both
    rng = np.random.default_rng(2)
    y = [rng.integers(0, 400, n) for n in (30, ROWS)]
    if labels == "indicators":
        y = [rng.integers(0, 2**20, (2, n)).astype(np.uint64) for n in (30, ROWS)]
    found = _search.histograms(queries, shards, *y, n_grades=2)
    np.testing.assert_array_equal(found, _search.histograms(queries, words, *y, n_grades=2))


@pytest.mark.parametrize("share", [0.02, 0.5])
def test_a_mask_counts_the_same(both, share):
    queries, words, shards = both
    keep = np.random.default_rng(3).random(ROWS) < share
    keep[100:200], keep[300:400] = False, True
    y = [np.arange(n) % 7 for n in (30, ROWS)]
    options = {"keep": keep}
    found = _search.nearest(queries, shards, 70, **options)
    assert_same(found, _search.nearest(queries, words, 70, **options))
    found = _search.within_radius(queries, shards, 4, **options)
    assert_same(found, _search.within_radius(queries, words, 4, **options))
    found = _search.histograms(queries, shards, *y, **options)
    np.testing.assert_array_equal(found, _search.histograms(queries, words, *y, **options))


@pytest.mark.parametrize("key", [slice(0, 3), slice(95, 305), slice(None), [699, 0, 100, 99, 99]])
def test_a_part_is_fetched_as_of_an_array(both, key):
    _, words, shards = both
    assert_same([shards[:, key]], [words[:, key]])
    assert_same([shards[0, key]], [words[0, key]])


def test_what_is_sent_and_returned_is_cut_to_size(both, monkeypatch):
    from skhash._hamming import shards as module

    queries, words, shards = both
    monkeypatch.setattr(module, "_MESSAGE", 40)
    monkeypatch.setattr(module, "_RESULT", 500)
    monkeypatch.setattr(module, "_GROUP", 2)
    assert_same(_search.nearest(queries, shards, 9), _search.nearest(queries, words, 9))
    y = [np.arange(n) % 7 for n in (30, ROWS)]
    found = _search.histograms(queries, shards, *y)
    np.testing.assert_array_equal(found, _search.histograms(queries, words, *y))


def test_codes_of_several_words_in_chunks_of_different_sizes(scheduler):
    codes, queries = random_codes(90, 19), random_codes(5, 19, 1)
    shards = shard(codes, (1, 0, 50, 39))
    assert shards.shape == (3, 90)
    assert shards.nbytes == 3 * 8 * 90
    expected = _search.nearest(to_words(queries), to_words(codes), 60)
    assert_same(_search.nearest(to_words(queries), shards, 60), expected)


def test_chunks_of_unknown_size_and_of_parts_of_rows(scheduler):
    codes = random_codes(90, 4)
    unknown = da.from_array(codes, chunks=(20, 3))[da.from_array(codes[:, 0] > 60, chunks=20)]
    shards = shard_codes(unknown, read)["codes"].words
    np.testing.assert_array_equal(shards[:, :], to_words(codes[codes[:, 0] > 60]))


def test_no_rows_at_all(scheduler):
    with pytest.raises(ValueError, match="no rows: at least one"):
        shard(random_codes(0, 2), 1)


def test_an_error_names_the_chunk(scheduler):
    codes = np.random.default_rng(0).normal(size=(30, 4))
    codes[25, 0] = np.nan
    with pytest.raises(ValueError, match=r"finite.*\n.*chunk 2 of the Dask rows"):
        shard(codes, 10)


def test_chunks_of_different_formats(scheduler):
    parts = [da.from_array(a, chunks=-1) for a in (np.ones((2, 4), bool), np.ones((2, 4), np.int8))]
    mixed = parts[0].map_blocks(lambda a: a, dtype=object, meta=np.empty((0, 0), object))
    mixed = da.concatenate([mixed, parts[1].map_blocks(lambda a: a, dtype=object)])
    with pytest.raises(TypeError, match="got bits codes of 4 columns in chunk 0 and signs"):
        shard_codes(mixed, read)


def test_no_pickle(both):
    with pytest.raises(TypeError, match="cannot be pickled: write the index"):
        pickle.dumps(both[2])


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_a_worker_killed_in_the_middle_changes_no_answer(cluster):
    codes, queries = random_codes(40_000, 8), to_words(random_codes(50, 8, 1))
    shards = shard(codes, 2000)
    expected = _search.nearest(queries, to_words(codes), 20)
    pids = cluster.run(os.getpid)
    for turn in range(6):
        if turn == 2:
            os.kill(next(iter(pids.values())), signal.SIGKILL)
        assert_same(_search.nearest(queries, shards, 20), expected)
    assert cluster.run(os.getpid) != pids


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_codes_that_cannot_be_made_again_are_told(cluster):
    scattered = cluster.scatter(random_codes(20, 2))
    lazy = da.from_delayed(dask.delayed(scattered), shape=(20, 2), dtype=np.uint8)
    shards = shard_codes(lazy, read)["codes"].words
    for pid in cluster.run(os.getpid).values():
        os.kill(pid, signal.SIGKILL)

    def search():
        for _ in range(100):  # until the scheduler has noticed
            _search.nearest(to_words(random_codes(2, 2)), shards, 1)
            time.sleep(0.1)

    with pytest.raises(RuntimeError, match="connect again and fit the index again"):
        search()


def test_a_closed_client_is_told():
    distributed = pytest.importorskip("distributed")
    local = {"n_workers": 1, "processes": False, "dashboard_address": ":0"}
    with distributed.LocalCluster(**local) as one, distributed.Client(one):
        codes = random_codes(20, 2)
        shards = shard(codes, 10)
    with pytest.raises(RuntimeError, match="connect again and fit the index again"):
        _search.nearest(to_words(codes[:2]), shards, 1)
    with pytest.raises(RuntimeError, match="connect again and fit the index again"):
        shards[:, :2]
