import errno
import io
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skhash.features._cache import shards as _feature_shards
from skhash.features._cache.store import FeatureStore

TEXT = {"model": "a", "weights": "0f", "modality": "text"}
IMAGE = {**TEXT, "modality": "image"}
needs_kill = pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")

# A child: puts batches of vectors that follow from the number of the item, and tells of each.
WRITER = """
import sys
from skhash.features._cache import shards
from skhash.features._cache.store import FeatureStore
import numpy as np
folder, start, stop, size = sys.argv[1], *map(int, sys.argv[2:])
shards._MANY = 4
store = FeatureStore(folder, {"model": "a", "weights": "0f", "modality": "text"}, 3)
print("ready", flush=True)
for first in range(start, stop, size):
    numbers = np.arange(first, first + size)
    store.put(store.keys([f"item {i}" for i in numbers]), np.sin(numbers[:, None] + np.arange(3)))
    print(first + size, flush=True)
"""


def expected(numbers):
    return np.sin(np.asarray(numbers)[:, None] + np.arange(3)).astype(np.float32)


def keys_of(n):
    return [f"item {i}" for i in range(n)]


def writer(folder, start, stop, size):
    command = [sys.executable, "-c", WRITER, *map(str, (folder, start, stop, size))]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def filled(folder, n=20, fingerprint=TEXT):
    store = FeatureStore(folder, fingerprint, 3)
    store.put(store.keys(keys_of(n)), expected(range(n)))
    return store


def old_file(path, content):
    """Write a file whose time is long past, so that its key is kept."""
    path.write_bytes(content)
    os.utime(path, (1e9, 1e9))
    return path


def test_what_is_put_is_found_in_any_order(tmp_path):
    store = filled(tmp_path)
    found, vectors = store.get(store.keys(["item 7", "nothing", "item 2", "item 7"]))
    assert found.tolist() == [True, False, True, True]
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors[found], expected([7, 2, 7]))
    assert np.isnan(vectors[1]).all()


@settings(max_examples=30)
@given(
    st.lists(
        st.lists(st.integers(0, 40), max_size=6),
        max_size=12,
    ),
    st.sampled_from([2, 3, 32]),
)
def test_a_store_is_a_dict(batches, many):
    # Keys that begin alike and end in zeros, which NumPy's strings do not show.
    key = [bytes([i % 7]) * (i % 3 + 1) + bytes(15 - i % 3) for i in range(41)]
    known = {}
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(_feature_shards, "_MANY", many)
        store = FeatureStore(folder, TEXT, 3)
        for batch in batches:
            vectors = np.array([list(key[i][:3]) for i in batch]).reshape(-1, 3)
            store.put([key[i] for i in batch], vectors)
            known.update((key[i], list(key[i][:3])) for i in batch)
            for reader in (store, FeatureStore(folder, TEXT, 3)):
                found, vectors = reader.get(key)
                assert found.tolist() == [one in known for one in key]
                assert vectors[found].tolist() == [known[one] for one in key if one in known]
                assert len(reader) == len(known)


def test_keys_of_none_are_neither_kept_nor_found(tmp_path):
    store = FeatureStore(tmp_path, IMAGE, 3)
    store.put([None, b"k" * 16], np.ones((2, 3)))
    assert store.get([None, b"k" * 16])[0].tolist() == [False, True]
    assert len(store) == 1


def test_a_store_sees_what_others_put_later(tmp_path):
    reader = FeatureStore(tmp_path, TEXT, 3)
    assert not reader.get(reader.keys(keys_of(20)))[0].any()
    filled(tmp_path)
    assert reader.get(reader.keys(keys_of(20)))[0].all()


def test_another_fingerprint_reads_nothing(tmp_path):
    store = filled(tmp_path)
    other = FeatureStore(tmp_path, {**TEXT, "weights": "10"}, 3)
    assert not other.get(store.keys(keys_of(20)))[0].any()
    assert FeatureStore(tmp_path, dict(reversed(TEXT.items())), 3).get(store.keys(["item 0"]))[0]


def test_a_shard_of_another_model_is_left_out(tmp_path):
    store = filled(tmp_path)
    other = FeatureStore(tmp_path, {**TEXT, "weights": "10"}, 3)
    for shard in store.folder.glob("*.shard"):
        shutil.copy(shard, other.folder)
    with pytest.warns(UserWarning, match="is damaged and ignored"):
        assert not other.get(store.keys(keys_of(20)))[0].any()


