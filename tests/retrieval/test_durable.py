"""Changes of an index that was opened with ``durable=True`` are in the folder when they return."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from skhash import make_table
from skhash.retrieval import HammingRetriever
from skhash.retrieval._journal import Journal

CODES = np.array([[0, 0, 0, 1], [0, 1, 1, 1], [1, 1, 0, 0]], dtype=bool)
IDS = ["a.jpg", "b.jpg", "ü.jpg"]
LABELS = ["cat", "dog", "fox"]


def journals(folder):
    return [path.name for path in folder.glob("journal-*.log")]


def all_of(index):
    """What is in an index: ids, labels and distances from a query, in order."""
    found = index.search(np.zeros((1, 4), dtype=bool), 100)
    return found[[*{"id", "label", "distance"} & set(found)]].to_dict("list")


@pytest.fixture
def folder(tmp_path):
    HammingRetriever().fit(CODES, LABELS, ids=IDS).save(tmp_path)
    return tmp_path


def test_each_change_is_there_when_the_index_is_opened_again(folder):
    index = HammingRetriever.open(folder, durable=True)
    for change in (
        lambda: index.partial_fit(~CODES[:2], ["cat", "a long label"], ids=["d.jpg", "e.jpg"]),
        lambda: index.remove(["a.jpg", "d.jpg"]),
        lambda: index.update(CODES[:1], ["b.jpg"]),
        lambda: index.update(CODES[1:], ["ü.jpg", "e.jpg"], ["x", "y"]),
        lambda: index.partial_fit(CODES[:1], ["owl"], ids=["a.jpg"]),
        index.compact,
        lambda: index.remove(["a.jpg"]),
    ):
        change()
        again = HammingRetriever.open(folder)
        assert all_of(again) == all_of(index)
        assert len(again) == len(index)


def test_saving_in_the_folder_ends_the_journal_and_a_new_one_begins(folder):
    index = HammingRetriever.open(folder, durable=True).remove(["a.jpg"])
    (first,) = journals(folder)
    index.save(folder)
    assert journals(folder) == []
    index.remove(["b.jpg"])
    (second,) = journals(folder)
    assert first != second
    assert all_of(HammingRetriever.open(folder))["id"] == ["ü.jpg"]


def test_saving_elsewhere_leaves_the_journal(folder, tmp_path):
    index = HammingRetriever.open(folder, durable=True).remove(["a.jpg"])
    index.save(tmp_path / "other")
    index.remove(["b.jpg"])
    assert len(HammingRetriever.open(folder)) == 1
    assert len(HammingRetriever.open(tmp_path / "other")) == 2


def test_another_index_saved_there_voids_the_journal(folder):
    index = HammingRetriever.open(folder, durable=True).remove(["a.jpg"])
    HammingRetriever().fit(CODES, LABELS, ids=IDS).save(folder)
    assert journals(folder) == []
    assert len(HammingRetriever.open(folder)) == 3
    with pytest.raises(ValueError, match="changed by another writer"):
        index.remove(["b.jpg"])
    with pytest.raises(ValueError, match="changed by another writer"):
        index.save(folder)
    assert len(index) == 2


def test_of_two_writers_the_second_is_refused_and_loses_nothing(folder):
    one, other = (HammingRetriever.open(folder, durable=True) for _ in range(2))
    one.remove(["a.jpg"])
    for change in (
        lambda: other.remove(["b.jpg"]),
        lambda: other.partial_fit(CODES[:1], ["x"], ids=["z"]),
        other.compact,
        lambda: other.save(folder),
    ):
        with pytest.raises(ValueError, match="changed by another writer since it was opened"):
            change()
        assert len(other) == 3
    HammingRetriever.open(folder, durable=True).remove(["b.jpg"])
    assert all_of(HammingRetriever.open(folder))["id"] == ["ü.jpg"]


def test_without_durable_changes_stay_in_memory(folder):
    HammingRetriever.open(folder).remove(["a.jpg"])
    assert journals(folder) == []
    assert len(HammingRetriever.open(folder)) == 3


def test_a_refused_change_is_not_written(folder):
    index = HammingRetriever.open(folder, durable=True)
    with pytest.raises(ValueError, match="ids must be new"):
        index.partial_fit(CODES[:1], ["x"], ids=["a.jpg"])
    with pytest.raises(ValueError, match="cannot be fitted again"):
        index.fit(CODES)
    assert journals(folder) == []


def test_a_change_that_cannot_be_written_is_not_made(folder, monkeypatch):
    index = HammingRetriever.open(folder, durable=True).remove(["a.jpg"])

    def full(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            index.remove(["b.jpg"])
    assert len(index) == len(HammingRetriever.open(folder)) == 2
    index.remove(["b.jpg"])
    assert len(HammingRetriever.open(folder)) == 1


def test_copies_are_not_durable(folder):
    index = HammingRetriever.open(folder, durable=True)
    pickle.loads(pickle.dumps(index)).remove(["a.jpg"])
    assert journals(folder) == []


def test_numbers_of_items_go_on(tmp_path):
    HammingRetriever().fit(CODES).save(tmp_path)
    index = HammingRetriever.open(tmp_path, durable=True)
    index.partial_fit(CODES).remove([5]).compact()
    index.partial_fit(CODES[:1])
    again = HammingRetriever.open(tmp_path)
    assert sorted(all_of(again)["id"]) == sorted(all_of(index)["id"]) == [0, 1, 2, 3, 4, 6]


def test_pairs_are_written_too(tmp_path):
    pairs = make_table(image=CODES, text=~CODES)
    HammingRetriever().fit(pairs).save(tmp_path)
    HammingRetriever.open(tmp_path, durable=True).partial_fit(pairs[1:]).remove([0])
    again = HammingRetriever.open(tmp_path)
    queries = make_table(text=CODES[1:2])
    assert again.search(queries, 2)["id"].tolist() == [1, 3]


@pytest.mark.parametrize("n_bytes", [1, 3, 8, 32])
@pytest.mark.parametrize("paired", [False, True])
def test_changes_of_memory_mapped_codes_are_written_too(tmp_path, n_bytes, paired):
    codes = np.random.default_rng(0).integers(0, 256, (6, n_bytes * (1 + paired)), dtype=np.uint8)
    np.save(tmp_path / "codes.npy", codes)
    mapped = np.load(tmp_path / "codes.npy", mmap_mode="r")
    HammingRetriever(paired=paired).fit(codes[:2]).save(tmp_path)
    HammingRetriever.open(tmp_path, durable=True).partial_fit(mapped[3:]).update(mapped[2:3], [0])
    again, expected = HammingRetriever.open(tmp_path), codes[[2, 1, 3, 4, 5]]
    expected = HammingRetriever(paired=paired).fit(expected).words_
    assert set(again.words_) == set(expected)
    for block, words in again.words_.items():
        np.testing.assert_array_equal(words, expected[block])


@pytest.mark.parametrize("own_ids", [False, True])
@pytest.mark.parametrize("n_removed", [0, 40])
def test_successive_appends_are_made_at_once(tmp_path, monkeypatch, own_ids, n_removed):
    rng = np.random.default_rng(0)
    codes = rng.random((120, 20)) < 0.5
    names = np.array([f"{row}{'.jpg' * (row // 50)}" for row in range(120)])
    vectors = rng.random((120, 3)).astype(np.float32)

    def some(start, stop):
        ids = names[start:stop] if own_ids else None
        return {"y": names[start:stop], "ids": ids, "vectors": vectors[start:stop]}

    HammingRetriever().fit(codes[:50], **some(0, 50)).save(tmp_path)
    index = HammingRetriever.open(tmp_path, durable=True)
    index.remove((names if own_ids else np.arange(50))[:n_removed])
    for start in range(50, 110, 3):  # the index doubles: its lists would be trained anew
        index.partial_fit(codes[start : start + 3], **some(start, start + 3))
    index.update(codes[:3], (names if own_ids else np.arange(120))[60:63], vectors=vectors[:3])
    index.partial_fit(codes[110:], **some(110, 120))
    appends = []
    append = HammingRetriever._append

    def counted(self, **arrays):
        appends.append(arrays)
        append(self, **arrays)

    monkeypatch.setattr(HammingRetriever, "_append", counted)
    again = HammingRetriever.open(tmp_path)
    assert len(appends) == 2
    assert again._n_trained == index._n_trained > 50
    for name in ("words_", "y_", "vectors_", "_keep", "ids_"):
        np.testing.assert_equal(getattr(again, name), getattr(index, name))
    assert (len(again), again._ids.n_added) == (len(index), index._ids.n_added)


STRANGE = {
    "another type of ids": {"ids": np.array([7])},
    "no ids": {"ids": None},
    "another number of ids": {"ids": np.array(["x", "z"])},
    "another type of labels": {"y": np.array([7])},
    "an id in use": {"ids": np.array(["d.jpg"])},
}


@pytest.mark.parametrize("strange", STRANGE)
def test_appended_records_that_do_not_fit_each_other_are_damage(folder, strange):
    arrays = {"codes": np.zeros((1, 1), np.uint8), "y": np.array(["x"]), "ids": np.array(["z"])}
    index = HammingRetriever.open(folder, durable=True)
    index.partial_fit(CODES[:1], ["x"], ids=["d.jpg"])
    arrays = {
        name: array for name, array in (arrays | STRANGE[strange]).items() if array is not None
    }
    index._journal.append("append", arrays)
    with pytest.raises(ValueError, match=r"journal-.* is damaged or was changed"):
        HammingRetriever.open(folder)


@pytest.mark.parametrize(
    "record",
    [
        ("append", {"codes": np.zeros((1, 1), np.uint64), "y": np.array(["x"])}),
        ("append", {"codes": np.zeros((1, 1), np.uint8), "y": np.array(["x"])}),  # no ids
        ("append", {"ids": np.array(["x"]), "y": np.array(["x"])}),
        ("update", {"codes": np.zeros((2, 1), np.uint8), "ids": np.array(["a.jpg"])}),
        ("remove", {"ids": np.array(["unknown"])}),
        ("remove", {"rows": np.array([0])}),
    ],
)
def test_a_record_that_does_not_fit_the_index_is_damage(folder, record):
    HammingRetriever.open(folder, durable=True)._journal.append(*record)
    with pytest.raises(ValueError, match=r"journal-.* is damaged or was changed"):
        HammingRetriever.open(folder)


def test_an_index_saved_while_it_is_opened_is_opened_with_its_journal(folder, monkeypatch):
    read, calls = Journal.read, []

    def slow_read(journal):
        calls.append(journal.state)
        if len(calls) == 1:  # between the arrays and the journal, which the save deletes
            changed = HammingRetriever.open(folder, durable=True)
            changed.remove(["a.jpg"]).save(folder)
            changed.remove(["b.jpg"])
        return read(journal)

    HammingRetriever.open(folder, durable=True).update(CODES[:1], ["a.jpg"])
    monkeypatch.setattr(Journal, "read", slow_read)
    assert all_of(HammingRetriever.open(folder))["id"] == ["ü.jpg"]


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["append", "remove", "update", "compact", "open"]),
        hnp.arrays(bool, (3, 4)),
        st.sets(st.integers(0, 8), min_size=1, max_size=3),
    ),
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(CHANGES)
def test_any_sequence_of_changes_is_there_again(tmp_path_factory, changes):
    folder = tmp_path_factory.mktemp("index")
    held = {0: CODES[0]}
    HammingRetriever().fit(CODES[:1], ids=[0]).save(folder)
    index = HammingRetriever.open(folder, durable=True)
    for kind, codes, ids in changes:
        new, old = sorted(ids - held.keys()), sorted(ids & held.keys())
        if kind == "append" and new:
            index.partial_fit(codes[: len(new)], ids=new)
            held |= dict(zip(new, codes, strict=False))
        elif kind == "update" and old:
            index.update(codes[: len(old)], old)
            held |= dict(zip(old, codes, strict=False))
        elif kind == "remove" and old:
            index.remove(old)
            held = {key: code for key, code in held.items() if key not in old}
        elif kind == "compact":
            index.compact()
        elif kind == "open":
            index = HammingRetriever.open(folder, durable=True)
        found = HammingRetriever.open(folder).search(CODES[:1], 10)
        distances = {key: int((code != CODES[0]).sum()) for key, code in held.items()}
        assert dict(zip(found["id"], found["distance"], strict=True)) == distances


FLOATS = [np.float16, np.float32, np.float64]


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("given", FLOATS)
@pytest.mark.parametrize("held", FLOATS)
def test_vectors_of_another_type_are_there_again(tmp_path, held, given, paired):
    codes = make_table(image=CODES, text=~CODES) if paired else CODES
    vectors = np.random.default_rng(0).normal(size=(3, 6))
    np.save(tmp_path / "vectors.npy", vectors.astype(held))
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    HammingRetriever(rerank="vectors").fit(codes, vectors=mapped).save(tmp_path / "index")
    index = HammingRetriever.open(tmp_path / "index", durable=True)
    new = (10 * vectors).astype(given)
    index.partial_fit(codes, vectors=new).update(codes[:1], [1], vectors=new[:1])
    again = HammingRetriever.open(tmp_path / "index")
    assert again.vectors_.dtype == index.vectors_.dtype == held
    np.testing.assert_array_equal(again.vectors_, index.vectors_)
    np.testing.assert_allclose(again.vectors_[3:], new.astype(held), rtol=1e-6)  # by float32


def test_a_folder_that_is_gone_is_named(folder):
    index = HammingRetriever.open(folder, durable=True)
    folder.rename(folder.with_name("elsewhere"))
    with pytest.raises(FileNotFoundError, match="is gone: save the index in a new folder"):
        index.remove(["a.jpg"])
