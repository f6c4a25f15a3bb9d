import json
import os
import subprocess
import sys
import threading
import tracemalloc
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from skhash import __version__
from skhash.retrieval import HammingRetriever, _rows, _store_write


def random_bits(n_samples, n_bits=20, seed=0):
    return np.random.default_rng(seed).random((n_samples, n_bits)) < 0.5


codes, queries = random_bits(50), random_bits(6, seed=1)
index_a = HammingRetriever(1).fit(codes, np.arange(50))
index_b = HammingRetriever(2).fit(random_bits(70, 90))


def opened(folder):
    """Return which of the two known indexes a folder holds, all of it checked."""
    index = HammingRetriever.open(folder, verify=True)
    for name, known in (("a", index_a), ("b", index_b)):
        if index.get_params() == known.get_params():
            np.testing.assert_array_equal(index.words_["codes"], known.words_["codes"])
            np.testing.assert_array_equal(index.y_, known.y_)
            return name
    raise AssertionError("neither index")


def files(folder):
    return sorted(path.name for path in folder.iterdir())


# What is written


def test_index_json_is_as_specified(tmp_path):
    HammingRetriever(np.int64(3), radius=np.float64(1.5)).fit(codes, list("ab" * 25)).save(tmp_path)
    document = json.loads((tmp_path / "index.json").read_text())
    assert list(document) == [
        "format",
        "version",
        "written_by",
        "parameters",
        "n_samples_fit_",
        "n_features_in_",
        "paired_",
        "packed_",
        "n_trained",
        "feature_names_in_",
        "own_ids",
        "n_added",
        "arrays",
        "sha256",
    ]
    assert document["format"] == "skhash.HammingRetriever"
    assert (document["version"], document["written_by"]) == (2, __version__)
    assert document["parameters"]["n_neighbors"] == 3
    assert document["parameters"]["radius"] == 1.5
    assert list(document["arrays"]) == ["codes", "y"]
    for entry in document["arrays"].values():
        path = tmp_path / entry["file"]
        array = np.load(path)
        assert (list(array.shape), array.dtype.str) == (entry["shape"], entry["dtype"])
        assert path.stat().st_size == entry["bytes"]
    assert files(tmp_path) == sorted(
        ["index.json", *(entry["file"] for entry in document["arrays"].values())]
    )


def test_words_lie_as_specified(tmp_path):
    bits = random_bits(5, 70)
    HammingRetriever().fit(bits).save(tmp_path)
    words = np.load(next(tmp_path.glob("codes-*")))
    packed = np.packbits(bits, axis=1, bitorder="little")
    for code in range(5):
        low = int.from_bytes(packed[code, :8].tobytes(), "little")
        assert words[:, code].tolist() == [low, int(packed[code, 8])]


@pytest.mark.parametrize("part", [1, 7, 1 << 20])
def test_words_are_written_in_parts(tmp_path, monkeypatch, part):
    monkeypatch.setattr(_rows, "_PART", part)
    index_b.save(tmp_path)
    assert opened(tmp_path) == "b"


@pytest.mark.parametrize("n_bytes", [8, 9])
def test_codes_of_a_map_are_saved_without_a_copy(tmp_path, monkeypatch, n_bytes):
    monkeypatch.setattr(_rows, "_PART", 1 << 12)
    packed = np.random.default_rng(0).integers(0, 256, (1 << 17, n_bytes), dtype=np.uint8)
    packed.tofile(tmp_path / "codes")
    mapped = np.memmap(tmp_path / "codes", dtype=np.uint8, mode="r", shape=packed.shape)
    index = HammingRetriever().fit(mapped)
    tracemalloc.start()
    try:
        index.save(tmp_path / "index")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < packed.nbytes / 2
    found = HammingRetriever.open(tmp_path / "index").kneighbors(packed[:3])
    np.testing.assert_array_equal(found, index.kneighbors(packed[:3]))


@pytest.mark.parametrize(
    "y",
    [
        np.arange(50),
        np.arange(50, dtype=np.uint8),
        np.arange(50) / 3,
        np.arange(50) % 2 == 0,
        np.array([b"a", b"bcd"] * 25),
        np.array(["a", "bé"] * 25),
        np.array(["2020-01-01", "1999-12-31"] * 25, dtype="datetime64[D]"),
        np.eye(50, 3),
        np.asfortranarray(np.arange(150).reshape(50, 3)),
        np.empty((50, 0)),
    ],
    ids=lambda y: f"{y.dtype}-{y.ndim}",
)
@pytest.mark.parametrize("part", [1, 1 << 20])
def test_labels_come_back_equal(tmp_path, monkeypatch, y, part):
    monkeypatch.setattr(_rows, "_PART", part)
    HammingRetriever().fit(codes, y).save(tmp_path)
    found = HammingRetriever.open(tmp_path).y_
    assert found.dtype == y.dtype
    np.testing.assert_array_equal(found, y)


