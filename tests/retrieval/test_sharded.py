"""An index of Dask codes, against the same codes in this process."""

import os
import pickle
import signal

import numpy as np
import pandas as pd
import pytest

from skhash import make_table
from skhash.codes import unpack_codes
from skhash.retrieval import HammingRetriever

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")
frames = pytest.importorskip("dask.dataframe")


def random_codes(n_codes, n_bytes=2, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n_codes, n_bytes), dtype=np.uint8)


CODES, QUERIES = random_codes(300), random_codes(9, seed=1)
Y = np.random.default_rng(2).choice(["cat", "dog", "fox"], 300)


@pytest.fixture(autouse=True)
def one_thread():
    with dask.config.set(scheduler="synchronous"):
        yield


def lazy(codes, chunks=70):
    return da.from_array(codes, chunks=(chunks, *codes.shape[1:]))


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


def both(codes=CODES, y=Y, **parameters):
    """An index of Dask codes and one in this process."""
    index = HammingRetriever(**parameters)
    return index.fit(lazy(codes), lazy(y)), HammingRetriever(**parameters).fit(codes, y)


def test_two_processes_answer_as_one(cluster):
    sharded, index = both()
    assert_same(sharded.kneighbors(QUERIES, 40), index.kneighbors(QUERIES, 40))
    assert_same(sharded.radius_neighbors(QUERIES, 5), index.radius_neighbors(QUERIES, 5))
    assert_same(sharded.predict(QUERIES), index.predict(QUERIES))
    assert sharded.score(QUERIES, Y[:9]) == index.score(QUERIES, Y[:9])


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_two_processes_one_of_them_killed_answer_as_one(cluster):
    sharded, index = both()
    os.kill(next(iter(cluster.run(os.getpid).values())), signal.SIGKILL)
    assert_same(sharded.kneighbors(QUERIES, 40), index.kneighbors(QUERIES, 40))
    assert sharded.score(QUERIES, Y[:9]) == index.score(QUERIES, Y[:9])


@pytest.mark.parametrize("form", ["bits", "packed", "signs", "real"])
def test_all_formats(form):
    bits = unpack_codes(CODES)
    codes = {"bits": bits, "packed": CODES, "signs": np.where(bits, 1, -1).astype(np.int8)}
    codes["real"] = np.random.default_rng(0).normal(size=(300, 16)).astype(np.float32)
    sharded, index = both(codes[form])
    for name in ("packed_", "paired_", "n_features_in_", "n_samples_fit_"):
        assert getattr(sharded, name) == getattr(index, name)
    queries = codes[form][5:9]
    assert_same(sharded.kneighbors(queries), index.kneighbors(queries))


def test_rows_of_the_index_as_queries_and_the_graph():
    sharded, index = both()
    assert_same(sharded.kneighbors(), index.kneighbors())
    assert (sharded.kneighbors_graph() != index.kneighbors_graph()).nnz == 0


def test_tables_of_pairs():
    table = make_table(image=CODES, text=CODES[::-1])
    index = HammingRetriever().fit(table)
    sharded = HammingRetriever().fit(frames.from_pandas(table, npartitions=3))
    assert sharded.paired_
    queries = make_table(image=QUERIES)
    assert_same(sharded.kneighbors(queries), index.kneighbors(queries))
    assert sharded.score(table[:300]) == index.score(table[:300])


def test_arrays_of_pairs():
    pairs = np.hstack([CODES, CODES[::-1]])
    sharded, index = both(pairs, paired=True)
    queries = make_table(text=QUERIES)
    assert_same(sharded.kneighbors(queries), index.kneighbors(queries))


def test_other_column_names_are_remembered():
    table = pd.DataFrame(CODES, columns=["a", "b"])
    sharded = HammingRetriever().fit(frames.from_pandas(table, npartitions=3))
    assert sharded.feature_names_in_.tolist() == ["a", "b"]
    with pytest.raises(ValueError, match="feature names"):
        sharded.kneighbors(pd.DataFrame(QUERIES, columns=["b", "a"]))


def test_codes_that_a_hasher_makes_of_dask_features(pairs):
    from skhash.hashing import CCAHasher

    hasher = CCAHasher(n_bits=4, n_image_features=6).fit(pairs)
    features = da.from_array(pairs, chunks=(7, 15))
    codes = features.map_blocks(hasher.transform, dtype=bool, chunks=(features.chunks[0], 8))
    sharded = HammingRetriever(paired=True).fit(codes)
    index = HammingRetriever(paired=True).fit(hasher.transform(pairs))
    np.testing.assert_array_equal(sharded.words_["text"][:, :], index.words_["text"])


def test_codes_that_a_hasher_makes_of_a_dask_dataframe(table):
    from skhash.hashing import CCAHasher

    hasher = CCAHasher(n_bits=4).set_output(transform="pandas").fit(table)
    codes = frames.from_pandas(table, npartitions=3).map_partitions(hasher.transform)
    sharded, index = HammingRetriever().fit(codes), HammingRetriever().fit(hasher.transform(table))
    assert sharded.paired_
    np.testing.assert_array_equal(sharded.words_["image"][:, :], index.words_["image"])


def test_rows_can_be_appended():
    sharded = HammingRetriever().fit(lazy(CODES[:200]), Y[:200])
    sharded.partial_fit(lazy(CODES[200:]), Y[200:])
    index = HammingRetriever().fit(CODES, Y)
    assert_same(sharded.kneighbors(QUERIES, 40), index.kneighbors(QUERIES, 40))
    assert_same(sharded.predict(QUERIES), index.predict(QUERIES))


