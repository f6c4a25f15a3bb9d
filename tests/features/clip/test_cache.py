import os
import pickle
import shutil
import signal
import subprocess
import sys
import warnings
from errno import EACCES, EIO, ENOSPC, EROFS
from io import BytesIO

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from skhash.features import CLIPFeaturizer, list_features
from skhash.features._cache.shards import Shards
from skhash.features._cache.store import FeatureStore
from skhash.features._clip import cache as _clip_cache
from skhash.features._clip import featurizer as _clip
from skhash.features._clip.cache import _files
from skhash.features._clip.forward import embedded
from skhash.features._towers.models import Located

TEXTS = ["two dogs", "a cat", "", "a cat on a mat", "two dogs"]


@pytest.fixture
def images(tiny, weights, tmp_path):
    return CLIPFeaturizer(
        tiny, pretrained=weights, device="cpu", batch_size=2, cache_dir=tmp_path / "cache"
    )


@pytest.fixture
def texts(images):
    return clone(images).set_params(modality="text")


def without_cache(featurizer, items):
    return clone(featurizer).set_params(cache_dir=None).transform(items)


def close(vectors, expected):
    np.testing.assert_allclose(vectors, expected, atol=1e-5)


def test_what_is_in_the_cache_needs_no_model(monkeypatch, images, texts, paths):
    cases = [(images, paths), (texts, TEXTS)]
    first = [featurizer.transform(items) for featurizer, items in cases]
    close(first[0], without_cache(images, paths))
    close(first[1], without_cache(texts, TEXTS))
    monkeypatch.setattr(_clip, "load_model", lambda *_: pytest.fail("a model was loaded"))
    for (featurizer, items), expected in zip(cases, first, strict=True):
        np.testing.assert_array_equal(clone(featurizer).transform(items), expected)


def test_only_what_is_new_is_embedded(counted, images, paths):
    images.transform(paths[1:3])
    vectors = images.transform(paths)
    assert counted == [2, 2, 1]
    close(vectors, without_cache(images, paths))


def test_an_item_is_known_by_its_content(counted, images, paths, pictures, tmp_path):
    images.transform(paths)
    counted.clear()
    moved = [shutil.copy(path, tmp_path / f"moved-{path.name}") for path in paths]
    content = [path.read_bytes() for path in paths]
    for items in (moved, content, [BytesIO(file) for file in content]):
        images.transform(items)
    assert not counted
    images.transform(pictures)  # pixels are another content than that of a file
    assert sum(counted) == len(pictures)


@pytest.mark.parametrize(
    ("modality", "parameters"),
    [
        ("image", {"normalize": False}),
        ("image", {"precision": "bf16"}),
        ("image", {"exif_orientation": True}),
        ("text", {"normalize": False}),
        ("text", {"long_text": "raise"}),
    ],
)
def test_another_way_of_embedding_has_a_part_of_its_own(
    counted, images, paths, modality, parameters
):
    items = paths if modality == "image" else ["a", "b"]
    images.set_params(modality=modality).transform(items)
    counted.clear()
    other = clone(images).set_params(**parameters)
    vectors = other.transform(items)
    assert sum(counted) == len(items)
    close(vectors, without_cache(other, items))
    assert list_features(images.cache_dir)["n_items"].tolist() == [len(items)] * 2


@pytest.mark.parametrize(
    "parameters",
    [{"batch_size": 3}, {"n_workers": 2}, {"verbose": 1}, {"on_error": "nan"}],
    ids=str,
)
def test_what_does_not_change_an_embedding_finds_it(counted, capsys, images, paths, parameters):
    expected = images.transform(paths)
    counted.clear()
    vectors = clone(images).set_params(**parameters).transform(paths)
    assert not counted
    np.testing.assert_array_equal(vectors, expected)


def test_weights_are_known_by_their_content(counted, images, weights, paths, tmp_path):
    import torch

    images.transform(paths)
    counted.clear()
    images.set_params(pretrained=shutil.copy(weights, tmp_path / "copy.pt")).transform(paths)
    assert not counted
    state = torch.load(weights, weights_only=True)
    state["visual.proj"] = state["visual.proj"].flip(1)
    torch.save(state, tmp_path / "copy.pt")
    os.utime(tmp_path / "copy.pt", ns=(1, 1))  # a clock may tick too slowly to tell
    close(images.transform(paths), without_cache(images, paths))
    assert sum(counted) == 2 * len(paths)


