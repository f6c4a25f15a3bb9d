"""Graphs of the nearest neighbours among all pairs, from which a batch takes its part."""

import numpy as np
import torch
from scipy import sparse
from sklearn.utils import gen_batches

from .._pairs import CHUNK
from . import functional as F

DENSE = 5000  # rows up to which a matrix of all pairs is kept
STRIP = 2**24  # similarities that are held at once while neighbours are found


class NeighborGraph:
    """Weights of the edges from each row to its neighbours, 0 elsewhere.

    Up to 5,000 rows they are a dense tensor; past that only the neighbours are kept, and a batch
    is computed from its sparse rows.

    Parameters
    ----------
    weights : CSR matrix of shape (n_samples, n_samples)
        The weights.
    device : torch.device
        Device of the batches.
    """

    def __init__(self, weights, device):
        self.weights, self.device = weights, device
        if weights.shape[0] <= DENSE:
            self.weights = torch.from_numpy(weights.toarray()).to(device)

    def between(self, rows):
        """Return the weights among the rows of a batch, (m, m)."""
        return self._dense(self.weights[rows][:, rows])

    def shared(self, rows):
        """Return the product of the weights of two rows, summed over neighbours, (m, m)."""
        weights = self.weights[rows]
        return self._dense(weights @ weights.T)

    def _dense(self, part):
        if sparse.issparse(part):
            part = torch.from_numpy(part.toarray()).to(self.device)
        return part


def count_neighbors(n_neighbors, n_rows):
    """Return how many neighbours a row has: by default a quarter of the rows, at most 1,000.

    Parameters
    ----------
    n_neighbors : int or None
        The parameter.
    n_rows : int
        Rows of the graph.

    Returns
    -------
    int
        At least 1, and fewer than the rows.
    """
    wanted = min(1000, n_rows // 4) if n_neighbors is None else n_neighbors
    return max(1, min(wanted, n_rows - 1))


def nearest_neighbors(directions, n_rows, n_neighbors, excluded=None):
    """Find the rows that are most similar to each row.

    Parameters
    ----------
    directions : callable
        Some rows, as a slice, to vectors whose dot products are the similarities.
    n_rows : int
        Rows in all.
    n_neighbors : int
        Neighbours of a row.
    excluded : callable, default=None
        Some rows, as a slice, to a bool tensor of shape (m, n_rows): which rows are no neighbours
        of theirs. There may be fewer neighbours then.

    Returns
    -------
    CSR matrix of shape (n_rows, n_rows), float32
        The similarities of each row to its neighbours; those below 0 are 0.
    """
    indices, values = [], []
    for rows in gen_batches(n_rows, max(1, STRIP // n_rows)):
        own = directions(rows)
        parts = [own @ directions(others).T for others in gen_batches(n_rows, CHUNK)]
        similarity = torch.cat(parts, dim=1)
        if excluded is not None:
            similarity = similarity.masked_fill(excluded(rows), 0.0)
        nearest = similarity.topk(n_neighbors, dim=1)
        values.append(nearest.values.clamp(min=0).cpu().numpy())
        indices.append(nearest.indices.cpu().numpy())
    starts = np.arange(0, n_rows * n_neighbors + 1, n_neighbors)
    graph = sparse.csr_matrix(
        (np.concatenate(values).ravel(), np.concatenate(indices).ravel(), starts),
        shape=(n_rows, n_rows),
    )
    graph.eliminate_zeros()
    return graph


def pair_neighbors(run, image_weight, n_neighbors, *, of_own_group=True):
    """Find the nearest pairs of each pair of a run, by the blended cosines of both modalities.

    Parameters
    ----------
    run : Run
        The training run.
    image_weight : float
        Weight of the images' cosine, from 0 to 1.
    n_neighbors : int
        Neighbours of a row.
    of_own_group : bool, default=True
        Whether a row and the rows of its group can be its neighbours.

    Returns
    -------
    CSR matrix of shape (n_samples, n_samples), float32
        The similarities of each row to its neighbours.
    """

    def directions(rows):
        return F.blended_directions(**run.features(rows), image_weight=image_weight)

    excluded = None if of_own_group else lambda rows: run.same(rows, slice(None))
    return nearest_neighbors(directions, len(run.pairs), n_neighbors, excluded)


def random_walk(similarities):
    """Divide the similarities of each row by their sum, so that they are probabilities.

    Parameters
    ----------
    similarities : CSR matrix of shape (n_samples, n_samples)
        Similarities that are not negative.

    Returns
    -------
    CSR matrix of shape (n_samples, n_samples)
        The probabilities; a row without neighbours stays empty.
    """
    sums = np.asarray(similarities.sum(axis=1)).ravel()
    counts = np.diff(similarities.indptr)
    walk = similarities.copy()
    walk.data /= np.repeat(sums, counts)
    return walk
