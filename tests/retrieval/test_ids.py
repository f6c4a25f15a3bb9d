"""Ids of items: what is taken, what is refused, and what is found by them."""

import pickle
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

from skhash import make_table
from skhash.codes import pack_codes
from skhash.retrieval import HammingRetriever, _ids
from skhash.retrieval._ids import Ids


def random_bits(n_samples, n_bits=12, seed=0):
    return np.random.default_rng(seed).random((n_samples, n_bits)) < 0.5


codes, queries = random_bits(40), random_bits(7, seed=1)
names = [f"{row}.jpg" for row in range(40)]


def fitted(ids=names, y=None):
    return HammingRetriever(n_neighbors=3).fit(codes, y, ids=ids)


# What is taken


@pytest.mark.parametrize(
    "ids",
    [
        names,
        tuple(names),
        np.array(names),
        np.array(names, dtype=object),
        np.array(names, dtype=np.dtypes.StringDType()),
        pd.Series(names, index=range(7, 47)),
        pd.Index(names),
        pd.Series(names, dtype="category"),
        pl.Series(names),
        [Path(name) for name in names],
    ],
    ids=lambda ids: type(ids).__name__,
)
def test_strings_and_paths_become_strings_of_fixed_width(ids):
    index = fitted(ids)
    assert index.ids_.dtype == np.dtype("<U6")
    assert index.ids_.tolist() == names


@pytest.mark.parametrize(
    "ids",
    [
        list(range(-7, 33)),
        np.arange(-7, 33, dtype=np.int8),
        pd.Series(np.arange(-7, 33), dtype="Int64"),
        pl.Series(range(-7, 33)),
        np.arange(-7, 33).astype(object),
    ],
    ids=lambda ids: type(ids).__name__,
)
def test_integers_become_int64(ids):
    index = fitted(ids)
    assert index.ids_.dtype == np.int64
    assert index.ids_.tolist() == list(range(-7, 33))


def test_without_ids_items_are_numbered():
    index = HammingRetriever(n_neighbors=3).fit(codes)
    assert index.ids_ is None
    frame = index.search(codes[:4])
    np.testing.assert_array_equal(
        frame["id"].to_numpy().reshape(4, 3), index.kneighbors(codes[:4])[1]
    )


def test_numbers_are_never_used_again():
    index = HammingRetriever().fit(codes[:4]).remove([1, 3]).compact()
    index.partial_fit(codes[4:6]).remove([5]).compact().partial_fit(codes[6:7])
    assert index.search(codes[:1], 10)["id"].sort_values().tolist() == [0, 2, 4, 6]
    with pytest.raises(ValueError, match="got 3: leave out what was never added, or was removed"):
        index.remove([3])


def test_an_id_that_was_removed_can_be_given_again():
    index = fitted().remove(["3.jpg"])
    index.partial_fit(codes[3:4], ids=["3.jpg"]).remove(["3.jpg", "4.jpg"])
    index.partial_fit(codes[3:4], ids=["3.jpg"])
    assert index.n_samples_fit_ == 42
    assert len(index) == 39
    assert index.search(codes[3:4], 1)["id"].item() == "3.jpg"
    assert index.kneighbors(codes[3:4], 1)[1].item() == 41


@pytest.mark.parametrize("ids", [names, np.random.default_rng(0).permutation(40) - 9])
def test_ids_are_looked_up_after_every_change(ids):
    """The order of ids is completed, not made again, and stays that of all ids."""
    ids = np.asarray(ids)
    held = Ids.first(ids[:10], 10)
    with patch.object(_ids.Ids, "_sorted", lambda self: self._order):
        for start in range(10, 40, 5):
            held = held.extended(ids[start : start + 5], 5, None)
    np.testing.assert_array_equal(held._order, np.argsort(ids, kind="stable"))
    np.testing.assert_array_equal(held.rows(ids[::-1].copy(), None), np.arange(40)[::-1])


def test_an_id_that_is_longer_than_all_is_unknown():
    with pytest.raises(ValueError, match=r"ids must be of items that the index holds, got '1\.jpg"):
        fitted().remove(["1.jpg" + "g" * 50])
    index = fitted().partial_fit(codes[:1], ids=["1.jpg" + "g" * 50])
    assert index.remove(["1.jpg" + "g" * 50]).ids_[1] == "1.jpg"


