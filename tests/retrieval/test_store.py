import contextlib
import json
import os
import pickle
import shutil
import socket

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from skhash import make_table
from skhash.codes import convert_codes
from skhash.retrieval import HammingRetriever, _store


def random_bits(n_samples, n_bits=20, seed=0):
    return np.random.default_rng(seed).random((n_samples, n_bits)) < 0.5


codes, queries, labels = random_bits(50), random_bits(6, seed=1), np.arange(50) % 4
FILE = "*-*.npy"
N_DAMAGED = 300


@pytest.fixture
def folder(tmp_path):
    """Return the folder of a saved index."""
    HammingRetriever(n_neighbors=3).fit(codes, labels).save(tmp_path / "index")
    return tmp_path / "index"


def rewrite(folder, **entries):
    """Change entries of index.json, with a checksum that fits."""
    document = json.loads((folder / "index.json").read_text())
    document |= entries
    document["sha256"] = _store.checksum(document)
    (folder / "index.json").write_text(json.dumps(document))


def large(folder, n_samples=1 << 17):
    """Save an index of more than the blocks that are sampled."""
    packed = np.random.default_rng(0).integers(0, 256, (n_samples, 8), dtype=np.uint8)
    HammingRetriever().fit(packed).save(folder)
    return next(folder.glob("codes-*"))


def flip(path, position):
    """Change one byte of a file."""
    with path.open("r+b") as file:
        file.seek(position)
        byte = file.read(1)[0]
        file.seek(position)
        file.write(bytes([byte ^ 1]))


# What comes back


@pytest.mark.parametrize("mmap_mode", ["r", None])
@pytest.mark.parametrize("form", ["bits", "packed", "signs", "real"])
def test_an_opened_index_answers_as_the_saved_one(tmp_path, form, mmap_mode):
    X, Q = convert_codes(codes, form), convert_codes(queries, form)
    index = HammingRetriever(n_neighbors=3, radius=7.5, n_jobs=2, nprobe=4).fit(X, labels)
    index.save(tmp_path)
    opened = HammingRetriever.open(tmp_path, mmap_mode=mmap_mode)
    assert opened.get_params() == index.get_params()
    for name in ("n_samples_fit_", "n_features_in_", "paired_", "packed_"):
        assert getattr(opened, name) == getattr(index, name)
    for X in (Q, None):
        np.testing.assert_array_equal(opened.kneighbors(X), index.kneighbors(X))
        for one, other in zip(opened.radius_neighbors(X), index.radius_neighbors(X), strict=True):
            assert [line.tolist() for line in one] == [line.tolist() for line in other]
    assert (opened.kneighbors_graph(Q) != index.kneighbors_graph(Q)).nnz == 0
    np.testing.assert_array_equal(opened.predict(Q), index.predict(Q))
    assert opened.score(Q, labels[:6]) == index.score(Q, labels[:6])
    assert opened.recall_against_exact(Q) == 1


@pytest.mark.parametrize("n_bits", [1, 8, 9, 16, 30, 64, 65, 4096])
def test_codes_of_any_length_come_back(tmp_path, n_bits):
    index = HammingRetriever().fit(random_bits(20, n_bits))
    index.save(tmp_path)
    np.testing.assert_array_equal(
        HammingRetriever.open(tmp_path).words_["codes"], index.words_["codes"]
    )


def test_pairs_come_back(tmp_path):
    pairs = make_table(image=codes, text=random_bits(50, seed=2))
    index = HammingRetriever().fit(pairs)
    index.save(tmp_path)
    opened = HammingRetriever.open(tmp_path)
    assert opened.score(pairs) == index.score(pairs)
    X = make_table(text=queries)
    np.testing.assert_array_equal(opened.kneighbors(X), index.kneighbors(X))


def test_names_of_columns_come_back(tmp_path):
    X = pd.DataFrame(codes, columns=[f"bit-é-{bit}" for bit in range(20)])
    index = HammingRetriever().fit(X)
    index.save(tmp_path)
    opened = HammingRetriever.open(tmp_path)
    np.testing.assert_array_equal(opened.feature_names_in_, index.feature_names_in_)
    with pytest.raises(ValueError, match="feature names should match"):
        opened.kneighbors(X.rename(columns={"bit-é-0": "other"}))


