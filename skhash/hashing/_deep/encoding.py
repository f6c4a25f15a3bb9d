"""Codes from the weights of an encoder, in NumPy."""

import numpy as np
from sklearn.utils import gen_batches

from .._pairs import CHUNK, dense_rows

_NORM_EPS = 1e-5  # that of torch.nn.BatchNorm1d


def encode(state, values, alpha):
    r"""Return the real codes of all rows of a block, a chunk at a time.

    This is what the encoders of ``networks.py`` compute in evaluation, each with the layers whose
    weights it has:

    .. math:: h = \tanh(\alpha\, (V z + W_2\, \mathrm{relu}(N(W_1 z + b_1)) + b_2 - m)),
        \qquad z = (x - \mu) / s

    with the linear path :math:`V`, batch normalization :math:`N` and the middle of the bits
    :math:`m`.

    Parameters
    ----------
    state : dict of str to ndarray
        Weights of the encoder.
    values : array or CSR matrix of shape (n_samples, n_features)
        The block.
    alpha : float
        Sharpness of the tanh.

    Returns
    -------
    ndarray of shape (n_samples, n_bits), float32
        The real codes.
    """
    codes = np.empty((values.shape[0], len(state["code.bias"])), dtype=np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # the caller refuses what is not finite
        for rows in gen_batches(len(codes), CHUNK):
            codes[rows] = _project(state, dense_rows(values, rows))
        codes *= alpha
        return np.tanh(codes, out=codes)


def _project(state, x):
    """Return the code before the tanh, (m, c), of rows, (m, d)."""
    z = (x - state["mean"]) / state["scale"]
    hidden = z @ state["hidden.weight"].T + state["hidden.bias"]
    if "norm.weight" in state:
        spread = np.sqrt(state["norm.running_var"] + np.float32(_NORM_EPS))
        hidden = (hidden - state["norm.running_mean"]) / spread
        hidden = hidden * state["norm.weight"] + state["norm.bias"]
    code = np.maximum(hidden, 0, out=hidden) @ state["code.weight"].T + state["code.bias"]
    if "linear_path.weight" in state:
        code += z @ state["linear_path.weight"].T
    if "middle" in state:
        code -= state["middle"]
    return code
