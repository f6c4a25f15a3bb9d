import numpy as np
import pytest

from skhash.hashing._deep.training import Run, start


@pytest.fixture
def eight():
    """Eight pairs of 5 image and 4 text features."""
    return np.random.default_rng(3).normal(size=(8, 9)).astype(np.float32)


@pytest.fixture
def begin():
    """Begin to train a hasher, so that single steps can be looked at."""

    def begin(hasher, X, groups=None):
        pairs = hasher._check_pairs(X, groups, reset=True)
        live = start(hasher, pairs, seed=0)
        live.optimizers = hasher._optimizers(live.networks)
        run = Run(hasher, live, pairs, seed=0, fresh=True)
        hasher._begin(run, next(iter(hasher._phases())))
        return run

    return begin
