"""Rows of features, a batch at a time, and what all methods need to know of them."""

import warnings

import numpy as np
from scipy import sparse
from sklearn.utils import check_consistent_length, gen_batches

from .._comparable import comparable
from .._ranking import average_precisions

CHUNK = 4096  # rows that are made dense at once where a whole block is gone through


def dense_rows(block, rows):
    """Return some rows as a dense float32 array."""
    taken = block[rows]
    if sparse.issparse(taken):
        taken = taken.toarray()
    # Writable, since torch shares the memory and warns of what it must not write to.
    return np.require(taken, np.float32, ["C", "W"])


def block_statistics(block, *, center):
    """Return the mean of each feature, the spread of the whole block and the rows of zeros.

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
    """
    n_rows, n_features = block.shape
    total, squares, empty = np.zeros(n_features), np.zeros(n_features), []
    for rows in gen_batches(n_rows, CHUNK):
        chunk = dense_rows(block, rows).astype(np.float64)
        total += chunk.sum(axis=0)
        squares += np.square(chunk).sum(axis=0)
        empty.append(rows.start + np.flatnonzero(~chunk.any(axis=1)))
    mean = total / n_rows if center else np.zeros(n_features)
    scale = float(np.sqrt(max(np.mean(squares / n_rows - mean**2), 0.0)))
    return mean.astype(np.float32), scale or 1.0, np.concatenate(empty)


def warn_of_empty_rows(block, empty):
    """Warn of rows without any feature."""
    if empty.size:
        shown = ", ".join(map(str, empty[:5])) + (", ..." if empty.size > 5 else "")
        warnings.warn(
            f"{empty.size} rows of the {block} block are all zeros (rows {shown}): they tell "
            "nothing of what they "
            "resemble; drop them, or widen the features (a larger max_features or a smaller "
            "min_df).",
            UserWarning,
            stacklevel=5,
        )


def check_groups(groups, block):
    """Return the group of each row of a block as integers from 0, or None."""
    if groups is None:
        return None
    check_consistent_length(block, groups)
    return np.unique(groups, return_inverse=True)[1]


def paired_score(image, text, y):
    """Return the mean average precision among pairs of binary codes, mean of both directions."""
    both = [
        average_precisions(*comparable(a, b), y, y, k=None, ties="expected", normalize="hits")
        for a, b in ((image, text), (text, image))
    ]
    return float(np.mean(both))


class Pairs:
    """The rows that a hasher learns from, and the group of each, as integers from 0."""

    def __init__(self, image, text, groups=None):
        self.blocks = {"image": image, "text": text}
        self.groups = groups

    def __len__(self):
        return self.blocks["image"].shape[0]

    def take(self, rows):
        """Return some of the pairs."""
        blocks = {name: block[rows] for name, block in self.blocks.items()}
        return Pairs(**blocks, groups=None if self.groups is None else self.groups[rows])

    def batches(self, batch_size, rng):
        """Deal all rows, in random order, into batches whose sizes differ by at most one."""
        n_batches = max(1, -(-len(self) // batch_size))
        return np.array_split(rng.permutation(len(self)), n_batches)
