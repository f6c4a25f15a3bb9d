import os
import sys

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from skhash import make_table
from skhash.datasets import _benchmarks, fetch_mirflickr25k, fetch_mscoco, fetch_nuswide
from skhash.features import CrossModalFeaturizer, PatchFeaturizer

N = 60
COUNTS = (4, 8), (2, 1)
WIDTHS = {"mirflickr25k": (1386, 24), "nuswide": (1000, 10), "mscoco": (2000, 80)}
FETCH = {"mirflickr25k": fetch_mirflickr25k, "nuswide": fetch_nuswide, "mscoco": fetch_mscoco}
FILES = {
    "mirflickr25k": [f"mirflickr25k-{variable}all.mat" for variable in "iyl"],
    "nuswide": [f"nus-wide-tc10-{variable}all.mat" for variable in "iyl"],
    "mscoco": ["COCO.mat", "COCO_BoW.npy"],
}
# MATLAB lists 1, 2, ... and writes a column.
QUERY, DATABASE = np.arange(3, N, 4) + 1.0, np.setdiff1d(np.arange(N), np.arange(3, N, 4)) + 1.0


def arrays(name):
    rng = np.random.default_rng(0)
    n_words, n_classes = WIDTHS[name]
    return {
        "image": rng.integers(256, size=(N, 16, 12, 3), dtype=np.uint8),
        "text": rng.integers(2, size=(N, n_words)).astype(np.uint8),
        "target": (rng.random((N, n_classes)) < 0.3).astype(np.uint8),
        "features": rng.random((N, 4096)),
    }


