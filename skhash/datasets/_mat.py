"""Files of MATLAB: matrices of any version, and pictures one by one."""

import os
from collections.abc import Sequence
from contextlib import contextmanager
from numbers import Integral

import numpy as np

from .._inputs.messages import cut
from .._libraries import import_optional
from ._mat5 import read_mat5

BLOCK = 10_000  # rows of a matrix that are read at once
# What an HDF5 file may hold: compression makes at most 1,032 bytes of one, fill values any number.
ALWAYS, EXPANSION = 64 * 2**20, 1100


class MatPictures(Sequence):
    """Pictures of a MATLAB v7.3 file, each read when it is asked for.

    An integer gives a picture, a uint8 array of shape (height, width, 3). A slice, an array of rows
    or a mask gives another such sequence, which reads nothing yet. Pickles hold the path.

    Parameters
    ----------
    path : path-like
        The file.
    name : str
        Its variable: in HDF5's order, of shape (n_pictures, 3, width, height).
    rows : ndarray of shape (n_samples,), int64
        The pictures, in order.
    """

    def __init__(self, path, name, rows):
        self.path = path
        self.name = name
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        if isinstance(index, Integral):
            return next(iter(MatPictures(self.path, self.name, self.rows[[index]])))
        return MatPictures(self.path, self.name, self.rows[index])

    def __iter__(self):
        with open_hdf5(self.path) as file:
            pictures = variable_of(file, self.name)
            for row in self.rows:
                with official(self.path):
                    # A copy in NumPy's order: the file holds columns first, as MATLAB does.
                    picture = np.ascontiguousarray(pictures[row].T)
                yield picture

    def __repr__(self):
        return f"<{len(self)} pictures of {self.path}>"


def open_hdf5(path):
    """Open an HDF5 file for reading."""
    return _h5py().File(path, "r")


def variable_of(file, name):
    """Return a variable of an HDF5 file that lies in this file and holds no more than it can."""
    h5py = _h5py()
    found = file
    for part in name.split("/"):
        link = found.get(part, getlink=True) if isinstance(found, h5py.Group) else None
        if not isinstance(link, h5py.HardLink):
            fault = "does not exist" if link is None else "is a link, which may lead anywhere"
            raise ValueError(f"{name} {fault}")
        found = found[part]
    if not isinstance(found, h5py.Dataset) or found.is_virtual or found.external:
        raise ValueError(f"{name} is not a matrix within this file")
    if found.dtype.kind not in "biuf" or found.shape is None:
        raise ValueError(f"{name} holds {found.dtype} values, which are not real numbers")
    size = os.path.getsize(file.filename)
    if found.nbytes > max(ALWAYS, EXPANSION * size):
        raise ValueError(f"{name} would fill {found.nbytes} bytes, the file has {size}")
    return found


def is_hdf5(path):
    """Say whether a file is HDF5, as MATLAB's of version 7.3 are."""
    return _h5py().is_hdf5(path)


def open_pictures(path, name, n_pictures, rows):
    """Return some of the pictures of a MATLAB v7.3 file, whose layout is checked."""
    with official(path), open_hdf5(path) as file:
        found = variable_of(file, name)
        if found.ndim != 4 or found.shape[:2] != (n_pictures, 3) or found.dtype != np.uint8:
            raise ValueError(
                f"{name} is {found.dtype} of shape {found.shape}, not uint8 of shape "
                f"({n_pictures}, 3, width, height)"
            )
    return MatPictures(path, name, rows)


def read_matrix(path, name, shape, rows=None):
    """Read rows, or all, of a matrix of a MATLAB file of any version.

    Parameters
    ----------
    path : path-like
        The file.
    name : str
        Its variable.
    shape : tuple of (int or None, int)
        The shape that it must have; ``None`` means any number of rows.
    rows : ndarray of shape (n_samples,), int64, or None, default=None
        The rows to return, in ascending order; ``None`` means all of them.

    Returns
    -------
    ndarray of shape (n_samples, n_columns), float32
        The values.
    """
    with official(path):
        if not is_hdf5(path):
            matrices = read_mat5(path, [name])
            if name not in matrices:
                raise ValueError(f"{name} does not exist")
            return pick_rows(matrices[name], name, shape, rows)
        with open_hdf5(path) as file:
            # HDF5 lists the dimensions the other way round.
            return pick_rows(_Transposed(variable_of(file, name)), name, shape, rows)


def read_numbers(path, name, stop):
    """Read row numbers of a MATLAB v7.3 file, there counted from 1 and here from 0, ascending."""
    with official(path), open_hdf5(path) as file:
        numbers = np.unique(np.asarray(variable_of(file, name)))
        if not np.isin(numbers, np.arange(1, stop + 1)).all() or not numbers.size:
            raise ValueError(f"{name} holds numbers that are not 1 to {stop}")
    return numbers.astype(np.int64) - 1


def pick_rows(matrix, name, shape, rows=None):
    """Return rows, or all, of a matrix that is read in blocks, as float32."""
    n_rows, n_columns = shape
    if (
        len(matrix.shape) != 2
        or matrix.shape[1] != n_columns
        or n_rows not in (None, matrix.shape[0])
        or matrix.dtype.kind not in "biuf"
    ):
        wanted = f"({'n' if n_rows is None else n_rows}, {n_columns})"
        raise ValueError(f"{name} is {matrix.dtype} of shape {matrix.shape}, not real of {wanted}")
    rows = np.arange(matrix.shape[0]) if rows is None else rows
    picked = np.empty((len(rows), n_columns), dtype=np.float32)
    for start in range(0, matrix.shape[0], BLOCK):
        inside = slice(*np.searchsorted(rows, [start, start + BLOCK]))
        if inside.stop > inside.start:
            picked[inside] = matrix[start : start + BLOCK][rows[inside] - start]
    if not np.isfinite(picked).all():
        raise ValueError(f"{name} holds values that are not finite")
    return picked


@contextmanager
def official(path):
    """Turn any error of a parser into one that names the file."""
    try:
        yield
    except ImportError:
        raise
    except Exception as error:
        raise ValueError(
            f"{path} cannot be read ({type(error).__name__}: {cut(error)}): replace it by the "
            "official file."
        ) from error


class _Transposed:
    """A matrix of an HDF5 file with rows and columns swapped, read by slices of rows."""

    def __init__(self, variable):
        self.variable = variable
        self.shape = variable.shape[::-1]
        self.dtype = variable.dtype

    def __getitem__(self, rows):
        return self.variable[:, rows].T


def _h5py():
    return import_optional("h5py", extra="hdf5", purpose="reading MATLAB v7.3 files")