# What is refused


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        (names[:-1], ValueError, "one id per item, got 39 ids for 40 items"),
        ([*names[:-1], "7.jpg"], ValueError, r"must be unique, got '7\.jpg' more than once, first"),
        ([0, 0, 1, 1, *range(2, 38)], ValueError, "unique, got 0 and 1 more more than once"),
        ([*names[:-1], None], ValueError, "must not hold missing values .* in row 39"),
        ([*names[:-1], 5], TypeError, "all of one kind, got int, str"),
        (np.arange(40) / 2, TypeError, "must be integers or strings, got the dtype float64, such"),
        (np.arange(40) > 5, TypeError, "must be integers or strings, got the dtype bool"),
        (np.array(names, dtype="S"), TypeError, "must be integers or strings, got the dtype"),
        (np.arange(40)[:, None], ValueError, r"one dimension, got the shape \(40, 1\)"),
        ("a.jpg", TypeError, "must be a sequence with one value per row, got str"),
        (5, TypeError, "must be a sequence"),
        (
            np.arange(2**63 - 39, 2**63 + 1, dtype=np.uint64),
            ValueError,
            r"must be below 2 \*\* 63, got 9223372036854775808",
        ),
        ([*range(39), 2**70], TypeError, "turn them into strings"),
        ([f"{name}\0" for name in names], ValueError, "must not end with a zero character"),
        ([["a"], ["b"]] * 20, ValueError, "one dimension"),
        ([], ValueError, "one id per item, got 0 ids for 40 items"),
    ],
    ids=str,
)
def test_bad_ids_are_named(ids, error, message):
    with pytest.raises(error, match=message):
        fitted(ids)
    index = fitted()
    with pytest.raises((ValueError, TypeError)):
        index.partial_fit(codes, ids=ids)
    assert len(index) == 40


BAD_CALLS = {
    "append without": (
        lambda i: i.partial_fit(codes[:1]),
        ValueError,
        "the index was fitted with ids, got none for the new items",
    ),
    "append one in use": (
        lambda i: i.partial_fit(codes[:2], ids=["x", "3.jpg"]),
        ValueError,
        r"ids must be new, got '3\.jpg' of items that the index holds: call update",
    ),
    "append integers": (
        lambda i: i.partial_fit(codes[:1], ids=[3]),
        TypeError,
        "ids of the index are strings, got integers as ids, such as 3: give strings",
    ),
    "remove unknown": (
        lambda i: i.remove(["3.jpg", "x", "y", "z"]),
        ValueError,
        "ids must be of items that the index holds, got 'x' and 2 more: leave out",
    ),
    "remove integers": (lambda i: i.remove([3]), TypeError, "got integers as ids"),
    "remove one": (lambda i: i.remove("3.jpg"), TypeError, "must be a sequence"),
    "remove twice": (
        lambda i: i.remove(["3.jpg"]).remove(["3.jpg"]),
        ValueError,
        r"got '3\.jpg': leave out what was never added, or was removed",
    ),
    "update twice": (
        lambda i: i.update(codes[:2], ["3.jpg", "3.jpg"]),
        ValueError,
        "ids must be unique, got '3.jpg' more than once, first at positions 0 and 1",
    ),
    "update unknown": (lambda i: i.update(codes[:1], ["x"]), ValueError, "got 'x': leave out"),
    "update another number": (
        lambda i: i.update(codes[:2], ["3.jpg"]),
        ValueError,
        "one id per item, got 1 ids for 2 items",
    ),
    "update another width": (
        lambda i: i.update(codes[:1, :5], ["3.jpg"]),
        ValueError,
        "5 features",
    ),
    "update bytes": (
        lambda i: i.update(pack_codes(codes[:1]), ["3.jpg"]),
        ValueError,
        "got packed codes",
    ),
    "update ids first": (
        lambda i: i.update(["3.jpg"], codes[:1]),
        TypeError,
        r"the codes come first, got ids and then ndarray of two dimensions: call update\(codes, id",
    ),
    "update ids first, a list": (
        lambda i: i.update(["3.jpg"], codes[:1].tolist()),
        TypeError,
        "the codes come first, got ids and then list",
    ),
    "update ids first, a table": (
        lambda i: i.update(pd.Series(["3.jpg"]), pd.DataFrame(codes[:1])),
        TypeError,
        "the codes come first, got ids and then DataFrame",
    ),
    "update with labels": (
        lambda i: i.update(codes[:1], ["3.jpg"], ["cat"]),
        ValueError,
        "either all rows of an index have labels or none",
    ),
    "where of another length": (
        lambda i: i.search(queries, where=np.ones(39, dtype=bool)),
        ValueError,
        r"where must hold one entry per row of the index, those of removed items included \(40\), "
        r"got the shape \(39,\)",
    ),
    "where unknown": (
        lambda i: i.search(queries, where={"x"}),
        ValueError,
        "where must be of items that the index holds, got 'x'",
    ),
    "where integers": (lambda i: i.search(queries, where=[1]), TypeError, "integers as where"),
    "where one id": (
        lambda i: i.search(queries, where="3.jpg"),
        TypeError,
        r"where must be a mask, a list or set of ids, or a function .* give \['3\.jpg'\] for the i",
    ),
    "where of zeros and ones": (
        lambda i: i.search(queries, where=np.arange(40) % 2),
        TypeError,
        r"where holds zeros and ones, one per row: use astype\(bool\) for a mask",
    ),
    "where of labels": (
        lambda i: i.search(queries, where=lambda y: y == 1),
        ValueError,
        "where is a function of the labels, and the index has none",
    ),
    "groups of another length": (
        lambda i: i.search(queries, groups=np.arange(39)),
        ValueError,
        r"groups must hold one entry per row .* \(40\), got 39",
    ),
    "groups that lack": (
        lambda i: i.search(queries, groups=[*range(39), None]),
        ValueError,
        "groups must not hold missing values",
    ),
    "groups of labels": (
        lambda i: i.search(queries, groups=lambda y: y),
        ValueError,
        "groups is a function of the labels, and the index has none",
    ),
    "no neighbours": (lambda i: i.search(queries, 0), ValueError, "n_neighbors must be at least 1"),
}