def write_v73(path, **variables):
    """Write HDF5 behind MATLAB's header, with the dimensions the other way round."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in variables.items():
            file[name.replace("__", "/")] = value.T
    with path.open("r+b") as header:
        header.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512))


def write(folder, name, **replaced):
    """Write a tiny data set in the official format; keywords replace arrays."""
    folder.mkdir(parents=True, exist_ok=True)
    data = arrays(name) | replaced
    # MATLAB's (height, width, colour, n), which HDF5 lists as (n, colour, width, height).
    pictures = data["image"].transpose(1, 2, 3, 0)
    files = [folder / file for file in FILES[name]]
    if name == "mscoco":
        index = {"param__indexQuery": QUERY[:, None], "param__indexDatabase": DATABASE[:, None]}
        index |= {key: value for key, value in replaced.items() if key.startswith("param__")}
        write_v73(files[0], IAll=pictures, LAll=data["target"], XAll=data["features"], **index)
        np.save(files[1], data["text"])
        return folder
    write_v73(files[0], IAll=pictures)
    if name == "nuswide":
        write_v73(files[1], YAll=data["text"])
    else:
        savemat(files[1], {"YAll": data["text"]})
    savemat(files[2], {"LAll": data["target"]})
    return folder


@pytest.fixture(autouse=True)
def small_counts(monkeypatch):
    monkeypatch.setattr(_benchmarks, "MIRFLICKR_COUNTS", COUNTS)
    monkeypatch.setattr(_benchmarks, "NUSWIDE_COUNTS", COUNTS)
    monkeypatch.setattr(_benchmarks, "N_COCO_TRAIN", 10)


@pytest.fixture(params=FETCH)
def name(request):
    return request.param


@pytest.fixture
def folder(tmp_path, name):
    return write(tmp_path / name, name)


@pytest.mark.parametrize("subset", ["train", "query", "database", "all"])
def test_arrays_are_those_of_the_rows(folder, name, subset):
    bunch, data = FETCH[name](data_home=folder, subset=subset), arrays(name)
    assert len(bunch.row) > 0
    assert (np.diff(bunch.row) > 0).all()
    np.testing.assert_array_equal(bunch.text, data["text"][bunch.row])
    np.testing.assert_array_equal(bunch.target, data["target"][bunch.row])
    np.testing.assert_array_equal(np.stack(list(bunch.image)), data["image"][bunch.row])
    assert (bunch.text.dtype, bunch.target.dtype) == (np.float32, np.uint8)
    assert f":Pairs: {len(bunch.row)} here, subset '{subset}', of 60" in bunch.DESCR


def test_queries_and_database_are_everything_once(folder, name):
    rows = {
        subset: FETCH[name](data_home=folder, subset=subset).row
        for subset in ("train", "query", "database", "all")
    }
    assert np.array_equal(np.sort([*rows["query"], *rows["database"]]), rows["all"])
    assert set(rows["train"]) <= set(rows["database"])


def test_seed_gives_the_same_split_and_another_seed_another(folder, name):
    rows = [FETCH[name](data_home=folder, random_state=seed).row for seed in (0, 0, 1)]
    np.testing.assert_array_equal(rows[0], rows[1])
    assert not np.array_equal(rows[0], rows[2])


@pytest.mark.parametrize("name", ["mscoco"], indirect=True)
def test_coco_queries_are_those_of_the_file(folder):
    assert (fetch_mscoco(data_home=folder, subset="query").row + 1).tolist() == QUERY.tolist()
    assert (fetch_mscoco(data_home=folder, subset="database").row + 1).tolist() == DATABASE.tolist()
    assert len(fetch_mscoco(data_home=folder).row) == 10


@pytest.mark.parametrize("name", ["mscoco"], indirect=True)
def test_coco_features_can_be_had_in_place_of_pictures(folder):
    bunch = fetch_mscoco(data_home=folder, image="cnn-f")
    np.testing.assert_array_equal(
        bunch.image, arrays("mscoco")["features"][bunch.row].astype(np.float32)
    )
    assert "CNN-F" in bunch.DESCR


def test_featurizers_take_the_pictures_as_a_column_and_as_a_sequence(folder, name):
    bunch = FETCH[name](data_home=folder, subset="query")
    patches = PatchFeaturizer(3, image_size=16, random_state=0).fit(bunch.image)
    table = make_table(image=bunch.image, text=bunch.text)
    features = CrossModalFeaturizer(image=patches).fit_transform(table)
    assert features.shape == (
        len(bunch.row),
        patches.transform(bunch.image[:1]).shape[1] + WIDTHS[name][0],
    )
    parts = [
        patches.transform(bunch.image[start : start + 5]) for start in range(0, len(bunch.row), 5)
    ]
    np.testing.assert_allclose(np.vstack(parts), features.iloc[:, : parts[0].shape[1]], atol=1e-6)


def test_files_may_lie_where_skhash_data_says(folder, name, monkeypatch):
    monkeypatch.setenv("SKHASH_DATA", str(folder.parent))
    assert len(FETCH[name]().row) > 0


def test_missing_files_are_named_with_where_to_put_them(folder, name, home):
    (folder / FILES[name][-1]).unlink()
    with pytest.raises(FileNotFoundError, match="no folder holds all of") as caught:
        FETCH[name](data_home=folder)
    for part in [*FILES[name], str(folder), f"subfolders {name}", "data_home", "SKHASH_DATA"]:
        assert part in str(caught.value)
    assert os.listdir(home) == []


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"target": np.ones((N, 3))}, r"LAll is float64 of shape \(60, 3\), not real of \(n, "),
        ({"target": 2}, "LAll holds other values than 0 and 1"),
        ({"text": np.ones((N - 1, 5))}, r"of shape \(59, 5\), not real of \(60, "),
        ({"image": np.ones((N, 4, 4, 3))}, "IAll is float64 of shape"),
        ({"image": np.ones((N - 1, 4, 4, 3), np.uint8)}, r"not uint8 of shape \(60, 3, width"),
    ],
)
def test_wrong_array_raises_and_says_what_is_wrong(tmp_path, name, replaced, message):
    if np.isscalar(replaced.get("target")):
        replaced = {"target": np.full((N, WIDTHS[name][1]), replaced["target"])}
    folder = write(tmp_path / name, name, **replaced)
    with pytest.raises(ValueError, match=rf"cannot be read .*{message}.*: replace it by the off"):
        FETCH[name](data_home=folder)


def test_coco_numbers_beyond_the_rows_raise(tmp_path):
    folder = write(tmp_path, "mscoco", param__indexQuery=np.array([[0.0], [61.0]]))
    with pytest.raises(ValueError, match="param/indexQuery holds numbers that are not 1 to 60"):
        fetch_mscoco(data_home=folder)


def test_bag_of_words_with_objects_is_not_unpickled(tmp_path):
    folder = write(tmp_path, "mscoco", text=np.array([[print]]))
    with pytest.raises(ValueError, match=r"COCO_BoW\.npy cannot be read .*: replace it by"):
        fetch_mscoco(data_home=folder)


def test_unknown_options_raise(name):
    with pytest.raises(
        ValueError, match="subset must be one of 'train', 'query', 'database', 'all'"
    ):
        FETCH[name](subset="test")
    with pytest.raises(TypeError, match="random_state must be an integer, got None"):
        FETCH[name](random_state=None)
    with pytest.raises(ValueError, match="image must be one of 'pixels', 'cnn-f', got 'sift'"):
        fetch_mscoco(image="sift")


def test_h5py_that_is_not_installed_names_the_extra(folder, name, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r'pip install "scikit-hash\[hdf5\]"'):
        FETCH[name](data_home=folder)