@pytest.mark.parametrize("mmap_mode", ["r", None])
def test_arrays_are_mapped_read_only_or_read(folder, mmap_mode):
    opened = HammingRetriever.open(folder, mmap_mode=mmap_mode)
    for array in (opened.words_["codes"], opened.y_):
        assert isinstance(array, np.memmap) == (mmap_mode == "r")
        assert array.flags.writeable == (mmap_mode is None)


@pytest.mark.parametrize(
    "copy", [lambda index: pickle.loads(pickle.dumps(index)), lambda index: clone(index).fit(codes)]
)
def test_an_opened_index_can_be_copied(folder, copy):
    opened = HammingRetriever.open(folder)
    found = opened.kneighbors(queries)
    copied = copy(opened)
    shutil.rmtree(folder)
    np.testing.assert_array_equal(copied.kneighbors(queries), found)


def test_codes_can_be_appended_to_an_opened_index(folder):
    opened = HammingRetriever.open(folder).partial_fit(queries, labels[:6])
    assert opened.words_["codes"].flags.writeable
    index = HammingRetriever(n_neighbors=3).fit(codes, labels).partial_fit(queries, labels[:6])
    np.testing.assert_array_equal(opened.kneighbors(queries), index.kneighbors(queries))
    np.testing.assert_array_equal(opened.y_, index.y_)


def test_an_opened_index_is_sorted_into_lists_again(tmp_path):
    pytest.importorskip("faiss")
    index = HammingRetriever(algorithm="faiss-ivf", n_lists=6, nprobe=2).fit(codes)
    index.save(tmp_path)
    opened = HammingRetriever.open(tmp_path)
    np.testing.assert_array_equal(opened.kneighbors(queries), index.kneighbors(queries))


def test_a_save_between_two_reads_is_noticed(folder, monkeypatch):
    read = _store._read_arrays

    def late(*arguments):
        monkeypatch.setattr(_store, "_read_arrays", read)
        HammingRetriever().fit(codes[:9]).save(folder)  # deletes what is to be read
        return read(*arguments)

    monkeypatch.setattr(_store, "_read_arrays", late)
    assert HammingRetriever.open(folder).n_samples_fit_ == 9


# Checks of the content


def test_a_change_of_any_byte_of_a_small_index_is_seen(folder):
    for path in folder.glob(FILE):
        for position in (0, 90, path.stat().st_size - 1):
            flip(path, position)
            with pytest.raises(ValueError, match=rf"{path.name} is damaged or was changed"):
                HammingRetriever.open(folder)
            flip(path, position)
    HammingRetriever.open(folder)


@pytest.mark.parametrize("position", [128, -1])
def test_samples_see_the_ends_of_a_large_index(tmp_path, monkeypatch, position):
    monkeypatch.setattr(_store, "_WHOLE", 1 << 19)
    path = large(tmp_path)
    flip(path, position % path.stat().st_size)
    with pytest.raises(ValueError, match="is damaged or was changed"):
        HammingRetriever.open(tmp_path)


@pytest.mark.parametrize("options", [{"verify": True}, {"mmap_mode": None}])
def test_a_change_between_the_samples_needs_the_whole_check(tmp_path, monkeypatch, options):
    monkeypatch.setattr(_store, "_WHOLE", 1 << 19)
    flip(large(tmp_path), 4500)
    HammingRetriever.open(tmp_path)
    with pytest.raises(ValueError, match="is damaged or was changed"):
        HammingRetriever.open(tmp_path, **options)