def test_a_moved_cache_is_the_same(tmp_path):
    filled(tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    store = FeatureStore(tmp_path / "there", TEXT, 3)
    assert store.get(store.keys(keys_of(20)))[0].all()


@pytest.mark.parametrize("kind", ["truncated", "longer", "empty", "junk", "zeros"])
def test_a_broken_shard_is_left_out_and_made_up_for(tmp_path, kind):
    store = filled(tmp_path)
    (shard,) = store.folder.glob("*.shard")
    content = shard.read_bytes()
    broken = {
        "truncated": content[:-1],
        "longer": content + b"x",
        "empty": b"",
        "junk": b"junk" * 1000,
        "zeros": content[:-240] + bytes(240),
    }
    shard.write_bytes(broken[kind])
    store = FeatureStore(tmp_path, TEXT, 3)
    with pytest.warns(UserWarning, match=f"{shard.name} is damaged and ignored.*delete it"):
        assert not store.get(store.keys(keys_of(20)))[0].any()
    store.put(store.keys(keys_of(20)), expected(range(20)))
    assert store.get(store.keys(keys_of(20)))[0].all()


@pytest.mark.filterwarnings("ignore:.*is damaged and ignored")
def test_no_flipped_bit_gives_a_wrong_vector(tmp_path):
    store = filled(tmp_path)
    (shard,) = store.folder.glob("*.shard")
    content, keys = shard.read_bytes(), store.keys(keys_of(20))
    for bit in range(0, 8 * len(content), 61):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        shard.write_bytes(flipped)
        found, vectors = FeatureStore(tmp_path, TEXT, 3).get(keys)
        np.testing.assert_array_equal(vectors[found], expected(np.flatnonzero(found)))


def test_merging_leaves_few_shards_and_all_vectors(tmp_path):
    store, reader = (FeatureStore(tmp_path, TEXT, 3) for _ in range(2))
    keys = store.keys(keys_of(100))
    for row in range(100):
        store.put(keys[row : row + 1], expected([row]))
        assert reader.get(keys)[0].sum() == row + 1
    assert len(list(store.folder.glob("*.shard"))) < 64
    np.testing.assert_array_equal(reader.get(keys)[1], expected(range(100)))


def test_merging_leaves_out_what_is_damaged(tmp_path, monkeypatch):
    store = filled(tmp_path)
    (shard,) = store.folder.glob("*.shard")
    shard.write_bytes(shard.read_bytes()[:-4] + b"\0\0\0\0")
    monkeypatch.setattr(_feature_shards, "_MANY", 2)
    with pytest.warns(UserWarning, match="is damaged and ignored"):
        store.put(store.keys(["another"]), np.ones((1, 3)))
    assert store.get(store.keys(["item 0", "another"]))[0].tolist() == [False, True]


def test_a_shard_that_is_merged_while_it_is_read_is_found_in_the_other(tmp_path, monkeypatch):
    reader, store = FeatureStore(tmp_path, TEXT, 3), filled(tmp_path)
    keys = store.keys(keys_of(20))
    assert reader.get(keys)[0].all()
    refresh = reader._features._refresh

    def merged_after_the_first_look():
        refresh()
        monkeypatch.undo()
        monkeypatch.setattr(_feature_shards, "_MANY", 2)
        store.put(store.keys(["another"]), np.ones((1, 3)))

    monkeypatch.setattr(reader._features, "_refresh", merged_after_the_first_look)
    before = set(store.folder.glob("*.shard"))
    np.testing.assert_array_equal(reader.get(keys)[1], expected(range(20)))
    assert before.isdisjoint(store.folder.glob("*.shard"))


def test_two_processes_write_at_once(tmp_path):
    writers = [writer(tmp_path, start, start + 60, 2) for start in (0, 40)]  # some items twice
    for child in writers:
        child.communicate(timeout=120)
        assert child.returncode == 0
    store = FeatureStore(tmp_path, TEXT, 3)
    found, vectors = store.get(store.keys(keys_of(101)))
    assert found.tolist() == [True] * 100 + [False]
    np.testing.assert_array_equal(vectors[:100], expected(range(100)))


@needs_kill
def test_a_kill_loses_nothing_that_was_put(tmp_path):
    moment, done = random.Random(0), 0
    for _ in range(3):
        child = writer(tmp_path, done, 1_000_000, 2)
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(moment.uniform(0, 0.2))
        child.send_signal(signal.SIGKILL)
        lines = child.communicate()[0].splitlines()
        done = max([done, *map(int, lines)])
        store = FeatureStore(tmp_path, TEXT, 3)
        found, vectors = store.get(store.keys(keys_of(done + 2)))
        assert found[:done].all()
        np.testing.assert_array_equal(vectors[found], expected(np.flatnonzero(found)))
    assert done


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    store = filled(tmp_path)
    before = sorted(store.folder.iterdir())

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        store.put(store.keys(["another"]), np.ones((1, 3)))
    assert sorted(store.folder.iterdir()) == before


def test_temporary_files_are_deleted_when_they_are_old(tmp_path):
    store = filled(tmp_path)
    new, old = (store.folder / f"{name}.tmp" for name in ("new", "old"))
    new.write_bytes(b"begun")
    old_file(old, b"begun")
    assert store.get(store.keys(["item 0"]))[0]
    assert new.exists()
    assert not old.exists()


def test_a_file_is_read_once(tmp_path, monkeypatch):
    path = old_file(tmp_path / "a.jpg", b"content")
    store = FeatureStore(tmp_path / "cache", IMAGE, 3)
    before = store.keys([path])
    monkeypatch.setattr("builtins.open", None)
    assert store.keys([str(path)]) == before != [None]


@pytest.mark.parametrize(("content", "when"), [(b"CONTENT", 1e9 + 1), (b"content, longer", 1e9)])
def test_a_changed_file_is_read_again(tmp_path, content, when):
    path = old_file(tmp_path / "a.jpg", b"content")
    store = FeatureStore(tmp_path / "cache", IMAGE, 3)
    before = store.keys([path])
    path.write_bytes(content)
    os.utime(path, (when, when))
    assert store.keys([path]) != before


def test_a_file_that_changes_twice_in_one_tick_is_read_again(tmp_path):
    path = tmp_path / "a.jpg"
    store = FeatureStore(tmp_path / "cache", IMAGE, 3)
    keys = []
    for content in (b"one", b"two"):
        path.write_bytes(content)
        keys += store.keys([path])
    assert keys[0] != keys[1]


def test_equal_content_has_one_key(tmp_path):
    paths = [old_file(tmp_path / name, b"content") for name in ("a.jpg", "b.jpg")]
    store = FeatureStore(tmp_path / "cache", IMAGE, 3)
    file = io.BytesIO(b"content")
    file.seek(3)
    assert len(set(store.keys([*paths, str(paths[0]), b"content", file]))) == 1
    assert file.tell() == 3


def test_a_file_that_cannot_be_read_has_no_key(tmp_path):
    closed = io.BytesIO(b"content")
    closed.close()
    store = FeatureStore(tmp_path / "cache", IMAGE, 3)
    assert store.keys([tmp_path / "missing", tmp_path, "a\0b", closed]) == [None] * 4


def test_pictures_have_keys_of_their_pixels(pictures, tmp_path):
    store = FeatureStore(tmp_path, IMAGE, 3)
    first, second = store.keys([pictures[0], pictures[0].copy()])
    assert first == second
    grey = pictures[0].convert("L")
    transparent, palette = grey.copy(), pictures[0].quantize(4)
    transparent.info["transparency"] = 3
    other = palette.copy()
    other.putpalette(bytes(range(12)))
    turned = pictures[0].copy()
    turned.getexif()[0x0112] = 6
    several = [*pictures, grey, transparent, palette, other, turned]
    assert len(set(store.keys(several))) == len(several)


def test_a_picture_that_cannot_be_loaded_has_no_key(pictures, tmp_path):
    from PIL import Image

    file = io.BytesIO()
    pictures[0].save(file, "PNG")
    cut = Image.open(io.BytesIO(file.getvalue()[:200]))
    assert FeatureStore(tmp_path, IMAGE, 3).keys([cut]) == [None]


def test_arrays_have_keys_of_content_and_shape(tmp_path):
    pixels = np.arange(24, dtype=np.uint8).reshape(4, 6)
    several = [pixels, pixels.T, pixels.reshape(6, 4), pixels + np.uint8(1)]
    keys = FeatureStore(tmp_path, IMAGE, 3).keys([*several, pixels.copy(order="F")])
    assert len(set(keys)) == 4
    assert keys[0] == keys[4]


def test_texts_have_keys_of_their_characters(tmp_path):
    store = FeatureStore(tmp_path, TEXT, 3)
    known = blake2b(b"a dog", digest_size=16, person=b"text").digest()
    assert store.keys(["a dog"]) == [known]
    assert len(set(store.keys(["", "a", "é", "\ud800"]))) == 4


def test_files_are_known_to_all_models(tmp_path, monkeypatch):
    path = old_file(tmp_path / "a.jpg", b"content")
    before = FeatureStore(tmp_path / "cache", IMAGE, 3).keys([path])
    other = FeatureStore(tmp_path / "cache", {**IMAGE, "model": "b"}, 5)
    monkeypatch.setattr("builtins.open", None)
    assert other.keys([path]) == before


def test_keys_do_without_a_place_for_them(tmp_path):
    path = old_file(tmp_path / "a.jpg", b"content")
    store = FeatureStore(tmp_path / "cache", IMAGE, 3)
    (tmp_path / "cache" / "files").write_bytes(b"in the way")
    assert store.keys([path]) == store.keys([b"content"])


def test_size_is_that_of_the_files(tmp_path):
    store = filled(tmp_path)
    assert store.size == sum(path.stat().st_size for path in store.folder.glob("*.shard")) > 240


def test_a_folder_of_other_files_is_refused(tmp_path):
    (tmp_path / "a.jpg").touch()
    with pytest.raises(ValueError, match=r"holds other files \(a.jpg\).*new or empty"):
        FeatureStore(tmp_path, TEXT, 3)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"sha256": 1}', '{"format": "x"}'])
