import pytest

from skhash.hashing import CFRHHasher

FAST = {"n_bits": 10, "max_iter": 3, "batch_size": 10, "random_state": 0}


@pytest.fixture
def hasher():
    """Make a hasher of arrays that trains at once; parameters override."""

    def make(**parameters):
        return CFRHHasher(**{**FAST, "n_image_features": 6, **parameters})

    return make


@pytest.fixture
def fitted(table):
    """A hasher fitted on a table."""
    return CFRHHasher(**FAST).fit(table)
