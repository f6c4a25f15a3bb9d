"""Rows of features, a batch at a time, and the statistics that all methods need."""

import numpy as np
from scipy import sparse
from sklearn.utils import gen_batches

from .._hamming.comparable import compare_read
from .._inputs.checks import casting_features
from .._inputs.mapped import is_mapped, take
from .._inputs.messages import MANY, name_rows, warn
from .._ranking.scores import average_precisions

CHUNK = 4096  # rows that are made dense at once in a pass over a whole block
# A tenth of the spread: with less, all rows but the outliers get the same few codes.
_TYPICAL = 0.1**2
_FIRST = 256  # rows whose median stands in for the mean before that is known


def dense_rows(block, rows):
    """Return some rows as a dense float32 array."""
    taken = take(block, rows)
    if sparse.issparse(taken):
        taken = taken.toarray()
    with casting_features():
        # Writable, since torch shares the memory and warns of arrays that it must not write to.
        return np.require(taken, np.float32, ["C", "W"])


def block_statistics(block, *, center):
    """Return the mean of each feature, the spread of the whole block and rows to warn of.

    Parameters
    ----------
    block : array or CSR matrix of shape (n_samples, n_features)
        The features.
    center : bool
        Whether to measure the spread around the mean, or around 0 with a mean of 0.

    Returns
    -------
    mean : ndarray of shape (n_features,), float32
        The mean.
    scale : float
        Root mean square of all entries, less the mean; 1 where it is 0.
    empty : ndarray of int
        Indices of the rows that are all zeros.
    outlying : ndarray of int
        Indices of rows so far from the others that they alone determine the spread.
    """
    n_rows, n_features = block.shape
    # Distances are taken from the median of a few rows, which no outlier moves, not from the mean.
    start = np.zeros(n_features)
    if center:
        start += np.median(dense_rows(block, slice(0, _FIRST)), axis=0)
    total, squares, empty = np.zeros(n_features), np.zeros(n_features), []
    distances = np.empty(n_rows)
    for rows in gen_batches(n_rows, CHUNK):
        chunk = dense_rows(block, rows).astype(np.float64)
        empty.append(rows.start + np.flatnonzero(~chunk.any(axis=1)))
        chunk -= start
        total += chunk.sum(axis=0)
        np.square(chunk, out=chunk)
        squares += chunk.sum(axis=0)
        distances[rows] = chunk.sum(axis=1)
    shift = total / n_rows if center else np.zeros(n_features)
    scale = float(np.sqrt(max(np.mean(squares / n_rows - shift**2), 0.0)))
    mean = (start + shift).astype(np.float32)
    return mean, scale or 1.0, np.concatenate(empty), _outlying(distances)


def _outlying(distances):
    """Return the rows whose squared distances account for nearly all of the spread."""
    typical, mean = np.median(distances[distances > 0] if distances.any() else 0), distances.mean()
    if len(distances) < 8 or typical > _TYPICAL * mean:
        return np.empty(0, dtype=np.int64)
    return np.flatnonzero(distances > mean)


def warn_of_rows(block, values, empty, outlying):
    """Warn of rows without any feature, of rows far from all others, and if all are equal."""
    if not empty.size and _are_equal(values):
        warn(
            f"all {values.shape[0]} rows of the {block} block are equal, and so will be their "
            "codes: check the features.",
        )
    if empty.size:
        warn(
            f"{empty.size} rows of the {block} block are all zeros ({name_rows(empty)}): they "
            "carry no similarity information; drop them, or widen the features (a larger "
            "max_features or a smaller min_df).",
        )
    if outlying.size:
        warn(
            f"{outlying.size} rows of the {block} block are so far from all others "
            f"({name_rows(outlying)}) that the others will get nearly the same codes: correct or "
            "drop these rows, or scale the features with sklearn.preprocessing.RobustScaler and "
            "clip them.",
        )


def _are_equal(values):
    """Say whether many rows are equal, without reading beyond the first that differ."""
    n_rows = values.shape[0]
    if n_rows < MANY:
        return False
    first = dense_rows(values, slice(0, 1))
    return all(
        (dense_rows(values, rows) == first).all()
        for rows in (slice(0, MANY), *gen_batches(n_rows, CHUNK))
    )


def paired_score(image, text, y):
    """Return the mean average precision among pairs of binary codes, mean of both directions."""
    both = [
        average_precisions(*compare_read(a, b), y, y, k=None, ties="expected", normalize="hits")
        for a, b in ((image, text), (text, image))
    ]
    return float(np.mean(both))


class TakenRows:
    """Some rows of a memory map, read when they are asked for.

    Parameters
    ----------
    values : ndarray of shape (n, d)
        The map.
    rows : ndarray of shape (m,), int
        The rows.
    """

    def __init__(self, values, rows):
        self.values, self.rows = values, rows
        self.shape = len(rows), values.shape[1]

    def __getitem__(self, rows):
        return take(self.values, self.rows[rows])


class Pairs:
    """The rows that a hasher learns from, and their groups and labels, where there are any.

    Groups are integers from 0. Labels are integers from 0, one a row, or indicators, a bool for
    each row and label.
    """

    def __init__(self, image, text, groups=None, labels=None):
        self.blocks = {"image": image, "text": text}
        self.groups, self.labels = groups, labels

    def __len__(self):
        return self.blocks["image"].shape[0]

    def take(self, rows, *, in_files=False):
        """Return some of the pairs; with `in_files`, features of memory maps stay there."""
        blocks = {
            name: TakenRows(block, rows) if in_files and is_mapped(block) else take(block, rows)
            for name, block in self.blocks.items()
        }
        groups, labels = (None if ids is None else ids[rows] for ids in (self.groups, self.labels))
        return Pairs(**blocks, groups=groups, labels=labels)

    @property
    def relevant(self):
        """What makes a row relevant to another, for `paired_score`: labels, else groups."""
        return self.groups if self.labels is None else self.labels

    @property
    def n_labels(self):
        """Number of labels that occur, or None without labels."""
        if self.labels is None:
            return None
        if self.labels.ndim == 1:
            return len(np.unique(self.labels))
        return int(self.labels.any(axis=0).sum())

    def batches(self, batch_size, rng, without=()):
        """Split rows, in random order, into batches whose sizes differ by at most one."""
        rows = rng.permutation(len(self))
        if len(without):
            rows = rows[~np.isin(rows, without)]
        return np.array_split(rows, max(1, -(-len(rows) // batch_size)))
