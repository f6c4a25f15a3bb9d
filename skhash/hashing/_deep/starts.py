"""Where training begins: linear paths that are CCA + ITQ of the training pairs."""

from typing import Any

import numpy as np
import torch
from scipy import sparse

from ..._blocks import BLOCKS
from .._cca import CCAHasher
from .._linear import CenteredSparse
from .._pairs import dense_rows

ROWS = 10_000  # pairs that are enough to begin with
SIZE = 0.5  # of the linear paths' outputs: the tanh is nearly linear there


def begin_linear(hasher, networks, pairs, rows, seed):
    """Set the linear paths of both encoders to regularised CCA + ITQ.

    Parameters
    ----------
    hasher : DeepHasher
        The hasher, of which `n_bits` and `init_ridge` count.
    networks : ModuleDict
        The networks; the encoders have the mean and the spread of the features.
    pairs : Pairs
        The training pairs.
    rows : ndarray of int
        The pairs to learn from, ascending; of more than 10,000 that many are
        drawn. From fewer than two, the paths stay at 0.
    seed : int
        Seed of the rotation and of the choice of pairs.
    """
    if len(rows) < 2:
        return  # one pair has no directions
    rng = np.random.default_rng(seed)
    if len(rows) > ROWS:
        rows = np.sort(rng.choice(rows, ROWS, replace=False))
    pairs = pairs.take(rows)
    cca: Any = CCAHasher(n_bits=hasher.n_bits, ridge=hasher.init_ridge)
    features = {b: standardized(networks[b], pairs.blocks[b]) for b in BLOCKS}
    axes = {b: cca._axes(x, rng) for b, x in features.items()}
    reduced = {b: features[b] @ axes[b] for b in BLOCKS}
    directions = cca._directions(reduced["image"], reduced["text"], rng)
    maps = dict(zip(BLOCKS, directions, strict=True))
    codes = np.concatenate([reduced[b] @ maps[b] for b in BLOCKS])
    size = SIZE / max(np.sqrt(np.mean(codes**2)), 1e-9)
    for block in BLOCKS:
        weight = torch.from_numpy(size * (axes[block] @ maps[block]).T)
        with torch.no_grad():
            networks[block].linear_path.weight.copy_(weight)


def standardized(network, values):
    """Return the standardized features of rows, so that a product with them can be taken."""
    mean, scale = network.mean.cpu().numpy().astype(np.float64), float(network.scale)
    if sparse.issparse(values):
        return CenteredSparse(values, mean, scale)
    return (dense_rows(values, slice(None)) - mean) / scale
