"""Affinities and loss terms: pure functions of tensors.

Shapes: ``m`` rows in a batch, ``d`` features, ``c`` bits. Every affinity is an (m, m) tensor whose
entry (i, j) says how similar rows i and j should be; every loss term is a scalar tensor.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch.nn.functional import mse_loss, normalize


def signed_cosine(x):
    r"""Return the signed cosine similarity of all pairs of rows.

    .. math:: S_{ij} = 2 \cos(x_i, x_j) - 1

    It maps the cosines of non-negative features, in [0, 1], to [-1, 1] (Su et al., DJSRH, ICCV
    2019). The cosine with a row of zeros is 0.

    Parameters
    ----------
    x : tensor of shape (m, d)
        Features.

    Returns
    -------
    tensor of shape (m, m)
        The similarities.
    """
    unit = normalize(x)
    return 2 * unit @ unit.T - 1


def joint_similarity(s_image, s_text, kind="cosine"):
    r"""Compare the rows of one modality's similarities with those of the other's.

    ``"cosine"``, the similarity of similarity profiles, symmetric, entries of the order of 1 (Liu
    et al., JDSH, SIGIR 2020; read in public code):

    .. math:: C = U(S_I)\, U(S_T)^\top, \quad S_C = (C + C^\top) / 2

    ``"rownorm"``, the matrix product with its rows brought to unit length, entries of the order of
    :math:`1 / \sqrt{m}`, not symmetric (read in later public code of the group of CFRH):

    .. math:: S_C = U(S_I S_T)

    where :math:`U` divides each row by its Euclidean length.

    Parameters
    ----------
    s_image, s_text : tensor of shape (m, m)
        Similarities within each modality.
    kind : {"cosine", "rownorm"}, default="cosine"
        The form.

    Returns
    -------
    tensor of shape (m, m)
        The joint similarity.
    """
    if kind == "rownorm":
        return normalize(s_image @ s_text)
    profiles = normalize(s_image) @ normalize(s_text).T
    return (profiles + profiles.T) / 2


class Reweighting(NamedTuple):
    """Where the tails of an affinity's distribution begin, and where they end."""

    left: float
    right: float
    low: float
    high: float


def fit_reweighting(entries, *, left_scales=2.0, right_scales=4.0, n_bins=100):
    r"""Find the tails of the distribution of an affinity's entries off the diagonal.

    Left of the mode :math:`m` a half Gaussian of standard deviation :math:`\sigma` is fitted, right
    of it a half Laplace distribution of scale :math:`b`; the tails begin at :math:`m - a_l \sigma`
    and
    :math:`m + a_r b` (Liu et al., JDSH, SIGIR 2020, whose published constants hold for AlexNet
    features and are replaced by this fit; the mode is the middle of the highest bin of a
    histogram).

    Parameters
    ----------
    entries : ndarray of shape (n_entries,)
        Entries of affinities off the diagonal.
    left_scales, right_scales : float
        :math:`a_l` and :math:`a_r`.
    n_bins : int, default=100
        Bins of the histogram.

    Returns
    -------
    Reweighting
        The two thresholds and the extremes.
    """
    entries = np.asarray(entries, dtype=np.float64)
    counts, edges = np.histogram(entries, bins=n_bins)
    peak = int(np.argmax(counts))
    mode = (edges[peak] + edges[peak + 1]) / 2
    below, above = mode - entries[entries < mode], entries[entries > mode] - mode
    sigma = np.sqrt(np.mean(below**2)) if below.size else 0.0
    scale = above.mean() if above.size else 0.0
    return Reweighting(
        left=float(mode - left_scales * sigma),
        right=float(mode + right_scales * scale),
        low=float(entries.min()),
        high=float(entries.max()),
    )


def reweight(s, fitted, *, left_weight=0.1, right_weight=0.2):
    r"""Push the tails of an affinity's distribution outwards.

    .. math::
        S_{ij} \leftarrow \begin{cases}
        S_{ij}\,(1 + l_1 e^{-(S_{ij} - \min)}) & S_{ij} < \mathrm{left} \\
        S_{ij}\,(1 + l_2 e^{S_{ij} - \max}) & S_{ij} > \mathrm{right} \\
        S_{ij} & \text{otherwise} \end{cases}

    (distribution-based similarity decision and weighting; Liu et al., JDSH, SIGIR 2020).

    Parameters
    ----------
    s : tensor of shape (m, m)
        The affinity.
    fitted : Reweighting
        The thresholds and extremes.
    left_weight, right_weight : float
        :math:`l_1` and :math:`l_2`.

    Returns
    -------
    tensor of shape (m, m)
        The reweighted affinity.
    """
    # Clamped, since a batch may hold entries beyond the extremes that were fitted.
    left = 1 + left_weight * torch.exp(-(s - fitted.low).clamp(min=0))
    right = 1 + right_weight * torch.exp((s - fitted.high).clamp(max=0))
    return torch.where(s < fitted.left, s * left, torch.where(s > fitted.right, s * right, s))


def join_groups(s, groups):
    """Give rows of one group the affinity that a row has with itself.

    Parameters
    ----------
    s : tensor of shape (m, m)
        The affinity.
    groups : tensor of shape (m,)
        Group of each row.

    Returns
    -------
    tensor of shape (m, m)
        The affinity, in which rows of one group are no strangers.
    """
    own = s.diagonal()
    return torch.where(groups[:, None] == groups, (own[:, None] + own) / 2, s)


def unit_rows(codes):
    """Divide each row by its Euclidean length.

    Parameters
    ----------
    codes : tensor of shape (m, c)
        Real codes.

    Returns
    -------
    tensor of shape (m, c)
        The rows, of unit length.
    """
    return normalize(codes)


def similarity_reconstruction(a, b, s):
    r"""Measure how well the cosines of codes reproduce an affinity.

    .. math:: \frac{1}{m^2} \sum_{ij} \left(\langle a_i, b_j \rangle - S_{ij}\right)^2

    Parameters
    ----------
    a, b : tensor of shape (m, c)
        Codes with rows of unit length.
    s : tensor of shape (m, m)
        The affinity.

    Returns
    -------
    tensor of shape ()
        The mean squared difference.
    """
    return mse_loss(a @ b.T, s)


def pairing(a, b):
    r"""Measure how far the two codes of a pair point in different directions.

    .. math:: -\frac{1}{m} \sum_i \langle a_i, b_i \rangle

    Parameters
    ----------
    a, b : tensor of shape (m, c)
        Codes with rows of unit length.

    Returns
    -------
    tensor of shape ()
        The negative mean similarity of pairs, in [-1, 1].
    """
    return -(a * b).sum(dim=1).mean()


def feature_reconstruction(decoded, features):
    r"""Measure how well features are reproduced from their codes.

    .. math:: \frac{1}{m d} \sum_{ij} \left(D(h_i)_j - x_{ij}\right)^2

    Parameters
    ----------
    decoded, features : tensor of shape (m, d)
        The decoder's output and its target.

    Returns
    -------
    tensor of shape ()
        The mean squared difference.
    """
    return mse_loss(decoded, features)
