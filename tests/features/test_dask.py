import os
import signal
import sys
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skhash import make_table
from skhash.features import (
    BoWTextFeaturizer,
    CLIPFeaturizer,
    CrossModalFeaturizer,
    list_features,
    transform_partitions,
)
from skhash.hashing import CFRHHasher

dask = pytest.importorskip("dask")
frames = pytest.importorskip("dask.dataframe")


@pytest.fixture
def one_process():
    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.fixture
def path(tmp_path):
    folder = tmp_path / "features"
    folder.mkdir()
    return folder / "all.npy"


def counted(n_rows):
    return pd.Series(np.arange(n_rows, dtype=np.float64), name="number")


def squares(rows):
    return np.column_stack([rows, rows**2]).astype(np.float32)


@pytest.fixture
def squarer():
    return FunctionTransformer(squares)


def split_at(rows, *stops):
    """A Dask object whose partitions end at the stops."""
    edges = [0, *stops, len(rows)]
    parts = [rows.iloc[a:b] for a, b in pairwise(edges)]
    return frames.from_map(lambda number: parts[number], range(len(parts)), meta=rows.iloc[:0])


def test_pictures_give_the_same_on_two_processes_as_on_one(cluster, folder_model, paths, path):
    # A worker of Dask may start no processes, so it reads the pictures itself.
    featurizer = CLIPFeaturizer(folder_model, device="cpu", n_workers=1)
    images = pd.DataFrame({"image": [str(path) for path in paths]})
    X = frames.from_pandas(images, npartitions=3)
    features = transform_partitions(featurizer, X, path)
    np.testing.assert_allclose(features, featurizer.transform(images), atol=1e-5)
    assert features.dtype == np.float32


def test_workers_share_a_cache(cluster, folder_model, paths, path, tmp_path):
    featurizer = CLIPFeaturizer(folder_model, device="cpu", cache_dir=tmp_path / "cache")
    images = pd.Series([str(path) for path in paths])
    features = transform_partitions(featurizer, frames.from_pandas(images, npartitions=3), path)
    assert list_features(tmp_path / "cache")["n_items"].tolist() == [len(paths)]
    np.testing.assert_array_equal(features, featurizer.transform(images))


def test_codes_are_the_same_bits_on_two_processes_as_on_one(cluster, pairs, path):
    words = np.array(["cat", "dog", "red", "blue", "two", "on", "mat", "sea", "sky"])
    texts = [" ".join(["sight", *words[row > 0.5]]) for row in pairs[:, 6:]]
    table = make_table(image=pairs[:, :6], text=texts)
    model = make_pipeline(
        CrossModalFeaturizer(text=BoWTextFeaturizer(sparse_output=False)),
        CFRHHasher(n_bits=16, batch_size=15, output="packed", random_state=0),
    ).fit(table)
    codes = transform_partitions(model, frames.from_pandas(table, npartitions=4), path)
    assert codes.dtype == np.uint8
    np.testing.assert_array_equal(codes, model.transform(table))


def test_texts_give_the_same_on_two_processes_as_on_one(cluster, path):
    texts = pd.Series([f"{row} dogs and {row % 3} cats" for row in range(20)])
    featurizer = BoWTextFeaturizer(sparse_output=False).fit(texts)
    features = transform_partitions(featurizer, frames.from_pandas(texts, npartitions=5), path)
    np.testing.assert_array_equal(features, featurizer.transform(texts))


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_a_killed_worker_loses_and_doubles_nothing(cluster, path, tmp_path):
    calls = tmp_path / "calls"
    calls.mkdir()

    def encode(rows):
        (calls / f"{int(rows.iloc[0])} {os.getpid()}").touch()
        if rows.iloc[0] == 8 and len(list(calls.glob("8 *"))) == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return np.column_stack([rows, rows**2])

    rows = counted(20)
    features = transform_partitions(
        FunctionTransformer(encode), split_at(rows, *range(2, 20, 2)), path
    )
    np.testing.assert_array_equal(features, np.column_stack([rows, rows**2]))
    assert len(list(calls.glob("8 *"))) == 2
    assert os.listdir(path.parent) == [path.name]