def test_a_damaged_manifest_is_an_error(tmp_path, content):
    (filled(tmp_path).folder / "manifest.json").write_text(content)
    with pytest.raises(ValueError, match=r"manifest.json is damaged .* delete its folder"):
        FeatureStore(tmp_path, TEXT, 3)


def test_a_changed_manifest_is_an_error(tmp_path):
    path = filled(tmp_path).folder / "manifest.json"
    path.write_text(path.read_text().replace('"0f"', '"10"'))
    with pytest.raises(ValueError, match=r"manifest.json is damaged"):
        FeatureStore(tmp_path, TEXT, 3)


def test_a_later_version_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr("skhash.features._cache.store.VERSION", 2)
    filled(tmp_path)
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"has version 2 of the format.*reads version 1"):
        FeatureStore(tmp_path, TEXT, 3)


def test_a_manifest_of_another_model_is_an_error(tmp_path):
    store, other = filled(tmp_path), FeatureStore(tmp_path, {**TEXT, "model": "b"}, 3)
    shutil.copy(other.folder / "manifest.json", store.folder)
    with pytest.raises(ValueError, match="is of another model"):
        FeatureStore(tmp_path, TEXT, 3)
    with pytest.raises(ValueError, match="with 3 features instead of 4"):
        FeatureStore(tmp_path, {**TEXT, "model": "b"}, 4)


