"""One table, two column blocks: the contract that all modules share.

A sample is a row. A *raw* table has the columns ``image`` and ``text``. A *feature* or *code* table
has columns named ``image__*``, then columns named ``text__*``. A block is present if the table has
it in either form, and ``transform`` encodes all blocks that are present. Arrays have no column
names: they must hold pairs, and the number of leading image columns says where the image ends.
"""

import numbers
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
from scipy import sparse
from sklearn import get_config
from sklearn.base import BaseEstimator, TransformerMixin

from ._inputs.checks import check_choice

BLOCKS = ("image", "text")


def is_table(X):
    """Say whether `X` is a dataframe (of any library that narwhals reads)."""
    return isinstance(nw.from_native(X, eager_only=True, pass_through=True), nw.DataFrame)


def table_columns(X):
    """Return the column names of a dataframe as a list, or None for anything else."""
    frame = nw.from_native(X, eager_only=True, pass_through=True)
    return [str(name) for name in frame.columns] if isinstance(frame, nw.DataFrame) else None


def table_column(X, name):
    """Return one column of a dataframe as a 1-D array."""
    column = nw.from_native(X, eager_only=True)[name]
    if column.dtype != nw.Struct:
        return column.to_numpy()
    values = np.empty(len(column), dtype=object)
    values[:] = column.to_list()  # an array from polars would split the cells into their fields
    return values


def block_names(block, names):
    """Prefix the column names of a block.

    >>> block_names("image", ["pixel0", "pixel1"])
    ['image__pixel0', 'image__pixel1']
    """
    return [f"{block}__{name}" for name in names]


def block_of(name):
    """Return the block that a column name belongs to, whatever its prefix, or None.

    >>> block_of("image__bit0"), block_of("union__text__bit0"), block_of("image")
    ('image', 'text', None)
    """
    return next((part for part in name.split("__")[:-1] if part in BLOCKS), None)


def named_columns(columns):
    """Find the columns of each block of codes, in any order.

    Parameters
    ----------
    columns : list of str
        Names of the columns.

    Returns
    -------
    dict of str to slice or ndarray
        Columns of each block that is present, image first; empty if no name belongs to a block.

    Raises
    ------
    ValueError
        If some names belong to a block and others do not, or a name belongs to both, or numbered
        names are not in the order of their numbers.
    """
    blocks = [block_of(name) for name in columns]
    if not any(blocks):
        return {}
    for name, block in zip(columns, blocks, strict=True):
        if block is None or set(BLOCKS) <= set(name.split("__")[:-1]):
            raise ValueError(
                f"the column names do not tell image from text, got {name!r} beside names of image "
                "and text columns: name every column image__* or text__*, or drop it."
            )
    _check_order(columns)
    found = {block: np.flatnonzero([b == block for b in blocks]) for block in BLOCKS}
    return {
        block: slice(places[0], places[-1] + 1) if len(places) == np.ptp(places) + 1 else places
        for block, places in found.items()
        if len(places)
    }


def _check_order(columns):
    """Raise an error if numbered columns are in another order, such as that of the alphabet."""
    numbered = {}
    for name in columns:
        stem = name.rstrip("0123456789")
        if stem != name:
            numbered.setdefault(stem, []).append(int(name[len(stem) :]))
    for stem, found in numbered.items():
        # Words that are numbers may be columns, too; they are not all numbers of a range.
        if found != sorted(found) and sorted(found) == list(range(min(found), max(found) + 1)):
            before, after = next(pair for pair in pairwise(found) if pair[0] > pair[1])
            raise ValueError(
                f"the columns {stem}* must be in the order of their numbers, got {stem}{before} "
                f"before {stem}{after}: bring them into the order in which transform returns them."
            )


def block_slices(columns):
    """Find the blocks among the columns of a feature or code table.

    Parameters
    ----------
    columns : list of str
        Names of the columns.

    Returns
    -------
    dict of str to slice
        The columns of each block that is present, image first.

    Raises
    ------
    ValueError
        If a name belongs to no block, or a text column stands before an image column.

    Examples
    --------
    >>> block_slices(["image__0", "image__1", "text__dog"])
    {'image': slice(0, 2, None), 'text': slice(2, 3, None)}
    """
    blocks = [block_of(name) for name in columns]
    unknown = [name for name, block in zip(columns, blocks, strict=True) if block is None]
    if unknown:
        shown = ", ".join(map(repr, unknown[:3])) + (", ..." if len(unknown) > 3 else "")
        remedy = (
            "raw images and texts go through a CrossModalFeaturizer first."
            if set(columns) <= set(BLOCKS)
            else "rename them, build the table with skhash.make_table, or set n_image_features to "
            "say how many leading columns are the image."
        )
        raise ValueError(f"every column must be named image__* or text__*, got {shown}: {remedy}")
    n_images = blocks.count("image")
    if "text" in blocks[:n_images]:
        raise ValueError(
            "the columns are in the wrong order: all image__* columns must come before all "
            "text__* columns."
        )
    slices = {"image": slice(0, n_images), "text": slice(n_images, len(columns))}
    return {block: part for block, part in slices.items() if part.stop > part.start}