def test_the_samples_are_those_of_the_specification(tmp_path):
    path = large(tmp_path)
    content = path.read_bytes()
    starts = [block * (len(content) - 4096) // 63 for block in range(64)]
    assert starts[-1] == len(content) - 4096
    blocks = b"".join(content[start : start + 4096] for start in starts)
    entry = json.loads((tmp_path / "index.json").read_text())["arrays"]["codes"]
    assert entry["sampled_sha256"] == _store.hashlib.sha256(blocks).hexdigest()
    assert entry["sha256"] == _store.hashlib.sha256(content).hexdigest()


def test_sizes_alone_do_not_see_a_change_of_the_content(folder):
    flip(next(folder.glob("codes-*")), 150)
    assert HammingRetriever.open(folder, verify=False).n_samples_fit_ == 50


@pytest.mark.parametrize("verify", [True, False, None])
def test_a_header_that_differs_is_seen(folder, verify):
    path = next(folder.glob("y-*"))
    path.write_bytes(path.read_bytes().replace(b"(50,)", b"(49,)"))
    with pytest.raises(ValueError, match="is damaged or was changed: save the index again"):
        HammingRetriever.open(folder, verify=verify)


@pytest.mark.parametrize("verify", [True, False, None])
@pytest.mark.parametrize("share", [0, 0.5])
def test_a_truncated_array_is_an_error(folder, verify, share):
    path = next(folder.glob("codes-*"))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    message = f"is truncated or of another size, got .* instead of {len(content)}: save"
    with pytest.raises(ValueError, match=message):
        HammingRetriever.open(folder, verify=verify)


def test_a_missing_array_is_an_error(folder):
    next(folder.glob("y-*")).unlink()
    with pytest.raises(ValueError, match=r"y-\w+\.npy is missing: save the index again, or copy"):
        HammingRetriever.open(folder)


def test_an_array_of_objects_is_not_unpickled(folder, monkeypatch):
    path = next(folder.glob("y-*"))
    np.save(path, np.array([print] * 50), allow_pickle=True)
    document = json.loads((folder / "index.json").read_text())
    document["arrays"]["y"] |= {"bytes": path.stat().st_size, "dtype": "|O"}
    rewrite(folder, arrays=document["arrays"])
    with pytest.raises(ValueError, match="is damaged or was changed"):
        HammingRetriever.open(folder, verify=False)


def damage(rng, content):
    """Flip a bit, cut the end off, cut something out, or put bytes in."""
    start, stop = sorted(rng.integers(len(content), size=2).tolist())
    kind = rng.integers(4)
    if kind == 0:
        flipped = bytes([content[start] ^ (1 << int(rng.integers(8)))])
        return content[:start] + flipped + content[start + 1 :]
    if kind == 1:
        return content[:start]
    if kind == 2:
        return content[:start] + content[stop:]
    return content[:start] + rng.bytes(int(rng.integers(1, 20))) + content[start:]


@pytest.mark.parametrize("verify", [True, False, None])
def test_a_damaged_file_is_an_error_of_one_kind(tmp_path, verify):
    rng = np.random.default_rng(0)
    index = HammingRetriever(n_neighbors=3).fit(codes, labels)
    index.save(tmp_path)
    answers = index.kneighbors(queries)
    contents = {path: path.read_bytes() for path in tmp_path.iterdir()}
    n_refused = 0
    for _ in range(N_DAMAGED):
        path = sorted(contents)[rng.integers(len(contents))]
        path.write_bytes(damage(rng, contents[path]))
        try:
            opened = HammingRetriever.open(tmp_path, verify=verify)
            found = opened.kneighbors(queries)
        except (ValueError, FileNotFoundError):
            n_refused += 1
        else:
            if verify is not False:
                np.testing.assert_array_equal(found, answers)
                np.testing.assert_array_equal(opened.y_, labels)
        path.write_bytes(contents[path])
    assert n_refused > N_DAMAGED / 2


def test_a_file_that_its_checksum_refuses_is_not_parsed(folder, monkeypatch):
    path = next(folder.glob("codes-*"))
    flip(path, -1 % path.stat().st_size)
    for name in ("load", "memmap", "fromfile"):
        monkeypatch.setattr(np, name, None)
    for mmap_mode in ("r", None):
        with pytest.raises(ValueError, match="is damaged or was changed"):
            HammingRetriever.open(folder, mmap_mode=mmap_mode)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("name", ["index.json", "codes-*", "y-*"])
@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "folder"])
def test_what_is_no_regular_file_is_refused_at_once(folder, name, kind):
    path = next(folder.glob(name))
    path.unlink()
    with contextlib.ExitStack() as stack:
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "device":
            path.symlink_to("/dev/zero")
        elif kind == "folder":
            path.mkdir()
        else:
            stack.enter_context(contextlib.chdir(folder))  # a name of a socket must be short
            stack.enter_context(socket.socket(socket.AF_UNIX)).bind(path.name)
        with pytest.raises(
            ValueError, match=r"not a regular file|is not an index of HammingRetriever"
        ):
            HammingRetriever.open(folder)