@pytest.mark.parametrize("name", BAD_CALLS)
def test_bad_calls_are_named_and_change_nothing(name):
    call, error, message = BAD_CALLS[name]
    index = fitted()
    before = dict(vars(index))
    with pytest.raises(error, match=message):
        call(index)
    if name != "remove twice":
        assert all(vars(index)[key] is value for key, value in before.items())


@pytest.mark.parametrize("ids", [names[:4], None])
@pytest.mark.parametrize("y", [["cat", "dog", "cat", "fox"], [7, 8, 7, 9]])
def test_labels_in_the_place_of_ids_are_told(ids, y):
    index = HammingRetriever().fit(codes[:4], y, ids=ids)
    for n_items in (1, 3):  # unknown, or given twice
        with pytest.raises(
            ValueError, match=r"got its labels, such as .* call update\(codes, ids, y"
        ):
            index.update(codes[:n_items], y[:n_items])


def test_ids_that_are_labels_too_are_not_taken_for_labels():
    index = HammingRetriever().fit(codes[:4], [1, 2, 3, 4], ids=[1, 2, 3, 4])
    with pytest.raises(ValueError, match="ids must be unique, got 2 more than once"):
        index.update(codes[:2], [2, 2])
    index.remove([3])
    with pytest.raises(ValueError, match=r"got 3: leave out what .* was removed"):
        index.update(codes[:1], [3])


def test_ids_for_an_index_without_are_an_error():
    index = HammingRetriever().fit(codes)
    with pytest.raises(ValueError, match="fitted without ids, so that its items are numbered"):
        index.partial_fit(codes[:1], ids=[40])
    message = "items of the index have no ids but the numbers at which they were added, got strings"
    with pytest.raises(TypeError, match=message):
        index.remove(["a.jpg"])
    with pytest.raises(ValueError, match="got 40"):
        index.remove([40])
    with pytest.raises(ValueError, match="got -1"):
        index.remove([-1])


