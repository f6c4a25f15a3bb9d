"""Indexes of Dask codes: the words stay on the workers, all else is as in one process."""

from functools import partial

import numpy as np
import pandas as pd

from .._blocks import named_columns, table_columns
from .._hamming.shards import ShardedWords, shard_codes
from .._ranking.scorer import paired_codes
from ..codes import FORMATS, read_codes


def read_sharded(index, X, check, *, reset):
    """Return the words of each block of Dask codes, which workers hold from now on.

    Parameters
    ----------
    index : HammingRetriever
        The index.
    X : dask.array.Array or dask.dataframe.DataFrame of shape (n_samples, n_columns)
        The codes.
    check : callable
        ``check(index, codes, reset=reset)`` checks the columns of codes against the index, or sets
        what the index knows of them.
    reset : bool
        Whether these are the first codes of the index.

    Returns
    -------
    dict of str to ShardedWords of shape (n_words, n_samples)
        The words of ``"codes"``, or of ``"image"`` and ``"text"``.
    """
    if index.algorithm == "faiss-ivf":
        raise ValueError(
            "algorithm='faiss-ivf' searches codes in the memory of this process, got Dask codes: "
            "set algorithm='auto', or give codes.compute()."
        )
    if not reset and not isinstance(next(iter(index.words_.values())), ShardedWords):
        raise TypeError(
            "the index is in the memory of this process, got Dask codes: give codes.compute(), or "
            "fit the index with all of the Dask codes."
        )
    codes = shard_codes(X, partial(_blocks, index.paired if reset else index.paired_))
    first, names = next(iter(codes.values())), getattr(X, "columns", None)
    # One row that stands for all: it has their format and their columns.
    row = np.zeros((1, len(codes) * first.shape[1]), first.dtype)
    if first.dtype != FORMATS["packed"]:
        row += row.dtype.type(1) if row.dtype != FORMATS["real"] else row.dtype.type(0.5)
    check(index, row if names is None else pd.DataFrame(row, columns=list(names)), reset=reset)
    return {block: part.words for block, part in codes.items()}


def refuse_sharded(index, what):
    """Raise an error if the codes of an index are on Dask workers, which cannot do something."""
    if any(isinstance(words, ShardedWords) for words in index.words_.values()):
        raise TypeError(f"codes on Dask workers cannot {what}.")


def _blocks(paired, chunk):
    """Split the codes of a chunk into blocks, as one process would."""
    columns = table_columns(chunk)
    named = paired is not False and columns is not None
    codes = read_codes(chunk)
    if paired or (named and len(named_columns(columns)) == 2):
        return paired_codes(codes, columns)
    return {"codes": codes}