# Checks of index.json


@pytest.mark.parametrize("where", ["nowhere", "."])
def test_a_folder_without_an_index_is_an_error(tmp_path, where):
    with pytest.raises(FileNotFoundError, match=r"holds no index\.json: give a folder that"):
        HammingRetriever.open(tmp_path / where)


def test_a_file_is_no_folder(folder):
    with pytest.raises(FileNotFoundError, match=r"holds no index\.json: give a folder that"):
        HammingRetriever.open(folder / "index.json")


@pytest.mark.parametrize(
    "content",
    [b"", b"\x93NUMPY\xff\x00", b"[1, 2]", b'"text"', b'{"format": "other"}', b"[" * 10**5],
    ids=["empty", "binary", "list", "string", "other", "deep"],
)
def test_a_foreign_file_is_an_error(folder, content):
    (folder / "index.json").write_bytes(content)
    with pytest.raises(
        ValueError, match=r"index\.json is not an index of HammingRetriever, or is dama"
    ):
        HammingRetriever.open(folder)


def test_a_truncated_index_file_is_an_error(folder):
    path = folder / "index.json"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(
        ValueError, match=r"index\.json is not an index of HammingRetriever, or is dama"
    ):
        HammingRetriever.open(folder)


def test_a_changed_index_file_is_an_error(folder):
    path = folder / "index.json"
    path.write_text(path.read_text().replace('"n_neighbors": 3', '"n_neighbors": 4'))
    with pytest.raises(ValueError, match=r"index\.json is damaged or was changed: save the index"):
        HammingRetriever.open(folder)


def test_a_later_version_is_an_error(folder):
    rewrite(folder, version=3, arrays="of another kind")
    with pytest.raises(
        ValueError,
        match=r"has version 3 of the format, this release reads versions up to 2: upgrade",
    ):
        HammingRetriever.open(folder)


@pytest.mark.parametrize("version", [0, None, "1"])
def test_a_version_that_never_was_is_an_error(folder, version):
    rewrite(folder, version=version)
    with pytest.raises(ValueError, match=r"index\.json is damaged or was changed"):
        HammingRetriever.open(folder)


def test_an_unknown_parameter_is_an_error(folder):
    rewrite(folder, parameters={"n_neighbors": 1, "metric": "angle"})
    with pytest.raises(ValueError, match="parameters that this release does not know, metric: upg"):
        HammingRetriever.open(folder)


def test_a_missing_parameter_has_its_default(folder):
    rewrite(folder, parameters={"n_neighbors": 1})
    assert HammingRetriever.open(folder).get_params() == HammingRetriever(1).get_params()


@pytest.mark.parametrize(
    "name",
    ["../y-0123456789abcdef.npy", "/etc/passwd", "y-0123456789abcdef.npy\n", "codes.npy", 5, None],
)
def test_names_of_files_lead_nowhere_else(folder, name):
    document = json.loads((folder / "index.json").read_text())
    document["arrays"]["y"]["file"] = name
    rewrite(folder, arrays=document["arrays"])
    with pytest.raises(ValueError, match=r"index\.json is damaged or was changed"):
        HammingRetriever.open(folder)