def test_strings_that_are_objects_become_strings_of_fixed_width(tmp_path):
    y = np.array(["cat", "a dog"] * 25, dtype=object)
    HammingRetriever().fit(codes, y).save(tmp_path)
    found = HammingRetriever.open(tmp_path).y_
    assert found.dtype == "<U5"
    np.testing.assert_array_equal(found, y)


@pytest.mark.parametrize("other", [1, "zero\0"], ids=repr)
def test_labels_that_need_a_pickle_are_an_error(tmp_path, other):
    index = HammingRetriever().fit(codes, ["a"] * 50)
    index.y_ = np.array(["a"] * 49 + [other], dtype=object)  # fit refuses them
    message = "labels of dtype object that are not all strings cannot be saved: give numbers, bool"
    with pytest.raises(ValueError, match=message):
        index.save(tmp_path / "index")
    assert not (tmp_path / "index").exists()


def test_a_parameter_that_is_no_json_is_an_error(tmp_path):
    index = HammingRetriever().fit(codes).set_params(verbose={1})
    with pytest.raises(
        ValueError, match=r"a parameter cannot be saved, \{1\} is not valid JSON: set it"
    ):
        index.save(tmp_path / "index")
    assert not (tmp_path / "index").exists()


def test_a_parameter_that_is_a_list_is_an_error(tmp_path):
    index = HammingRetriever().fit(codes).set_params(verbose=[1])
    with pytest.raises(ValueError, match="verbose cannot be saved, it is a list: set it to a numb"):
        index.save(tmp_path / "index")
    assert not (tmp_path / "index").exists()


def test_an_index_that_is_not_fitted_cannot_be_saved(tmp_path):
    with pytest.raises(NotFittedError):
        HammingRetriever().save(tmp_path)


def test_an_index_json_of_something_else_is_not_overwritten(tmp_path):
    (tmp_path / "index.json").write_text('{"name": "a web page"}')
    with pytest.raises(
        ValueError, match=r"is not an index of HammingRetriever.*save into a new one"
    ):
        index_a.save(tmp_path)
    assert files(tmp_path) == ["index.json"]


# Over an older one


def test_the_new_index_takes_the_place_of_the_old(tmp_path):
    index_a.save(str(tmp_path))
    index_b.save(tmp_path)
    assert opened(tmp_path) == "b"
    assert len(files(tmp_path)) == 2


def test_other_files_are_left_alone(tmp_path):
    others = ["codes-1.npy", "codes.npy", "notes.txt", "z-0123456789abcdef.npy"]
    for name in others:
        (tmp_path / name).write_text("mine")
    index_b.save(tmp_path)
    index_b.save(tmp_path)
    assert set(others) < set(files(tmp_path))
    assert len(files(tmp_path)) == len(others) + 2


def test_links_in_the_way_are_neither_followed_nor_deleted(tmp_path):
    index_a.save(tmp_path / "index")
    thesis = tmp_path / "thesis"
    thesis.write_text("years of work")
    links = [tmp_path / "index" / name for name in ("index.json.tmp", "codes-0.npy.tmp")]
    for link in links:
        link.symlink_to(thesis)
    index_b.save(tmp_path / "index")
    assert opened(tmp_path / "index") == "b"
    assert thesis.read_text() == "years of work"
    assert all(link.is_symlink() for link in links)


def test_an_index_json_that_is_a_link_is_replaced(tmp_path):
    index_a.save(tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "index.json").symlink_to(tmp_path / "a" / "index.json")
    index_b.save(tmp_path / "b")
    assert (opened(tmp_path / "a"), opened(tmp_path / "b")) == ("a", "b")


def test_an_index_can_be_saved_where_it_is_open(tmp_path):
    index_a.save(tmp_path)
    index = HammingRetriever.open(tmp_path)
    index.save(tmp_path)
    assert opened(tmp_path) == "a"
    np.testing.assert_array_equal(index.kneighbors(queries), index_a.kneighbors(queries))
    index.set_params(n_neighbors=2).partial_fit(queries, np.arange(6)).save(tmp_path)
    assert HammingRetriever.open(tmp_path).n_samples_fit_ == 56


