"""Rotating predictions to bits."""

import numpy as np
from scipy.special import softmax

from ._linear import itq_rotation
from ._moments import eigen


def rotate(targets, predicted, n_bits, rng, n_iter):
    """Rotate the leading axes of predictions so that the signs of all rows lose least.

    Parameters
    ----------
    targets : ndarray of shape (n, t)
        Where the pairs should lie.
    predicted : list of two ndarray of shape (n, t)
        Where each modality says that they lie.
    n_bits : int
        Length of a code.
    rng : Generator
        Draws the first rotation.
    n_iter : int
        Iterations of iterative quantization.

    Returns
    -------
    center : ndarray of shape (t,)
        What to subtract first.
    rotation : ndarray of shape (t, n_bits)
        The projections whose signs are the bits.
    """
    told = np.vstack(predicted)
    center = told.mean(axis=0)
    told -= center
    axes = eigen(told.T @ told)[1][:, :n_bits]
    rows = np.vstack([(targets - center) @ axes, told @ axes])
    return center, axes @ itq_rotation(rows, n_bits, rng, n_iter)


def tell_apart(rotation, image, text, groups, rng, *, n_epochs=30, batch_size=256):
    r"""Refine projections so that the codes of a pair differ from those of all other pairs.

    With :math:`h` and :math:`g` the unit rows of :math:`\tanh(\alpha x W)` of both modalities,
    Adam (Kingma and Ba, ICLR 2015) minimises

    .. math:: -\frac{1}{2m} \sum_i \Bigl(
        \log \frac{e^{h_i^\top g_i / \tau}}{\sum_j e^{h_i^\top g_j / \tau}} +
        \log \frac{e^{h_i^\top g_i / \tau}}{\sum_j e^{h_j^\top g_i / \tau}} \Bigr)

    over batches, with :math:`\tau = 0.1` and :math:`\alpha` rising from 1 to 3.

    Parameters
    ----------
    rotation : ndarray of shape (t, n_bits)
        Where to begin, :math:`W`.
    image, text : ndarray of shape (n, t)
        Centred predictions of each modality, of pairs that they were not learned from.
    groups : ndarray of shape (n,)
        Rows of one group are no strangers.
    rng : Generator
        Draws the batches.
    n_epochs, batch_size : int
        Passes over the pairs, and the pairs of a batch.

    Returns
    -------
    ndarray of shape (t, n_bits)
        The refined projections, with the thresholds still at 0.
    """
    spread = np.sqrt(np.mean((np.vstack([image, text]) @ rotation) ** 2))
    if not spread > 0:
        return rotation
    w = rotation / spread
    step = 0.02 * np.abs(w).mean()
    first, second, n_steps = np.zeros_like(w), np.zeros_like(w), 0
    for epoch in range(n_epochs):
        alpha = 1 + 2 * epoch / n_epochs
        n_batches = max(1, len(image) // batch_size)
        for rows in np.array_split(rng.permutation(len(image)), n_batches):
            gradient = _gradient(w, image[rows], text[rows], groups[rows], alpha)
            n_steps += 1
            first = 0.9 * first + 0.1 * gradient
            second = 0.99 * second + 0.01 * gradient**2
            moved = first / (1 - 0.9**n_steps)
            w = w - step * moved / (np.sqrt(second / (1 - 0.99**n_steps)) + 1e-9)
    return w


def _gradient(w, x, y, groups, alpha, temperature=0.1):
    """Return the gradient of the contrastive loss of a batch, (t, n_bits)."""
    h, g = np.tanh(alpha * (x @ w)), np.tanh(alpha * (y @ w))
    lengths = [np.maximum(np.linalg.norm(c, axis=1, keepdims=True), 1e-12) for c in (h, g)]
    a, b = h / lengths[0], g / lengths[1]
    same = groups[:, None] == groups
    np.fill_diagonal(same, False)
    s = np.where(same, -np.inf, a @ b.T / temperature)
    d = softmax(s, axis=1) + softmax(s, axis=0) - 2 * np.eye(len(s))
    d /= 2 * len(s) * temperature
    da, db = d @ b, d.T @ a
    dh = (da - a * np.sum(da * a, axis=1, keepdims=True)) / lengths[0]
    dg = (db - b * np.sum(db * b, axis=1, keepdims=True)) / lengths[1]
    return alpha * (x.T @ (dh * (1 - h**2)) + y.T @ (dg * (1 - g**2)))