def test_an_error_on_a_worker_names_the_partition(cluster, path):
    def encode(rows):
        if rows.iloc[0] == 4:
            raise KeyError("no such word")
        return rows.to_numpy()[:, None]

    with pytest.raises(KeyError, match=r"no such word.*\n.*partition 2 of X"):
        transform_partitions(FunctionTransformer(encode), split_at(counted(8), 2, 4, 6), path)
    assert not path.exists()


def test_the_transformer_is_sent_once_and_not_with_every_partition(cluster, path, tmp_path):
    arrivals = tmp_path / "arrivals"
    arrivals.mkdir()

    class Sent:
        def __setstate__(self, state):
            (arrivals / os.urandom(8).hex()).touch()

        def __getstate__(self):
            return {"state": True}

        def transform(self, rows):
            return rows.to_numpy()[:, None]

    transform_partitions(Sent(), split_at(counted(40), *range(2, 40, 2)), path)
    assert 1 <= len(os.listdir(arrivals)) <= 3  # the scheduler and two workers


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
def test_it_runs_without_a_cluster(scheduler, squarer, path):
    rows = counted(11)
    with dask.config.set(scheduler=scheduler):
        features = transform_partitions(squarer, frames.from_pandas(rows, npartitions=4), path)
    np.testing.assert_array_equal(features, squares(rows))


