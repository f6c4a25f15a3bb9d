"""Randomness from a `random_state`, never from NumPy's global generator."""

from numbers import Integral

import numpy as np

from .checks import check_integer
from .messages import shorten

LAST_SEED = 2**32 - 1  # scikit-learn's


def check_seed(random_state):
    """Check a `random_state` without drawing from it."""
    if random_state is None or isinstance(
        random_state, np.random.Generator | np.random.RandomState
    ):
        return
    if not isinstance(random_state, Integral):
        raise TypeError(
            "random_state must be None, an integer, a RandomState or a Generator, got "
            f"{shorten(random_state)}."
        )
    check_integer(random_state, "random_state", 0, LAST_SEED)


def draw_seed(random_state):
    """Turn a `random_state` into a seed.

    Parameters
    ----------
    random_state : None, int, numpy.random.RandomState or numpy.random.Generator
        ``None`` gives a new seed each time.

    Returns
    -------
    int
        The int that was given, from 0 to 2**32 - 1, or a seed that was drawn.
    """
    check_seed(random_state)
    if random_state is None:
        random_state = np.random.default_rng()
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**31))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31 - 1))
    return int(random_state)


def own_generator(random_state):
    """Turn a `random_state` into a RandomState: the one that was given, or one of its own."""
    if isinstance(random_state, np.random.RandomState):
        return random_state
    return np.random.RandomState(draw_seed(random_state))