def test_who_has_the_old_index_open_keeps_it(tmp_path):
    index_a.save(tmp_path)
    index = HammingRetriever.open(tmp_path)
    index_b.save(tmp_path)
    np.testing.assert_array_equal(index.kneighbors(queries), index_a.kneighbors(queries))


def test_writers_wait_for_each_other(tmp_path):
    def save(index):
        for _ in range(5):
            index.save(tmp_path)

    writers = [threading.Thread(target=save, args=(index,)) for index in (index_a, index_b)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(files(tmp_path)) == {"a": 3, "b": 2}[opened(tmp_path)]


# Crashes


class Crash(BaseException):
    """What no code catches."""


class Machine:
    """Let so many steps of a save happen, then none any more."""

    def __init__(self, monkeypatch, n_steps):
        self.left = n_steps
        for place, name in (
            (os, "fsync"),
            (os, "replace"),
            (Path, "unlink"),
            (Path, "open"),
            (_store_write.np.lib.format, "write_array_header_1_0"),
        ):
            monkeypatch.setattr(place, name, self.step(getattr(place, name)))

    def step(self, action):
        def act(*arguments, **options):
            self.left -= 1
            if self.left < 0:
                raise Crash
            return action(*arguments, **options)

        return act


def test_a_crash_at_any_step_leaves_the_old_index_or_the_new(tmp_path):
    seen = []
    for n_steps in range(100):
        folder = tmp_path / str(n_steps)
        index_a.save(folder)
        with pytest.MonkeyPatch.context() as patch:
            machine = Machine(patch, n_steps)
            with suppress(Crash):
                index_b.save(folder)
        seen.append(opened(folder))
        index_a.save(folder)
        assert len(files(folder)) == 3  # nothing of the crash is left
        if machine.left >= 0:
            break
    assert seen == sorted(seen)  # once new, always new
    assert Counter(seen)["a"] > 5
    assert Counter(seen)["b"] > 2


def test_a_crash_of_the_first_save_leaves_none(tmp_path):
    for n_steps in range(6):
        with pytest.MonkeyPatch.context() as patch:
            Machine(patch, n_steps)
            with pytest.raises(Crash):
                index_b.save(tmp_path)
        with pytest.raises(FileNotFoundError, match=r"holds no index\.json"):
            HammingRetriever.open(tmp_path)
    index_b.save(tmp_path)
    assert len(files(tmp_path)) == 2


def test_a_full_disk_leaves_the_old_index_and_nothing_else(tmp_path, monkeypatch):
    index_a.save(tmp_path)
    before = files(tmp_path)

    def full(*arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(_store_write, "_write_words", full)
        with pytest.raises(OSError, match="No space left"):
            index_b.save(tmp_path)
    assert files(tmp_path) == before
    assert opened(tmp_path) == "a"


KILLS = """
import os, random, signal, sys, time

import numpy as np
from skhash.retrieval import HammingRetriever

folder, *known = sys.argv[1:]
known = [HammingRetriever.open(path) for path in known]

def found():
    index = HammingRetriever.open(folder, verify=True)
    return [
        number
        for number, other in enumerate(known)
        if index.get_params() == other.get_params()
        and np.array_equal(index.words_["codes"], other.words_["codes"])
        and np.array_equal(index.y_, other.y_)
    ]

known[0].save(folder)
for _ in range(15):
    child = os.fork()
    while not child:
        for index in known:
            index.save(folder)
    time.sleep(random.uniform(0, 0.05))
    between = found()
    os.kill(child, signal.SIGKILL)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    print(*between, *found())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_killed_save_leaves_one_of_the_two_indexes(tmp_path):
    for name, index in (("a", index_a), ("b", index_b)):
        index.save(tmp_path / name)
    folders = [tmp_path / name for name in ("index", "a", "b")]
    # A process of its own: one with threads should not fork.
    done = subprocess.run(
        [sys.executable, "-c", KILLS, *folders], capture_output=True, text=True, check=True
    )
    outcomes = [line.split() for line in done.stdout.splitlines()]
    assert len(outcomes) == 15
    assert all(len(line) == 2 and set(line) <= {"0", "1"} for line in outcomes)


def test_a_file_in_place_of_the_folder_is_refused_and_kept(tmp_path):
    (tmp_path / "index").write_text("mine")
    with pytest.raises(ValueError, match="index is a file: give a folder"):
        index_a.save(tmp_path / "index")
    assert (tmp_path / "index").read_text() == "mine"