def test_files_of_a_folder_decide_its_embeddings(tmp_path):
    tokenizer = ["tokenizer.json", "tokenizer_config.json"]
    for name in ("notes.md", "open_clip_config.json", *tokenizer, "w.bin"):
        (tmp_path / name).touch()
    config = '{"text_cfg": {"hf_tokenizer_name": "owner/words"}}'
    located = Located(f"local-dir:{tmp_path}", config, str(tmp_path), (("w.bin", 0, 0),))
    of_image, of_text = (
        {path.name for path in _files(located, modality)} for modality in ("image", "text")
    )
    assert of_image == {"w.bin", "open_clip_config.json"}
    assert of_text == of_image.union(tokenizer)
    assert not _files(Located("ViT-B-32", config), "text")


def test_images_that_cannot_be_read_are_tried_again(counted, monkeypatch, images, paths):
    monkeypatch.setattr(_clip_cache, "_BLOCK", 2)
    content = paths[3].read_bytes()
    paths[3].write_bytes(content[:50])
    images.set_params(on_error="nan")
    for n_embedded in (4, 0):
        with pytest.warns(UserWarning, match=r"images of 1 of 5 rows .* row 3 "):
            vectors = images.transform(paths)
        assert images.errors_["row"].tolist() == [3]
        assert images.errors_["item"].tolist() == [repr(str(paths[3]))]
        np.testing.assert_array_equal(np.isnan(vectors).all(axis=1), np.arange(5) == 3)
        assert sum(counted) == n_embedded
        counted.clear()
    paths[3].write_bytes(content)
    close(images.transform(paths), without_cache(images, paths))
    assert images.errors_.empty


@pytest.mark.skipif(os.name == "nt", reason="there are no named pipes")
def test_a_pipe_is_never_opened(images, paths, tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    images.set_params(on_error="nan")
    with pytest.warns(UserWarning, match=r"row 1 .*it is a named pipe, not a file"):
        vectors = images.transform([paths[0], tmp_path / "pipe.png"])
    assert np.isnan(vectors).all(axis=1).tolist() == [False, True]


def test_an_error_keeps_what_was_embedded_before(counted, images, paths):
    paths[4].write_bytes(b"")
    with pytest.raises(ValueError, match="row 4 "):
        images.transform(paths)
    counted.clear()
    images.transform(paths[:4])
    assert not counted


def test_texts_that_are_too_long_are_refused_though_they_are_kept_cut(texts):
    long = ["word " * 20]
    with pytest.warns(UserWarning, match="1 of 1 distinct texts were cut"):
        vectors = texts.transform(long)
    with warnings.catch_warnings(record=True) as caught:
        np.testing.assert_array_equal(texts.transform(long), vectors)
    assert not caught
    with pytest.raises(ValueError, match="the text in row 0 has more tokens"):
        texts.set_params(long_text="raise").transform(long)


def test_vectors_that_are_not_finite_are_not_kept(monkeypatch, images, paths):
    def overflowing(*args, **options):
        for positions, vectors, troubles in embedded(*args, **options):
            assert vectors is not None
            vectors[0, 0] = np.inf
            yield positions, vectors, troubles

    monkeypatch.setattr(_clip, "embedded", overflowing)
    assert np.isinf(images.transform(paths)).any(axis=1).tolist() == [True, False] * 2 + [True]
    assert list_features(images.cache_dir)["n_items"].item() == 2


def test_a_file_that_changes_meanwhile_is_not_kept(monkeypatch, images, paths):
    old = paths[0].read_bytes()

    def slow(*args, **options):
        paths[0].write_bytes(paths[1].read_bytes())
        yield from embedded(*args, **options)

    monkeypatch.setattr(_clip, "embedded", slow)
    images.transform(paths[:1])
    monkeypatch.undo()
    paths[2].write_bytes(old)
    close(images.transform(paths), without_cache(images, paths))


def test_a_cache_that_is_full_costs_one_warning(monkeypatch, images, paths):
    tries = []

    def put(self, keys, vectors):
        tries.append(len(keys))
        raise OSError(ENOSPC, "No space left on device")

    monkeypatch.setattr(FeatureStore, "put", put)
    with pytest.warns(UserWarning, match=r"cannot be used any more \(OSError: .*space") as caught:
        vectors = images.transform(paths)
    assert len(caught) == len(tries) == 1
    assert caught[0].filename == __file__
    close(vectors, without_cache(images, paths))


WRITE_ERRORS = [
    OSError(ENOSPC, "No space left on device"),
    OSError(EROFS, "Read-only file system"),
    PermissionError(EACCES, "Permission denied"),
]


@pytest.mark.parametrize("error", WRITE_ERRORS, ids=str)
def test_a_disk_that_fails_at_any_write_costs_one_warning(images, paths, tmp_path, disk, error):
    paths = paths[:3]  # two batches
    for path in paths:  # old, so that their keys are kept
        os.utime(path, (1e9, 1e9))
    expected = without_cache(images, paths)
    with disk.failing(error, after=10**9):
        images.set_params(cache_dir=tmp_path / "good").transform(paths)
    n_writes = disk.n_writes
    assert n_writes > 10
    for after in range(n_writes):
        images.set_params(cache_dir=tmp_path / f"cache {after}")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with disk.failing(error, after=after):
                close(images.transform(paths), expected)
        assert len(caught) <= 1  # none where only what is known of files could not be kept
        for warning in caught:
            assert "cannot be used any more" in str(warning.message)
            assert error.strerror in str(warning.message)
            assert warning.filename == __file__
        assert caught or after > 5
        close(images.transform(paths), expected)  # what was begun is no hindrance later


def test_a_read_only_cache_gives_what_it_holds(counted, images, paths, disk):
    images.transform(paths)
    counted.clear()
    with disk.failing(OSError(EROFS, "Read-only file system")):
        images.transform(paths)
    assert counted == []


def test_another_model_in_a_read_only_cache_costs_one_warning(images, paths, disk):
    images.transform(paths)
    images.set_params(normalize=False)
    with (
        pytest.warns(UserWarning, match="cannot be used any more") as caught,
        disk.failing(OSError(EROFS, "Read-only file system")),
    ):
        vectors = images.transform(paths)
    assert len(caught) == 1
    close(vectors, without_cache(images, paths))


@pytest.mark.parametrize("of", ["embeddings", "files"])
def test_a_cache_that_cannot_be_read_costs_one_warning(monkeypatch, images, paths, of):
    images.transform(paths)
    get = Shards.get

    def failing(self, keys):
        if (self.folder.name == "files") == (of == "files"):
            raise OSError(EIO, "Input/output error")
        return get(self, keys)

    monkeypatch.setattr(Shards, "get", failing)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        vectors = images.transform(paths)
    assert len(caught) == (of == "embeddings")
    assert all("(OSError: [Errno 5] Input/output" in str(w.message) for w in caught)
    close(vectors, without_cache(images, paths))


@pytest.mark.parametrize("below", ["", "cache"])
def test_a_file_in_place_of_the_cache_is_refused(images, paths, tmp_path, below):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ValueError, match="because a file has its name: give another"):
        images.set_params(cache_dir=tmp_path / "file" / below).transform(paths)