IDS = np.array([f"{number}.jpg" for number in range(300)])


def with_ids():
    index = HammingRetriever()
    sharded = HammingRetriever().fit(lazy(CODES), lazy(Y), ids=lazy(IDS))
    return sharded, index.fit(CODES, Y, ids=IDS)


def assert_all_same(sharded, index):
    assert len(sharded) == len(index)
    assert_same(sharded.kneighbors(QUERIES, 40), index.kneighbors(QUERIES, 40))
    assert_same(sharded.radius_neighbors(QUERIES, 5), index.radius_neighbors(QUERIES, 5))
    assert_same(sharded.kneighbors(), index.kneighbors())
    assert sharded.score(QUERIES, Y[:9]) == index.score(QUERIES, Y[:9])
    pd.testing.assert_frame_equal(sharded.search(QUERIES, 9), index.search(QUERIES, 9))


@pytest.mark.parametrize("removed", [slice(3, 9), slice(60, 290), slice(0, 140)])
def test_items_can_be_removed_and_their_memory_given_back(removed):
    indexes = with_ids()
    for index in indexes:
        index.remove(IDS[removed])
    assert_all_same(*indexes)
    for index in indexes:
        index.compact()
    assert_all_same(*indexes)
    assert indexes[0].words_["codes"].shape == indexes[1].words_["codes"].shape
    sharded = indexes[0].partial_fit(lazy(CODES[removed]), Y[removed], ids=IDS[removed])
    assert_all_same(sharded, indexes[1].partial_fit(CODES[removed], Y[removed], ids=IDS[removed]))


def test_all_items_can_be_removed():
    sharded, index = with_ids()
    for one in (sharded, index):
        one.remove(IDS).compact()
    sharded.partial_fit(lazy(CODES), Y, ids=IDS)
    assert_all_same(sharded, index.partial_fit(CODES, Y, ids=IDS))


@pytest.mark.parametrize("share", [0.02, 0.7])
def test_filters(share):
    sharded, index = with_ids()
    where = np.random.default_rng(4).random(300) < share
    found, expected = (one.search(QUERIES, 4, where=where) for one in (sharded, index))
    pd.testing.assert_frame_equal(found, expected)
    found, expected = (
        one.search(QUERIES, 4, where=lambda y: y == "cat") for one in (sharded, index)
    )
    pd.testing.assert_frame_equal(found, expected)


def test_groups():
    groups = np.arange(300) // 4
    found, expected = (one.search(QUERIES, 9, groups=groups) for one in with_ids())
    pd.testing.assert_frame_equal(found, expected)


def test_codes_on_workers_are_not_replaced():
    with pytest.raises(TypeError, match="on Dask workers cannot be replaced: remove these items"):
        with_ids()[0].update(lazy(CODES[:2]), IDS[:2])


def test_a_repr_counts_what_the_workers_hold():
    assert repr(both()[0]) == repr(both()[1])


def test_rows_of_another_kind_are_not_appended():
    with pytest.raises(TypeError, match="are on Dask workers, got codes in the memory"):
        HammingRetriever().fit(lazy(CODES)).partial_fit(CODES)
    with pytest.raises(TypeError, match="in the memory of this process, got Dask codes"):
        HammingRetriever().fit(CODES).partial_fit(lazy(CODES))
    with pytest.raises(ValueError, match="expecting 2 features"):
        HammingRetriever().fit(lazy(CODES)).partial_fit(lazy(random_codes(10, 3)))


def test_a_saved_index_is_the_same(tmp_path):
    sharded, index = both()
    sharded.save(tmp_path / "sharded")
    opened = HammingRetriever.open(tmp_path / "sharded")
    np.testing.assert_array_equal(opened.words_["codes"], index.words_["codes"])
    assert_same(opened.predict(QUERIES), index.predict(QUERIES))


def test_an_index_of_dask_codes_cannot_be_pickled():
    with pytest.raises(TypeError, match=r"cannot be pickled: .* with save"):
        pickle.dumps(both()[0])


def test_queries_of_dask_are_refused():
    sharded, _ = both()
    with pytest.raises(TypeError, match=r"queries must be in the memory .* got a Dask Array"):
        sharded.kneighbors(lazy(QUERIES))


def test_codes_that_one_process_refuses():
    with pytest.raises(ValueError, match="no rows"):
        HammingRetriever().fit(lazy(CODES[:0], 1))
    with pytest.raises(ValueError, match="two dimensions"):
        HammingRetriever().fit(lazy(CODES[:, 0]))
    with pytest.raises(TypeError, match="zeros and ones"):
        HammingRetriever().fit(lazy((CODES > 9).astype(int)))
    with pytest.raises(ValueError, match="another length"):
        HammingRetriever().fit(lazy(CODES), Y[:7])
    with pytest.raises(ValueError, match="faiss-ivf"):
        HammingRetriever(algorithm="faiss-ivf").fit(lazy(CODES))


def test_a_failed_fit_leaves_the_index_as_it_was():
    sharded, _ = both()
    before = sharded.kneighbors(QUERIES)
    with pytest.raises(ValueError, match="another length"):
        sharded.fit(lazy(CODES), Y[:7])
    assert_same(sharded.kneighbors(QUERIES), before)
