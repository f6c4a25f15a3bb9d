"""Searches of an index of which items are removed or filtered, against an index of the rest."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pandas as pd
import pytest

from skhash import make_table
from skhash.codes import pack_codes
from skhash.retrieval import HammingRetriever, _engines

N = 400


def random_bits(n_samples, n_bits=72, seed=0):
    return np.random.default_rng(seed).random((n_samples, n_bits)) < 0.5


codes, queries = random_bits(N), random_bits(20, seed=1)
codes[::9] = codes[0]  # many ties
FORMS = {
    "array": lambda folder, X: X,
    "packed": lambda folder, X: pack_codes(X),
    "mapped": lambda folder, X: mapped(folder, pack_codes(X)),
    "pairs": lambda folder, X: make_table(image=X[::-1], text=X),
    "pairs of a map": lambda folder, X: mapped(
        folder, pack_codes(np.hstack([X[::-1], X])), paired=True
    ),
}


def mapped(folder, packed, **_):
    path = folder / f"{len(list(folder.iterdir()))}.npy"
    np.save(path, packed)
    return np.load(path, mmap_mode="r")


def given(form, folder, X):
    """Return parameters of an index and codes, and the queries that it takes."""
    Q = queries if form in ("array", "pairs") else pack_codes(queries)
    Q = make_table(image=Q) if "pairs" in form else Q
    return {"paired": True} if form == "pairs of a map" else {}, FORMS[form](folder, X), Q


def assert_same(found, expected, rows):
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], rows[expected[1]])


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("algorithm", ["numpy", "numba"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
@pytest.mark.parametrize("form", FORMS)
def test_removed_items_are_as_if_they_were_not_there(tmp_path, form, share, algorithm, n_jobs):
    parameters, X, Q = given(form, tmp_path, codes)
    keep = np.random.default_rng(0).random(N) >= share
    rows = np.flatnonzero(keep)
    index = HammingRetriever(7, algorithm=algorithm, n_jobs=n_jobs, **parameters).fit(X)
    index.remove(np.flatnonzero(~keep))
    part = X[keep].copy() if isinstance(X, np.ndarray) else X[keep]
    rest = HammingRetriever(7, **parameters).fit(np.asarray(part) if "map" in form else part)
    for _ in range(2):  # with and without the copy at hand
        assert_same(index.kneighbors(Q), rest.kneighbors(Q), rows)
    for one, other in zip(*(i.radius_neighbors(Q, 30)[1] for i in (index, rest)), strict=True):
        np.testing.assert_array_equal(one, rows[other])
    table = index.search(Q)
    np.testing.assert_array_equal(table["id"], rows[rest.kneighbors(Q)[1].ravel()])
    if "pairs" not in form:
        assert_same(index.kneighbors(), rest.kneighbors(), rows)
        for one, other in zip(*(i.radius_neighbors()[1] for i in (index, rest)), strict=True):
            np.testing.assert_array_equal(one, rows[other])
    index.compact()
    assert_same(index.kneighbors(Q), rest.kneighbors(Q), np.arange(len(rows)))
    pd.testing.assert_frame_equal(index.search(Q), table)


@pytest.mark.parametrize("algorithm", ["numpy", "numba", "faiss-ivf"])
@pytest.mark.parametrize("share", [0.01, 0.3, 0.9])
@pytest.mark.parametrize("form", FORMS)
def test_a_filter_is_a_search_of_what_passes(tmp_path, form, share, algorithm):
    parameters, X, Q = given(form, tmp_path, codes)
    rng = np.random.default_rng(0)
    gone, mask = rng.random(N) < 0.2, rng.random(N) < share
    index = HammingRetriever(7, algorithm=algorithm, **parameters).fit(X, np.arange(N) % 10)
    index.remove(np.flatnonzero(gone))
    rows = np.flatnonzero(mask & ~gone)
    part = np.asarray(X[rows]) if isinstance(X, np.ndarray) else X.iloc[rows]
    rest = HammingRetriever(7, **parameters).fit(part)
    expected = rest.search(Q)
    expected["id"] = rows[expected["id"]]
    wheres = [mask, list(mask), pd.Series(mask), set(rows.tolist()), rows, lambda y: mask]
    for where in wheres:
        found = index.search(Q, where=where)
        assert found.pop("label").tolist() == (expected["id"] % 10).tolist()
        pd.testing.assert_frame_equal(found, expected)


def test_few_rows_that_pass_are_copied_and_many_are_masked(monkeypatch):
    widths = []
    original = _engines._search.nearest

    def nearest(queries, words, k, **options):
        widths.append((words.shape[1], options["keep"] is None))
        return original(queries, words, k, **options)

    monkeypatch.setattr(_engines._search, "nearest", nearest)
    index = HammingRetriever().fit(codes)
    for n_passing in (5, 300):
        index.search(queries[:1], where=np.arange(n_passing))
    assert widths == [(5, True), (N, False)]


def test_the_copy_of_the_rest_is_made_once_and_masked_as_more_is_removed(monkeypatch):
    index = HammingRetriever().fit(codes)
    index.remove(np.arange(0, 50)).kneighbors(queries)
    assert not index._dense  # an eighth: the mask costs little
    index.remove([50]).kneighbors(queries)
    copied = index._dense["codes"]
    assert (copied.words.shape[1], copied.keep) == (349, None)
    index.kneighbors(queries)
    assert index._dense["codes"] is copied
    index.remove([51]).kneighbors(queries)
    assert index._dense["codes"].words is copied.words
    assert index._dense["codes"].keep.sum() == 348
    index.remove(np.arange(60, 120)).kneighbors(queries)
    assert index._dense["codes"].words.shape[1] == 288
    index.partial_fit(codes[:1])
    assert not index._dense
    index.kneighbors(queries)
    assert index._dense
    assert not index.compact()._dense


def test_rows_of_a_map_are_masked(tmp_path):
    X = mapped(tmp_path, pack_codes(codes[:, :64]))
    index = HammingRetriever().fit(X).remove(np.arange(300))
    index.kneighbors(pack_codes(queries[:, :64]))
    assert not index._dense


def test_lists_hold_only_what_is_not_removed(tmp_path):
    pytest.importorskip("faiss")
    index = HammingRetriever(8, algorithm="faiss-ivf", n_lists=12, nprobe=2, radius=30).fit(codes)
    index.kneighbors(queries)
    index.remove(np.arange(0, N, 3)).partial_fit(codes[:20])
    rows = index._item_rows()
    found, within = index.kneighbors(queries), index.radius_neighbors(queries)
    assert set(np.unique(found[1])) <= set(rows)
    distances = (queries[:, None] != np.vstack([codes, codes[:20]])).sum(axis=2)
    np.testing.assert_array_equal(found[0], np.take_along_axis(distances, found[1], axis=1))
    assert 0 < index.recall_against_exact(queries) <= 1
    index.save(tmp_path)
    for same in (
        pickle.loads(pickle.dumps(index)).compact(),
        HammingRetriever.open(tmp_path),
        pickle.loads(pickle.dumps(index)),
    ):
        # The same items give the same lists, wherever their rows are.
        numbers = np.arange(len(rows)) if same.n_samples_fit_ == len(rows) else rows
        others, _ = same.kneighbors(queries)
        np.testing.assert_array_equal(others, found[0])
        for one, other in zip(within[1], same.radius_neighbors(queries)[1], strict=True):
            np.testing.assert_array_equal(
                np.searchsorted(rows, one), np.searchsorted(numbers, other)
            )


def test_lists_forget_codes_that_were_replaced():
    pytest.importorskip("faiss")
    index = HammingRetriever(1, algorithm="faiss-ivf", n_lists=4, nprobe=4).fit(codes)
    index.kneighbors(queries)
    index.update(queries, np.arange(20) * 7)
    distances, rows = index.kneighbors(queries)
    assert distances.ravel().tolist() == [0] * 20
    assert rows.ravel().tolist() == (np.arange(20) * 7).tolist()


def test_a_search_answers_as_the_index_was_when_it_began(monkeypatch):
    """Another thread removes and compacts in the middle of a search."""
    index = HammingRetriever(3).fit(codes, np.arange(N), ids=[f"{row}" for row in range(N)])
    expected = index.search(queries)
    searching, changed = Event(), Event()
    original = _engines._search.nearest

    def nearest(*arguments, **options):
        searching.set()
        assert changed.wait(10)
        return original(*arguments, **options)

    monkeypatch.setattr(_engines._search, "nearest", nearest)
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(index.search, queries)
        assert searching.wait(10)
        index.remove([f"{row}" for row in range(0, N, 2)]).compact()
        changed.set()
        pd.testing.assert_frame_equal(found.result(), expected)
    assert len(index) == N // 2


def test_an_older_search_keeps_the_copy_of_more_rows():
    index = HammingRetriever(3).fit(codes).remove(np.arange(200))
    before = vars(index).copy()
    index.kneighbors(queries)
    view = object.__new__(HammingRetriever)
    view.__dict__ = before
    index.remove(np.arange(200, 210)).kneighbors(queries)
    np.testing.assert_array_equal(
        view.kneighbors(queries)[1],
        200 + HammingRetriever(3).fit(codes[200:]).kneighbors(queries)[1],
    )


def test_a_filter_of_a_large_map_copies_only_what_passes(tmp_path, monkeypatch):
    X = mapped(tmp_path, pack_codes(random_bits(20_000)))
    index, read = HammingRetriever(3).fit(X), []
    words, original = type(index.words_["codes"]), type(index.words_["codes"]).__getitem__
    monkeypatch.setattr(
        words, "__getitem__", lambda self, key: read.append(key[1]) or original(self, key)
    )
    index.search(pack_codes(queries), where=np.arange(0, 20_000, 200))
    assert [len(rows) for rows in read] == [100]