def test_the_manifest_tells_what_the_features_are_of(tmp_path):
    manifest = json.loads((filled(tmp_path).folder / "manifest.json").read_text())
    assert manifest["fingerprint"] == TEXT
    assert manifest["n_features"] == 3


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_vectors_that_are_not_finite_are_refused(tmp_path, value):
    store, vectors = FeatureStore(tmp_path, TEXT, 3), np.ones((2, 3))
    vectors[1, 2] = value
    with pytest.raises(ValueError, match="row 1 of vectors is not finite, as are 1 of 2"):
        store.put(store.keys(["a", "b"]), vectors)
    assert len(store) == 0


@pytest.mark.parametrize("shape", [(2, 4), (1, 3), (2,)])
def test_vectors_of_another_shape_are_refused(tmp_path, shape):
    store = FeatureStore(tmp_path, TEXT, 3)
    with pytest.raises(ValueError, match=rf"shape \(2, 3\).*got {re.escape(str(shape))}"):
        store.put(store.keys(["a", "b"]), np.ones(shape))


@pytest.mark.parametrize("key", [b"", b"short", b"k" * 17])
def test_keys_of_another_length_are_refused(tmp_path, key):
    with pytest.raises(ValueError, match="a key must be None or 16 bytes"):
        FeatureStore(tmp_path, TEXT, 3).get([b"k" * 16, key])


@pytest.mark.parametrize("modality", [None, "sound"])
def test_a_modality_is_needed(tmp_path, modality):
    with pytest.raises(ValueError, match=f"'modality', 'image' or 'text', got {modality!r}"):
        FeatureStore(tmp_path, {"modality": modality}, 3)


@pytest.mark.parametrize("value", [Path("a"), np.float32(1), float("nan")])
def test_a_fingerprint_of_other_values_is_refused(tmp_path, value):
    with pytest.raises(TypeError, match="must hold values of JSON only"):
        FeatureStore(tmp_path, {**TEXT, "other": value}, 3)
    with pytest.raises(TypeError, match="fingerprint must be a dict, got list"):
        FeatureStore(tmp_path, [], 3)


def test_an_image_of_another_kind_is_refused(tmp_path):
    with pytest.raises(TypeError, match=r"row 1 must be a path, .* got int"):
        FeatureStore(tmp_path, IMAGE, 3).keys([b"", 3])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_named_pipes_in_a_cache_are_not_opened(tmp_path):
    store = FeatureStore(tmp_path, {"modality": "text"}, 3)
    os.mkfifo(store.folder / "0123456789abcdef.shard")
    with pytest.warns(UserWarning, match="0123456789abcdef.shard is damaged and ignored"):
        assert len(store) == 0
    (store.folder / "manifest.json").unlink()
    os.mkfifo(store.folder / "manifest.json")
    with pytest.raises(ValueError, match=r"manifest.json is damaged"):
        FeatureStore(tmp_path, {"modality": "text"}, 3)