@pytest.mark.parametrize(
    ("where", "error", "message"),
    [
        (
            lambda y: y,
            TypeError,
            r"where\(y_\) must be a mask of True and False, got the dtype int",
        ),
        (lambda y: y[:-1] > 1, ValueError, r"where\(y_\) must hold one entry per row .* \(39,\)"),
        (lambda y: None, TypeError, r"where\(y_\) must be a sequence"),
    ],
)
def test_a_function_of_labels_must_return_a_mask(where, error, message):
    with pytest.raises(error, match=message):
        fitted(y=np.arange(40)).search(queries, where=where)


@pytest.mark.parametrize("method", ["remove", "compact", "update", "search"])
def test_an_index_that_is_not_fitted_is_an_error(method):
    arguments = {"remove": [[1]], "update": [codes, [1]], "search": [codes], "compact": []}
    with pytest.raises(NotFittedError):
        getattr(HammingRetriever(), method)(*arguments[method])
    with pytest.raises(NotFittedError):
        len(HammingRetriever())


# What is found


def test_a_search_is_a_table():
    index = fitted(y=np.arange(40) % 3)
    frame = index.search(queries)
    distances, rows = index.kneighbors(queries)
    assert list(frame.columns) == ["query", "rank", "id", "distance", "label"]
    assert frame["query"].tolist() == np.repeat(np.arange(7), 3).tolist()
    assert frame["rank"].tolist() == [1, 2, 3] * 7
    assert frame["id"].tolist() == index.ids_[rows.ravel()].tolist()
    assert frame["distance"].tolist() == distances.ravel().tolist()
    assert frame["label"].tolist() == (rows.ravel() % 3).tolist()


def test_indicators_become_tuples_of_columns():
    y = np.array([[0, 1, 1], [0, 0, 0], [1, 0, 0]])
    index = HammingRetriever(n_neighbors=3).fit(codes[:3], y)
    frame = index.search(codes[:2]).set_index("id")
    assert frame["label"].to_dict() == {0: (1, 2), 1: (), 2: (0,)}


def test_a_search_of_an_index_whose_items_were_all_removed_is_empty():
    index = fitted(y=np.arange(40)).remove(names)
    for found in (index, index.compact()):
        frame = found.search(queries)
        assert (len(found), len(frame)) == (0, 0)
        assert list(frame.columns) == ["query", "rank", "id", "distance", "label"]
        assert found.search(groups=np.arange(found.n_samples_fit_)).empty
        with pytest.raises(ValueError, match="n_neighbors=3 for 0 items"):
            found.kneighbors(queries)
        assert [len(rows) for rows in found.radius_neighbors(queries, 9)[1]] == [0] * 7
        with pytest.raises(ValueError, match="the index holds no items to rank"):
            found.score(queries, np.arange(7))
    index.partial_fit(codes, np.arange(40), ids=names)
    assert index.search(codes[:1], 1)["id"].item() == "0.jpg"


def test_an_empty_filter_finds_nothing():
    for where in ([], set(), np.zeros(40, dtype=bool), np.array([])):
        assert fitted().search(queries, where=where).empty
        assert fitted().search(queries, where=where, groups=np.arange(40)).empty


def test_captions_of_a_picture_fill_one_place():
    pictures = np.repeat(np.arange(8), 5)
    frame = fitted().search(queries, 8, groups=pictures)
    assert frame.groupby("query").size().tolist() == [8] * 7
    rows = frame["id"].str.removesuffix(".jpg").astype(int)
    assert all(len(set(pictures[found])) == 8 for _, found in rows.groupby(frame["query"]))


@pytest.mark.parametrize("n_pairs", [1, 50, 1 << 22])
def test_one_large_group_hides_no_other(monkeypatch, n_pairs):
    monkeypatch.setattr("skhash.retrieval._results._PAIRS", n_pairs)
    bits = np.zeros((600, 16), dtype=bool)
    bits[:, :8] = random_bits(600, 8)
    bits[590:, 8:] = True  # the other groups are far from every query
    groups = np.r_[np.zeros(590, dtype=int), np.arange(1, 11)]
    frame = HammingRetriever(5).fit(bits).search(bits[:3], groups=groups)
    assert frame.groupby("query").size().tolist() == [5, 5, 5]
    assert set(frame.loc[frame["rank"] == 1, "id"]) <= set(range(590))
    assert set(frame.loc[frame["rank"] > 1, "id"]) <= set(range(590, 600))


