"""Features of a table that is longer than memory, by the workers of Dask."""

import secrets
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import sparse

from .._libraries import import_optional
from ._cache.files import written

_BUFFER = 1 << 24  # bytes that are copied at once


class _Part(NamedTuple):
    """What a worker tells of the file that it wrote."""

    shape: tuple
    dtype: str


def transform_partitions(transformer, X, path):
    """Transform a Dask dataframe, partition by partition, into one memory-mapped file.

    Row `i` of the file is the transformed row `i` of `X`. Each partition is one Dask task, which
    writes its rows to a separate file. At the end, these files are joined. Rows never pass through
    the scheduler, and a worker only has the rows of one partition in memory. If a worker dies, Dask
    runs the task again, which replaces the file.

    Parameters
    ----------
    transformer : object
        A fitted estimator whose ``transform`` turns each row of a pandas dataframe or series into a
        row of numbers, independently of the other rows: for example a `CLIPFeaturizer`, a
        `CrossModalFeaturizer`, or a `Pipeline` that ends with a hasher and returns codes. It is
        sent to each worker once.
    X : dask.dataframe.DataFrame or dask.dataframe.Series
        The rows. Partitions may be empty.
    path : str or os.PathLike
        The ``.npy`` file to write, in a folder that has the same path for this process and all
        workers. The files of the partitions are written to a temporary folder next to it,
        ``<path>.<random>.parts``.

    Returns
    -------
    memmap of shape (n_samples, n_features)
        The rows, read-only. Open them again later with ``numpy.load(path, mmap_mode="r")``.

    Raises
    ------
    FileExistsError
        If `path` already exists.
    FileNotFoundError
        If the folder of `path` does not exist, for this process or for a worker.
    TypeError
        If `X` is not a Dask dataframe or series, `transformer` has no ``transform``, or its result
        is sparse or not numeric.
    ValueError
        If `X` has no rows, or the result for a partition has a different number of rows than the
        partition, or a different number of columns or dtype than that of the first partition.
        Errors of the transformer are raised with a note that names the partition. After an error,
        there is no file at `path`.
    ImportError
        If Dask is not installed (extra ``dask``).

    Notes
    -----
    Tasks run on the current scheduler of Dask: that of the current ``distributed.Client``, or
    threads of this process if there is none. Attributes that a transformer sets in ``transform``,
    such as `CLIPFeaturizer.errors_`, stay on the workers.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import dask.dataframe as dd
    >>> import pandas as pd
    >>> from skhash.features import BoWTextFeaturizer, transform_partitions
    >>> texts = pd.Series(["two dogs", "a cat", "a dog", "two cats"])
    >>> featurizer = BoWTextFeaturizer(sparse_output=False).fit(texts)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "texts.npy"
    ...     features = transform_partitions(featurizer, dd.from_pandas(texts, npartitions=2), path)
    ...     features.shape, features.dtype
    ((4, 4), dtype('float32'))
    """
    dask = import_optional("dask", extra="dask", purpose="transform_partitions")
    frames = import_optional("dask.dataframe", extra="dask", purpose="transform_partitions")
    if not isinstance(X, (frames.DataFrame, frames.Series)):
        raise TypeError(
            f"X must be a dataframe or a series of Dask, got {type(X).__name__}: make one, for "
            "example with dask.dataframe.from_pandas."
        )
    if not hasattr(transformer, "transform"):
        raise TypeError(
            f"transformer must have a transform, got {type(transformer).__name__}: give a fitted "
            "transformer."
        )
    path = Path(path).absolute()  # a worker may work in another folder
    if path.exists():
        raise FileExistsError(f"{str(path)!r} is there already: delete it or give another path.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {str(path.parent)!r}: make it first.")
    run = secrets.token_hex(8)  # a task of an earlier run may still be writing
    folder = path.with_name(f"{path.name}.{run}.parts")
    folder.mkdir()
    try:
        shared = dask.delayed(transformer, traverse=False, pure=False)
        parts = dask.compute(
            *(
                dask.delayed(_write_part, pure=False)(
                    shared, rows, number, folder, dask_key_name=f"partition-{number}-{run}"
                )
                for number, rows in enumerate(X.to_delayed())
            )
        )
        _join(parts, folder, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return np.load(path, mmap_mode="r")


def _write_part(transformer, rows, number, folder):
    """Write the features of one partition, and return what they are, or None if it is empty."""
    if not len(rows):
        return None
    if not folder.is_dir():
        raise FileNotFoundError(
            f"a worker does not see the folder {str(folder)!r}: give a path on a file system that "
            "all workers share with the process that calls."
        )
    try:
        features = _as_matrix(transformer.transform(rows))
        if len(features) != len(rows):
            raise ValueError(
                f"transform returned {len(features)} rows for {len(rows)} rows: give a "
                "transformer that keeps every row."
            )
    except Exception as error:
        error.add_note(f"This is partition {number} of X, and its rows are counted from its start.")
        raise
    with written(_part_path(folder, number)) as file:
        file.write(features)
    return _Part(features.shape, features.dtype.str)


def _as_matrix(features):
    if sparse.issparse(features):
        raise TypeError(
            "transform returned a sparse matrix, and the file contains a dense array: set "
            "sparse_output=False, or append a TruncatedSVD in a Pipeline."
        )
    features = np.asarray(features)
    if features.ndim != 2 or features.dtype.kind not in "biuf":
        raise TypeError(
            f"transform must return a matrix of numbers, got {features.dtype} of shape "
            f"{features.shape}: give a transformer that returns a row of numbers for each row."
        )
    return np.ascontiguousarray(features)


def _join(parts, folder, path):
    """Write the file of all rows from the files of the partitions."""
    filled = {number: part for number, part in enumerate(parts) if part is not None}
    if not filled:
        raise ValueError("X has no rows: at least one is needed.")
    first, like = next(iter(filled.items()))
    width, dtype = like.shape[1], np.dtype(like.dtype)
    for number, part in filled.items():
        if (part.shape[1], part.dtype) != (width, like.dtype):
            raise ValueError(
                f"partition {number} of X gave {part.shape[1]} columns of {np.dtype(part.dtype)}, "
                f"partition {first} {width} of {dtype}: give a transformer whose columns do not "
                "depend on the rows."
            )
    header = {
        "descr": like.dtype,
        "fortran_order": False,
        "shape": (sum(part.shape[0] for part in filled.values()), width),
    }
    with written(path) as file:
        np.lib.format.write_array_header_1_0(file, header)
        for number in filled:
            source = _part_path(folder, number)
            with source.open("rb") as rows:
                shutil.copyfileobj(rows, file, _BUFFER)
            source.unlink()  # so that the disk never holds the rows twice


def _part_path(folder, number):
    return folder / f"{number}.part"