@pytest.mark.usefixtures("one_process")
class TestInOneProcess:
    def test_rows_keep_their_order_whatever_their_index(self, squarer, path):
        rows = counted(9)[::-1]
        features = transform_partitions(squarer, split_at(rows, 4, 5), path)
        np.testing.assert_array_equal(features, squares(rows))

    def test_empty_partitions_give_no_rows(self, squarer, path):
        rows = counted(5)
        features = transform_partitions(squarer, split_at(rows, 0, 3, 3, 5), path)
        np.testing.assert_array_equal(features, squares(rows))

    def test_the_result_is_a_read_only_map_of_a_file_of_numpy(self, squarer, path):
        features = transform_partitions(squarer, split_at(counted(5), 2), str(path))
        assert isinstance(features, np.memmap)
        assert not features.flags.writeable
        np.testing.assert_array_equal(np.load(path), features)
        assert os.listdir(path.parent) == [path.name]

    @pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.int64, np.bool_])
    def test_the_dtype_is_that_of_the_transformer(self, dtype, path):
        as_dtype = FunctionTransformer(lambda rows: rows.to_numpy()[:, None].astype(dtype))
        features = transform_partitions(as_dtype, split_at(counted(5), 2), path)
        np.testing.assert_array_equal(features, counted(5).to_numpy()[:, None].astype(dtype))
        assert features.dtype == dtype

    def test_dataframes_and_columns_in_another_memory_order_are_written_by_row(self, path):
        frame = FunctionTransformer(lambda rows: pd.DataFrame(np.asfortranarray(squares(rows))))
        features = transform_partitions(frame, split_at(counted(5), 2), path)
        np.testing.assert_array_equal(features, squares(counted(5)))

    @pytest.mark.parametrize("convert", [True, False])
    @pytest.mark.parametrize("kind", [pd.Series, pd.DataFrame])
    @pytest.mark.filterwarnings("ignore:.*hold none of the .* known terms")
    def test_featurizers_read_the_strings_of_dask(self, kind, convert, path):
        texts = kind(np.array(["a cat", "two dogs", "", "a dog"], dtype=object))
        featurizer = BoWTextFeaturizer(sparse_output=False).fit(texts)
        with dask.config.set({"dataframe.convert-string": convert}):
            X = frames.from_pandas(texts, npartitions=2)
            features = transform_partitions(featurizer, X, path)
        np.testing.assert_array_equal(features, featurizer.transform(texts))

    def test_a_path_that_is_there_is_refused_and_kept(self, squarer, path):
        path.write_bytes(b"mine")
        with pytest.raises(FileExistsError, match=r"all\.npy' is there already: delete it"):
            transform_partitions(squarer, split_at(counted(5), 2), path)
        assert path.read_bytes() == b"mine"

    def test_a_missing_folder_is_an_error(self, squarer, path):
        with pytest.raises(FileNotFoundError, match=r"there is no folder .*nowhere': make it"):
            transform_partitions(squarer, split_at(counted(5), 2), path.parent / "nowhere" / "x")

    @pytest.mark.parametrize("X", [counted(4), [1, 2], "text"])
    def test_only_what_dask_splits_is_taken(self, X, squarer, path):
        with pytest.raises(TypeError, match=rf"of Dask, got {type(X).__name__}: make one"):
            transform_partitions(squarer, X, path)

    def test_what_cannot_transform_is_refused(self, path):
        with pytest.raises(TypeError, match="must have a transform, got ndarray"):
            transform_partitions(np.eye(2), split_at(counted(4), 2), path)

    def test_a_table_without_rows_is_an_error(self, squarer, path):
        with pytest.raises(ValueError, match="X has no rows"):
            transform_partitions(squarer, split_at(counted(0), 0), path)

    @pytest.mark.parametrize(
        ("made", "error", "message"),
        [
            (lambda rows: sparse.eye_array(len(rows)), TypeError, "sparse_output=False"),
            (lambda rows: rows.to_numpy(), TypeError, r"got float64 of shape \(2,\)"),
            (lambda rows: rows.astype(str).to_frame(), TypeError, "matrix of numbers, got"),
            (lambda rows: np.ones((1, 2)), ValueError, "transform returned 1 rows for 2 rows"),
        ],
        ids=["sparse", "one-dimensional", "strings", "dropped rows"],
    )
    def test_bad_results_are_errors_that_name_the_partition(self, made, error, message, path):
        def encode(rows):
            return made(rows) if rows.iloc[0] == 2 else np.ones((len(rows), 2))

        with pytest.raises(error, match=rf"{message}[^\n]*\n.*partition 1 of X"):
            transform_partitions(FunctionTransformer(encode), split_at(counted(4), 2), path)
        assert not os.listdir(path.parent)

    @pytest.mark.parametrize(
        ("made", "message"),
        [
            (np.ones((2, 3)), "partition 2 of X gave 3 columns of float64, partition 1 2 of"),
            (np.ones((2, 2), dtype=np.int8), "gave 2 columns of int8, partition 1 2 of float64"),
        ],
        ids=["width", "dtype"],
    )
    def test_partitions_must_agree_on_their_columns(self, made, message, path):
        def encode(rows):
            return made if rows.iloc[0] == 2 else np.ones((len(rows), 2))

        with pytest.raises(ValueError, match=message):
            transform_partitions(FunctionTransformer(encode), split_at(counted(4), 0, 2), path)
        assert not os.listdir(path.parent)

    def test_a_worker_that_does_not_see_the_folder_says_so(self, squarer, path):
        def read(number):
            for folder in path.parent.glob("*.parts"):  # as if this were another machine
                folder.rmdir()
            return counted(2)

        X = frames.from_map(read, range(2), meta=counted(0))
        with pytest.raises(FileNotFoundError, match=r"not see the folder .*all workers share"):
            transform_partitions(squarer, X, path)
        assert not os.listdir(path.parent)

    def test_a_missing_dask_names_its_extra(self, monkeypatch, squarer, path):
        X = split_at(counted(4), 2)
        monkeypatch.setitem(sys.modules, "dask", None)
        with pytest.raises(ImportError, match=r'needs dask.*pip install "scikit-hash\[dask\]"'):
            transform_partitions(squarer, X, path)
