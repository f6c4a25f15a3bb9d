import numpy as np
import pytest

from skhash.features import clear_features, list_features
from skhash.features._cache.store import FeatureStore

MODELS = [
    {"name": "a", "modality": "text", "precision": "fp32"},
    {"name": "b", "modality": "image", "precision": "bf16", "files": ["0f"]},
]


@pytest.fixture
def cache(tmp_path):
    """A cache of two vectors of one model and three of another."""
    for number, fingerprint in enumerate(MODELS):
        store = FeatureStore(tmp_path, fingerprint, 4)
        items = [f"{i}" if number == 0 else bytes([i]) for i in range(number + 2)]
        store.put(store.keys(items), np.ones((number + 2, 4)))
    return tmp_path


def on_disk(folder):
    return sum(path.stat().st_size for path in folder.glob("*.shard"))


def test_a_cache_lists_its_models(cache):
    listed = list_features(cache).sort_values("name")
    assert listed.columns.tolist() == [
        *("name", "modality", "precision"),
        *("n_features", "n_items", "n_bytes"),
    ]
    assert listed.iloc[:, :5].values.tolist() == [
        ["a", "text", "fp32", 4, 2],
        ["b", "image", "bf16", 4, 3],
    ]
    assert listed["n_bytes"].tolist() == [on_disk(cache / model) for model in listed.index]
    assert (listed["n_bytes"] > 0).all()


def test_an_empty_cache_lists_nothing(cache):
    clear_features(cache)
    listed = list_features(cache)
    assert listed.shape == (0, 6)
    assert listed["n_bytes"].sum() == 0


def test_a_damaged_manifest_is_named(cache):
    folder = cache / list_features(cache).index[0]
    (folder / "manifest.json").write_bytes(b"{")
    with pytest.raises(ValueError, match=rf"{folder.name}.*manifest.json is damaged"):
        list_features(cache)


def test_clear_features_deletes_those_of_all_models_and_nothing_else(cache):
    stores = [FeatureStore(cache, fingerprint, 4) for fingerprint in MODELS]
    (cache / "notes.txt").write_text("mine")
    clear_features(cache)
    assert sorted(path.name for path in cache.iterdir()) == ["CACHEDIR.TAG", "notes.txt"]
    assert [len(store) for store in stores] == [0, 0]
    store = FeatureStore(cache, MODELS[0], 4)
    store.put(store.keys(["a"]), np.ones((1, 4)))
    assert len(store) == 1


def test_clear_features_can_spare_other_models(cache):
    listed = list_features(cache)
    clear_features(cache, model=listed.index[0])
    assert list_features(cache).equals(listed.iloc[1:])


def test_clear_features_names_a_model_that_is_not_there(cache):
    with pytest.raises(ValueError, match=r"has no model '0f': list_features shows which"):
        clear_features(cache, model="0f")
    assert len(list_features(cache)) == 2


@pytest.mark.parametrize("function", [clear_features, list_features])
def test_other_folders_are_refused_and_left_alone(function, tmp_path):
    (tmp_path / "files").mkdir()
    with pytest.raises(ValueError, match=r"is not a cache of features, so nothing was done"):
        function(tmp_path)
    assert (tmp_path / "files").is_dir()
