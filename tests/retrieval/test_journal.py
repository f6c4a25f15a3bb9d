"""The journal of a saved index: what is acknowledged is read, what is torn is not."""

import json

import numpy as np
import pytest

from skhash.retrieval import HammingRetriever
from skhash.retrieval._journal import Journal, journal_name
from skhash.retrieval._store import FORMAT

STATE = "0123456789abcdef" * 4
RECORDS = [
    ("append", {"codes": np.arange(3, dtype=np.uint64)[None], "ids": np.array(["a", "b", "ü"])}),
    ("remove", {"ids": np.array(["b"])}),
    ("update", {"codes": np.array([[9]], np.uint64), "ids": np.array(["a"]), "y": np.eye(1)}),
]


@pytest.fixture
def journal(tmp_path):
    (tmp_path / "index.json").write_text(json.dumps({"format": FORMAT, "sha256": STATE}))
    return Journal(tmp_path, STATE)


def write(journal, records=RECORDS):
    for record in records:
        journal = journal.append(*record)
    return journal


def assert_equal(found, expected):
    assert [operation for operation, _ in found] == [operation for operation, _ in expected]
    for (_, arrays), (_, given) in zip(found, expected, strict=True):
        assert arrays.keys() == given.keys()
        for name, array in given.items():
            assert arrays[name].dtype == array.dtype
            np.testing.assert_array_equal(arrays[name], array)


def test_records_are_read_as_they_were_written(journal):
    written = write(journal)
    found, end = journal.read()
    assert_equal(found, RECORDS)
    assert end == written
    assert written.path.name == journal_name(STATE)


def test_without_a_file_there_are_no_records(journal):
    assert journal.read() == ([], journal)


def test_reading_goes_on_behind_what_was_read(journal):
    first = write(journal, RECORDS[:1])
    write(first, RECORDS[1:])
    assert_equal(first.read()[0], RECORDS[1:])


@pytest.mark.parametrize("zeros", [False, True], ids=["cut", "zeros"])
def test_a_torn_record_is_not_read_and_is_overwritten(journal, zeros):
    first = write(journal, RECORDS[:1])
    write(first, RECORDS[1:2])
    content = journal.path.read_bytes()
    for end in range(first.end + 12 if zeros else 0, len(content) - 3):  # 3 are zeros themselves
        journal.path.write_bytes(content[:end] + bytes(zeros * (len(content) - end)))
        found, seen = journal.read()
        assert_equal(found, RECORDS[: end >= first.end])
        write(seen, RECORDS[2:])
        assert_equal(journal.read()[0], [*RECORDS[: end >= first.end], RECORDS[2]])


def test_zeros_alone_hold_no_record(journal):
    journal.path.write_bytes(bytes(500))
    assert journal.read() == ([], journal)


def test_a_change_before_the_last_record_is_damage(journal):
    end = write(journal, RECORDS[:2]).end
    write(journal.read()[1], RECORDS[2:])
    content = bytearray(journal.path.read_bytes())
    rng = np.random.default_rng(0)
    for place in [*range(60), *rng.integers(60, end, 60)]:
        changed = content.copy()
        changed[place] ^= 1 + rng.integers(255)
        journal.path.write_bytes(changed)
        with pytest.raises(ValueError, match="is damaged or was changed"):
            journal.read()


def test_a_journal_of_another_state_is_not_read(journal):
    write(journal)
    other = "f" * 64
    journal.path.rename(journal.folder / journal_name(other))
    with pytest.raises(ValueError, match="is damaged or was changed"):
        Journal(journal.folder, other).read()


@pytest.mark.parametrize(
    "line",
    [
        {"operation": "run", "arrays": []},
        {"operation": "append", "arrays": [["codes", "|O", [1]]]},
        {"operation": "append", "arrays": [["codes", "<u8", [-1]]]},
        {"operation": "append", "arrays": [["codes", "<u8", [2]]]},
        {"operation": "append", "arrays": [["codes", "nothing", [1]]]},
        {"operation": "append", "arrays": 3},
        [],
    ],
)
def test_a_record_of_strange_content_is_refused(journal, monkeypatch, line):
    content = json.dumps(line).encode() + b"\n" + bytes(8)
    monkeypatch.setattr("skhash.retrieval._journal._encode", lambda *_: content)
    write(journal, RECORDS[:1])
    with pytest.raises(ValueError, match="is damaged or was changed"):
        journal.read()


def test_two_writers_refuse_each_other(journal):
    one, other = write(journal, RECORDS[:1]), journal
    with pytest.raises(ValueError, match="changed by another writer"):
        other.append(*RECORDS[1])
    _, other = other.read()
    other.append(*RECORDS[1])
    with pytest.raises(ValueError, match="open it again"):
        one.append(*RECORDS[2])
    assert_equal(journal.read()[0], RECORDS[:2])


def test_a_writer_refuses_when_another_index_was_saved(journal):
    seen = write(journal, RECORDS[:1])
    (journal.folder / "index.json").write_text(json.dumps({"format": FORMAT, "sha256": "e" * 64}))
    with pytest.raises(ValueError, match="changed by another writer"):
        seen.append(*RECORDS[1])


def test_a_failed_write_leaves_the_journal_as_it_was(journal, monkeypatch):
    seen = write(journal, RECORDS[:1])

    def full(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            seen.append(*RECORDS[1])
    assert journal.path.stat().st_size == seen.end
    write(seen, RECORDS[1:])
    assert_equal(journal.read()[0], RECORDS)


@pytest.mark.parametrize(
    "labels",
    [
        [np.array([1]), np.array([2], dtype=np.uint8), np.array([3], dtype=np.int16)],
        [np.array([[1, 0]]), np.array([[True, False]]), np.array([[0.0, 1.0]])],
        [np.array(["a"]), np.array(["a longer one"]), np.array(["b"])],
    ],
)
def test_successive_appends_of_several_types_are_replayed(labels, tmp_path):
    code = np.ones((1, 8), dtype=bool)
    HammingRetriever().fit(code, y=labels[0]).save(tmp_path / "index")
    index = HammingRetriever.open(tmp_path / "index", durable=True)
    for y in [*labels[1:], *labels]:
        index.partial_fit(code, y=y)
    opened = HammingRetriever.open(tmp_path / "index")
    assert opened.y_.dtype == index.y_.dtype
    np.testing.assert_array_equal(opened.y_, index.y_)