class BlockTransformer(TransformerMixin, BaseEstimator):
    """Base of transformers of block tables.

    The columns of the result vary with the blocks that a table holds. So scikit-learn's own
    wrapping of ``transform``, whose columns are fixed in ``fit``, is turned off and replaced by
    `set_output` and `_wrap_output`.
    """

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(auto_wrap_output_keys=None, **kwargs)

    def set_output(self, *, transform=None):
        """Choose the container of the result.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"}, default=None
            Container of what ``transform`` and ``fit_transform`` return; ``None`` changes nothing.

        Returns
        -------
        self : object
            The estimator.
        """
        if transform is not None:
            _check_container(transform)
            # The attribute's name is scikit-learn's: clone copies it.
            self._sklearn_output_config = {"transform": transform}
        return self

    def _wrap_output(self, data, names, X, default="default"):
        """Return an array in the requested container, with the index of the table."""
        chosen = output_container(self)
        container: Any = default if chosen == "default" else chosen
        if container == "default":
            return data
        if sparse.issparse(data):
            raise ValueError(
                f"a sparse result cannot be a {container} dataframe: use "
                "set_output(transform='default')."
            )
        if container == "pandas":
            index = X.index if isinstance(X, pd.DataFrame) else None
            return pd.DataFrame(data, columns=list(names), index=index)
        return nw.from_numpy(data, schema=list(names), backend=container).to_native()


def output_container(transformer):
    """Return the container that `set_output`, of it or of scikit-learn, chose for a transformer."""
    config = getattr(transformer, "_sklearn_output_config", {})
    return _check_container(config.get("transform", get_config()["transform_output"]))


def _check_container(container):
    check_choice(container, "transform", ("default", "pandas", "polars"))
    if container == "polars" and not find_spec("polars"):
        raise ImportError(
            "set_output(transform='polars') needs polars, which is not installed: pip install "
            "polars, or choose 'pandas'."
        )
    return container


def make_table(image=None, text=None):
    """Build a raw, feature or code table from arrays or lists.

    Rows are paired by position, also those of dataframes and series with different indexes.

    Parameters
    ----------
    image : array-like, default=None
        An image in each row. A one-dimensional sequence (paths, pictures) becomes the column
        ``image``. A two-dimensional numeric or boolean array (NumPy, sparse or a torch tensor), or
        a list of vectors of equal length, is a block of features or codes, and becomes the columns
        ``image__0``, ``image__1``, .... The columns of a dataframe keep their names, with the
        prefix ``image__`` added if it is missing.
    text : array-like, default=None
        A text in each row, likewise.

    Returns
    -------
    pandas.DataFrame of shape (n_samples, n_columns)
        The table, image block first.

    Raises
    ------
    TypeError
        If a tensor cannot be converted to an array, because it requires a gradient or is not on the
        CPU.
    ValueError
        If neither argument is given, the two have different numbers of rows, or the vectors of a
        list have different lengths.

    Examples
    --------
    >>> import numpy as np
    >>> from skhash import make_table
    >>> list(make_table(image=np.zeros((2, 3)), text=["a dog", "a cat"]).columns)
    ['image__0', 'image__1', 'image__2', 'text']
    """
    blocks = {"image": image, "text": text}
    blocks = {
        block: _block_frame(block, values) for block, values in blocks.items() if values is not None
    }
    if not blocks:
        raise ValueError("a table needs at least one block: give image, text or both.")
    lengths = {block: len(frame) for block, frame in blocks.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(
            f"image and text must pair row by row, got {lengths['image']} images and "
            f"{lengths['text']} texts."
        )
    # Column blocks are joined by position: an index says nothing about pairs.
    index = next(iter(blocks.values())).index
    return pd.concat([frame.set_axis(index) for frame in blocks.values()], axis=1)


def _block_frame(block, values):
    if sparse.issparse(values):
        values = values.toarray()
    columns = table_columns(values)
    if columns is not None:
        named = [name if name.startswith(f"{block}__") else f"{block}__{name}" for name in columns]
        return nw.from_native(values, eager_only=True).to_pandas().set_axis(named, axis=1)
    values = _as_matrix(block, values)
    if isinstance(values, np.ndarray) and values.ndim == 2:
        return pd.DataFrame(values, columns=block_names(block, range(values.shape[1])))
    if isinstance(values, np.ndarray) and values.ndim > 2:
        values = list(values)  # a stack of pictures: one array a row
    if isinstance(values, pd.Series):
        return values.to_frame(block)
    column = np.empty(len(values), dtype=object)
    for row, value in enumerate(values):  # one by one: NumPy would unpack a list of equal arrays
        column[row] = value
    return pd.DataFrame({block: column})


def _as_matrix(block, values):
    """Return a tensor as an array and a list of vectors as a matrix; anything else as it is."""
    if _is_tensor(values):
        return _to_array(block, values)
    if not isinstance(values, (list, tuple)):
        return values
    rows = [_to_array(block, row) if _is_tensor(row) else row for row in values]
    if not rows or not all(map(_is_vector, rows)):
        return rows
    lengths = list(map(len, rows))
    for row, length in enumerate(lengths):
        if length != lengths[0]:
            raise ValueError(
                f"{block} is a list of vectors, which must have one length, got {length} numbers "
                f"in row {row} beside {lengths[0]} in row 0: give vectors of one length."
            )
    return np.array(rows)


def _is_tensor(values):
    return hasattr(values, "detach") and hasattr(values, "__array__")


def _is_vector(row):
    if isinstance(row, np.ndarray):
        return row.ndim == 1 and row.dtype.kind in "biuf"
    kinds = (numbers.Real, np.bool_)  # a bool of Python is a number
    is_list = isinstance(row, (list, tuple)) and len(row) > 0
    return is_list and all(isinstance(value, kinds) for value in row)


def _to_array(block, tensor):
    try:
        return np.asarray(tensor)
    except (RuntimeError, TypeError) as error:
        raise TypeError(
            f"{block} is a tensor that NumPy cannot read ({str(error).splitlines()[0]}): give "
            "tensor.detach().float().cpu().numpy()."
        ) from error