@pytest.mark.parametrize(
    "entries",
    [
        {"n_samples_fit_": 51},
        {"n_samples_fit_": "50"},
        {"n_features_in_": 40},
        {"n_features_in_": -3},
        {"n_features_in_": None},
        {"packed_": True},
        {"paired_": True},
        {"arrays": {}},
        {"arrays": []},
        {"arrays": {"codes": 1}},
        {"feature_names_in_": ["a"]},
        {"parameters": []},
        {"n_trained": 0},
        {"n_trained": 51},
        {"n_trained": 2.5},
        {"n_trained": True},
        {"n_trained": "50"},
        {"own_ids": True},
        {"own_ids": None},
        {"n_added": 51},
        {"n_added": 49},
        {"version": 1},
    ],
    ids=str,
)
def test_entries_that_do_not_fit_each_other_are_an_error(folder, entries):
    rewrite(folder, **entries)
    with pytest.raises(ValueError, match=r"index\.json is damaged or was changed"):
        HammingRetriever.open(folder)


def first_version(folder):
    """Turn an index without ids into one of the first version of the format."""
    document = json.loads((folder / "index.json").read_text())
    del document["own_ids"], document["n_added"]
    document["version"] = 1
    (folder / "index.json").write_text(json.dumps(document))
    rewrite(folder)


def test_the_first_version_is_opened(folder):
    expected = HammingRetriever.open(folder).search(queries)
    first_version(folder)
    opened = HammingRetriever.open(folder)
    pd.testing.assert_frame_equal(opened.search(queries), expected)
    assert opened.ids_ is None
    opened.partial_fit(codes[:1], labels[:1]).remove([50])
    opened.save(folder)
    assert json.loads((folder / "index.json").read_text())["version"] == 2


@pytest.mark.parametrize(
    "entries", [{"own_ids": False}, {"n_added": 50}, {"n_samples_fit_": 0}, {"n_trained": 0}]
)
def test_the_first_version_has_no_entries_of_the_second(folder, entries):
    first_version(folder)
    rewrite(folder, **entries)
    with pytest.raises(ValueError, match=r"index\.json is damaged or was changed"):
        HammingRetriever.open(folder)


@pytest.fixture
def named(tmp_path):
    """Return the folder of a saved index with ids, of which some items were removed."""
    ids = [f"{row}.jpg" for row in range(50)]
    HammingRetriever(3).fit(codes, labels, ids=ids).remove(ids[::4]).save(tmp_path / "index")
    return tmp_path / "index"


@pytest.mark.parametrize(
    ("part", "entries"),
    [
        ("ids", {"dtype": "<f8"}),
        ("ids", {"dtype": "|S24"}),
        ("ids", {"dtype": "<i8"}),
        ("ids", {"dtype": "<U0"}),
        ("ids", {"dtype": "<U99999999999999999999"}),
        ("ids", {"shape": [36]}),
        ("ids", {"shape": [37, 1]}),
        (None, {"own_ids": False}),
        (None, {"own_ids": 1}),
        (None, {"n_added": 36}),
        (None, {"n_added": 2**62 + 1}),
        (None, {"n_added": 2**70}),
    ],
    ids=str,
)
def test_ids_that_do_not_fit_are_an_error(named, part, entries):
    assert len(HammingRetriever.open(named)) == 37
    document = json.loads((named / "index.json").read_text())
    (document["arrays"][part] if part else document).update(entries)
    rewrite(named, **document)
    with pytest.raises(ValueError, match="is damaged or was changed"):
        HammingRetriever.open(named, verify=False)


@pytest.mark.parametrize("mmap_mode", ["r", None])
@pytest.mark.parametrize("ids", [None, np.arange(50) * 3 - 9, [f"{row} é" for row in range(50)]])
def test_what_is_not_removed_comes_back(tmp_path, ids, mmap_mode):
    index = HammingRetriever(3).fit(codes, labels, ids=ids)
    index.remove(np.arange(5, 40, 3) if ids is None else np.asarray(ids)[5:40:3])
    index.save(tmp_path)
    opened = HammingRetriever.open(tmp_path, mmap_mode=mmap_mode)
    assert (opened.n_samples_fit_, len(opened)) == (38, 38)
    pd.testing.assert_frame_equal(opened.search(queries), index.search(queries))
    np.testing.assert_array_equal(opened.words_["codes"], index.compact().words_["codes"])
    np.testing.assert_array_equal(opened.y_, index.y_)
    assert (opened.ids_ is None) == (ids is None)
    for changed in (opened, index):
        new = {} if ids is None else {"ids": [1000] if isinstance(ids, np.ndarray) else ["new"]}
        changed.partial_fit(queries[:1], labels[:1], **new)
        assert changed.search(queries[:1], 1)["id"].item() == (new["ids"][0] if new else 50)