def test_a_folder_of_other_files_is_refused(images, paths):
    images.set_params(cache_dir=paths[0].parent)
    with pytest.raises(ValueError, match=r"holds other files .* and is no cache of features"):
        images.transform(paths)


def test_a_pickle_holds_the_name_of_the_cache(counted, images, paths):
    expected = images.transform(paths)
    counted.clear()
    content = pickle.dumps(images)
    assert len(content) < 2000
    np.testing.assert_array_equal(pickle.loads(content).transform(paths), expected)
    assert not counted


RUN = """
import sys
from skhash.features import CLIPFeaturizer
from skhash.features._clip import featurizer
from skhash.features._clip.forward import embedded

model, cache, log, *paths = sys.argv[1:]

def telling(batches, *args, **options):
    for positions, vectors, troubles in embedded(batches, *args, **options):
        with open(log, "a") as file:
            file.write(f"{len(positions)}\\n")
        yield positions, vectors, troubles

featurizer.embedded = telling
CLIPFeaturizer(model, batch_size=2, cache_dir=cache).transform(paths)
print("done", flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_a_run_that_was_killed_goes_on_where_it_was(folder_model, paths, tmp_path):
    cache, log = tmp_path / "cache", tmp_path / "log"
    command = [sys.executable, "-c", RUN, *map(str, (folder_model, cache, log, *paths))]
    first = subprocess.Popen(command, stderr=subprocess.PIPE)
    while not (log.exists() and log.read_text()) and first.poll() is None:
        pass
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "done\n"
    repeated = sum(map(int, log.read_text().split())) - len(paths)
    assert 0 <= repeated <= 2
    images = CLIPFeaturizer(folder_model, cache_dir=cache)
    close(images.transform(paths), without_cache(images, paths))
    assert list_features(cache)["n_items"].item() == len(paths)


def test_processes_of_a_grid_search_share_a_cache(folder_model, paths, tmp_path):
    featurizer = CLIPFeaturizer(folder_model, device="cpu", cache_dir=tmp_path / "cache")
    labels = np.arange(5) % 2
    search = GridSearchCV(
        make_pipeline(featurizer, LogisticRegression()),
        {"logisticregression__C": [0.1, 1.0, 10.0]},
        cv=2,
        n_jobs=2,
    )
    search.fit([str(path) for path in paths], labels)
    alone = clone(search).set_params(n_jobs=None, estimator__clipfeaturizer__cache_dir=None)
    alone.fit([str(path) for path in paths], labels)
    np.testing.assert_allclose(
        search.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"]
    )
    assert list_features(tmp_path / "cache")["n_items"].item() == len(paths)
