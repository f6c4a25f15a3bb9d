"""One seed from a `random_state`."""

import numbers

import numpy as np
from sklearn.utils import check_scalar


def draw_seed(random_state):
    """Turn a `random_state` into a seed, leaving NumPy's global generator alone.

    Parameters
    ----------
    random_state : None, int, numpy.random.RandomState or numpy.random.Generator
        ``None`` gives a new seed each time.

    Returns
    -------
    int
        A seed in [0, 2**31).
    """
    if random_state is None:
        random_state = np.random.default_rng()
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**31))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31 - 1))
    check_scalar(random_state, "random_state", numbers.Integral, min_val=0, max_val=2**31 - 1)
    return int(random_state)