def test_removed_items_of_a_map_are_left_out_part_by_part(tmp_path, monkeypatch):
    monkeypatch.setattr("skhash.retrieval._rows._PART", 70)
    path = tmp_path / "packed.npy"
    np.save(path, convert_codes(random_bits(50, 72), "packed"))
    index = HammingRetriever().fit(np.load(path, mmap_mode="r"), labels).remove(range(0, 50, 7))
    index.save(tmp_path / "index")
    opened = HammingRetriever.open(tmp_path / "index")
    np.testing.assert_array_equal(opened.words_["codes"], index.compact().words_["codes"])


@pytest.mark.parametrize("mmap_mode", ["r", None])
def test_an_index_without_items_comes_back(tmp_path, mmap_mode):
    ids = [f"{row}" for row in range(50)]
    HammingRetriever(3).fit(codes, labels, ids=ids).remove(ids).save(tmp_path)
    opened = HammingRetriever.open(tmp_path, mmap_mode=mmap_mode)
    assert len(opened) == 0
    assert opened.search(queries).empty
    opened.save(tmp_path)
    opened = HammingRetriever.open(tmp_path).partial_fit(codes, labels, ids=ids)
    np.testing.assert_array_equal(opened.predict(codes), labels)


HOSTILE = [None, True, -1, 0, 1.5, 50.0, 2**31, 2**70, "50", "", [], [1, 50], [True], {}, {"a": 1}]


def test_an_entry_of_another_type_is_an_error(folder):
    document = json.loads((folder / "index.json").read_text())
    answers = HammingRetriever.open(folder).kneighbors(queries)
    n_refused = 0
    for path in [(name,) for name in document] + [
        ("arrays", array, name)
        for array, entry in document["arrays"].items()
        for name in ("", *entry)
    ]:
        for value in HOSTILE:
            if (path, value) == (("parameters",), {}):
                continue  # all of them have their defaults then
            changed = json.loads(json.dumps(document))
            place = changed
            *above, last = [part for part in path if part]
            for part in above:
                place = place[part]
            place[last] = value
            rewrite(folder, **changed)
            try:
                found = HammingRetriever.open(folder, verify=False).kneighbors(queries)
            except ValueError:
                n_refused += 1
            else:  # what no answer depends on, such as checksums that are not compared
                np.testing.assert_array_equal(found, answers)
    assert n_refused > 200


@pytest.mark.parametrize("value", [[1], {"a": 1}])
def test_a_parameter_that_is_no_scalar_is_an_error(folder, value):
    rewrite(folder, parameters={"n_neighbors": value})
    with pytest.raises(ValueError, match=r"index\.json is damaged or was changed"):
        HammingRetriever.open(folder)


@pytest.mark.parametrize(
    "dtype", ["<f4", "<U99", "|O", "<i8,<i8", "f8", ">i8", "<m8[x]", "(2,)<i4"]
)
def test_a_dtype_of_labels_is_checked_before_numpy_reads_it(folder, dtype):
    document = json.loads((folder / "index.json").read_text())
    document["arrays"]["y"]["dtype"] = dtype
    rewrite(folder, arrays=document["arrays"])
    with pytest.raises(ValueError, match="is damaged or was changed"):
        HammingRetriever.open(folder, verify=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mmap_mode": "r+"}, "mmap_mode must be one of 'r', None, got 'r\\+'"),
        ({"verify": "all"}, "verify must be one of True, False, None, got 'all'"),
    ],
)
def test_bad_options_are_named(folder, options, message):
    with pytest.raises(ValueError, match=message):
        HammingRetriever.open(folder, **options)