def test_scores_and_graphs_leave_removed_items_out():
    y = np.arange(40) % 3
    kept = np.arange(40) % 4 > 0
    removed = fitted(y=y).remove(np.array(names)[~kept])
    rest = HammingRetriever(n_neighbors=3).fit(codes[kept], y[kept])
    assert removed.score(queries, y[:7]) == rest.score(queries, y[:7])
    np.testing.assert_array_equal(removed.predict(queries), rest.predict(queries))
    graph = removed.kneighbors_graph(queries)
    assert graph.shape == (7, 40)
    assert (graph[:, kept] != rest.kneighbors_graph(queries)).nnz == 0
    assert removed.kneighbors_graph().shape == (30, 40)


def test_the_rest_of_pairs_score_as_pairs_do():
    pairs = make_table(image=codes, text=random_bits(40, seed=2))
    removed = HammingRetriever().fit(pairs).remove([0, 7, 8])
    rest = pairs.drop(index=[0, 7, 8])
    assert removed.score(rest) == HammingRetriever().fit(rest).score(rest)


def test_updated_items_keep_their_rows_and_labels():
    index = fitted(y=list("ab" * 20)).update(queries[:2], ["7.jpg", "3.jpg"])
    found = index.search(queries[:2], 1)
    assert found["distance"].tolist() == [0, 0]
    assert found["id"].tolist() == ["7.jpg", "3.jpg"]
    assert found["label"].tolist() == ["b", "b"]
    index.update(queries[:1], ["7.jpg"], ["longer"])
    assert index.search(queries[:1], 1)["label"].item() == "longer"


# What an index says of itself


def test_a_fitted_index_says_what_it_holds():
    index = HammingRetriever(n_neighbors=2).fit(random_bits(1500, 64))
    assert repr(index) == "HammingRetriever(n_neighbors=2): 1,500 items of 64 bits in 12 kB"
    index.remove([1, 2])
    assert repr(index).endswith(": 1,498 items of 64 bits in 12 kB, 2 removed")
    pairs = HammingRetriever(paired=True).fit(codes)
    assert repr(pairs) == "HammingRetriever(paired=True): 40 items of 2 x 6 bits in 80 bytes"
    assert repr(clone(index)) == "HammingRetriever(n_neighbors=2)"


def test_an_index_that_is_not_fitted_looks_as_in_scikit_learn():
    parameters = {"radius": 4.5, "algorithm": "numpy", "n_jobs": 3, "paired": True, "nprobe": 3}
    index = HammingRetriever(3, **parameters, n_lists=55)
    assert repr(index) == (
        "HammingRetriever(algorithm='numpy', n_jobs=3, n_lists=55, n_neighbors=3,\n"
        "                 nprobe=3, paired=True, radius=4.5)"
    )
    assert "HammingRetriever" in index._repr_html_()
    assert "HammingRetriever" in fitted()._repr_html_()
    assert "HammingRetriever(n_neighbors=3)" in repr(make_pipeline(HammingRetriever(3)))


@pytest.mark.parametrize(
    ("X", "n_bits"),
    [(codes, 12), (pack_codes(codes), 16), (make_table(image=codes, text=codes), 12)],
)
def test_n_bits_is_the_length_of_a_code(X, n_bits):
    assert HammingRetriever().fit(X).n_bits_ == n_bits


def test_an_index_is_true_however_many_items_it_holds():
    assert HammingRetriever()
    assert fitted().remove(names)


def test_a_pickle_holds_no_copies():
    index = fitted().remove(names[:20])
    index.search(queries)
    assert index._dense
    copied = pickle.loads(pickle.dumps(index))
    assert not hasattr(copied, "_dense")
    pd.testing.assert_frame_equal(copied.search(queries), index.search(queries))


def test_ids_in_the_place_of_labels_are_named():
    index = HammingRetriever().fit(codes, ids=[f"{i}.jpg" for i in range(40)])
    with pytest.raises(ValueError, match=r"as ids=\.\.\.; the second argument is labels"):
        index.partial_fit(codes[:1], ["new.jpg"])
