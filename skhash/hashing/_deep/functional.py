"""Affinities and loss terms: pure functions of tensors.

Shapes: ``m`` rows in a batch, ``d`` features, ``c`` bits. Every affinity is an (m, m) tensor whose
entry (i, j) says how similar rows i and j should be; every loss term is a scalar tensor.
"""

import numpy as np
import torch
from torch.nn.functional import mse_loss, normalize, softplus


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


def blended_signed_cosine(image, text, image_weight):
    r"""Return the weighted mean of the signed cosines of both modalities.

    .. math:: S = w\, (2 \cos_I - 1) + (1 - w)\, (2 \cos_T - 1)

    Parameters
    ----------
    image, text : tensor of shape (m, d)
        Features.
    image_weight : float
        Weight of the images, :math:`w`, from 0 to 1.

    Returns
    -------
    tensor of shape (m, m)
        The similarities.
    """
    return image_weight * signed_cosine(image) + (1 - image_weight) * signed_cosine(text)


def joint_similarity(s_image, s_text, kind="cosine"):
    r"""Compare the rows of one modality's similarities with those of the other's.

    ``"cosine"``, the similarity of similarity profiles, symmetric, entries of the order of 1 (Liu
    et al., JDSH, SIGIR 2020; from public code):

    .. math:: C = U(S_I)\, U(S_T)^\top, \quad S_C = (C + C^\top) / 2

    ``"rownorm"``, the matrix product with its rows brought to unit length, entries of the order of
    :math:`1 / \sqrt{m}`, not symmetric (from later public code of the group of CFRH):

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
    dict of str to float
        The two thresholds, ``left`` and ``right``, and the extremes, ``low`` and ``high``;
        thresholds that are never passed where there are no entries.
    """
    entries = np.asarray(entries, dtype=np.float64)
    if not entries.size:  # batches of one row
        return {"left": -np.inf, "right": np.inf, "low": 0.0, "high": 0.0}
    counts, edges = np.histogram(entries, bins=n_bins)
    peak = int(np.argmax(counts))
    mode = (edges[peak] + edges[peak + 1]) / 2
    below, above = mode - entries[entries < mode], entries[entries > mode] - mode
    sigma = np.sqrt(np.mean(below**2)) if below.size else 0.0
    scale = above.mean() if above.size else 0.0
    return {
        "left": float(mode - left_scales * sigma),
        "right": float(mode + right_scales * scale),
        "low": float(entries.min()),
        "high": float(entries.max()),
    }


def off_diagonal(affinities):
    """Return the entries off the diagonal of some affinities, as `fit_reweighting` takes them.

    Parameters
    ----------
    affinities : iterable of tensor of shape (m, m)
        Affinities, of batches that may differ in size.

    Returns
    -------
    ndarray of shape (n_entries,)
        The similarities of different rows.
    """
    others = [s[~torch.eye(len(s), dtype=torch.bool)] for s in affinities]
    return torch.cat(others).cpu().numpy()


def reweight(s, *, left, right, low, high, left_weight=0.1, right_weight=0.2):
    r"""Push the tails of an affinity's distribution outwards.

    .. math::
        S_{ij} \leftarrow \begin{cases}
        S_{ij}\,(1 + l_1 e^{-(S_{ij} - \min)}) & S_{ij} < \mathrm{left} \\
        S_{ij}\,(1 + l_2 e^{S_{ij} - \max}) & S_{ij} > \mathrm{right} \\
        S_{ij} & \text{otherwise} \end{cases}

    (distribution-based similarity decision and weighting; Liu et al., JDSH, SIGIR 2020). Exponents
    are at most 0: entries beyond the extremes count as if they were there.

    Parameters
    ----------
    s : tensor of shape (m, m)
        The affinity.
    left, right, low, high : float
        The thresholds and extremes, as `fit_reweighting` returns them.
    left_weight, right_weight : float
        :math:`l_1` and :math:`l_2`.

    Returns
    -------
    tensor of shape (m, m)
        The reweighted affinity.
    """
    # Clamped, since a batch may hold entries beyond the extremes that were fitted.
    lower = 1 + left_weight * torch.exp(-(s - low).clamp(min=0))
    upper = 1 + right_weight * torch.exp((s - high).clamp(max=0))
    return torch.where(s < left, s * lower, torch.where(s > right, s * upper, s))


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


def intra_reconstruction(image, text, s):
    r"""Measure how well the cosines of codes reproduce an affinity within each modality.

    .. math:: \frac{1}{m^2} \left(\lVert B_I B_I^\top - S \rVert^2 +
        \lVert B_T B_T^\top - S \rVert^2\right)

    Parameters
    ----------
    image, text : tensor of shape (m, c)
        Codes with rows of unit length.
    s : tensor of shape (m, m)
        The affinity.

    Returns
    -------
    tensor of shape ()
        The sum of two mean squared differences.
    """
    return similarity_reconstruction(image, image, s) + similarity_reconstruction(text, text, s)


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


def binary(codes):
    """Return the signs of real codes, +1 or -1; the sign of 0 is +1. No gradient passes.

    Parameters
    ----------
    codes : tensor of shape (m, c)
        Real codes.

    Returns
    -------
    tensor of shape (m, c)
        The signs.
    """
    return torch.where(codes.detach() >= 0, 1.0, -1.0).to(codes.dtype)


def blended_directions(image, text, image_weight):
    r"""Return vectors whose dot products blend the cosines of both modalities.

    .. math:: \langle v_i, v_j \rangle = w \cos(x^I_i, x^I_j) + (1 - w) \cos(x^T_i, x^T_j)

    Parameters
    ----------
    image, text : tensor of shape (m, d)
        Features.
    image_weight : float
        Weight of the images' cosine, :math:`w`, from 0 to 1.

    Returns
    -------
    tensor of shape (m, d)
        The vectors, of unit length where neither block is all zeros.
    """
    weighted = image_weight**0.5 * normalize(image), (1 - image_weight) ** 0.5 * normalize(text)
    return torch.cat(weighted, dim=1)


def off_diagonal_reconstruction(a, b, s):
    r"""Measure how well the cosines of codes of different rows reproduce an affinity.

    .. math:: \frac{1}{m^2} \sum_{i \ne j} \left(\langle a_i, b_j \rangle - S_{ij}\right)^2

    Parameters
    ----------
    a, b : tensor of shape (m, c)
        Codes with rows of unit length.
    s : tensor of shape (m, m)
        The affinity.

    Returns
    -------
    tensor of shape ()
        The sum of squared differences off the diagonal, over the number of all entries.
    """
    difference = a @ b.T - s
    return (difference - difference.diagonal().diag()).square().mean()


def consistency(a, b):
    r"""Measure how much similarities within and between two modalities differ.

    With :math:`S_{xy}` the similarities of codes,

    .. math::
        \lVert S_{ab} - S_{aa} \rVert^2 + \lVert S_{ab} - S_{bb} \rVert^2 +
        \lVert S_{aa} - S_{bb} \rVert^2 + \lVert S_{ab} - S_{ab}^\top \rVert^2,

    each squared norm a mean over entries (Yu et al., DGCPN, AAAI 2021).

    Parameters
    ----------
    a, b : tensor of shape (m, c)
        Codes with rows of unit length.

    Returns
    -------
    tensor of shape ()
        The sum of the four means.
    """
    ab, aa, bb = a @ b.T, a @ a.T, b @ b.T
    return mse_loss(ab, aa) + mse_loss(ab, bb) + mse_loss(aa, bb) + mse_loss(ab, ab.T)


def correlation_identity(s, weight):
    r"""Join similarities of neighbours with their symmetric sigmoid and the identity.

    .. math:: w S + \frac{1 - w}{2} \left(\sigma(S) + \sigma(S)^\top\right) + (1 - w) I, \quad
        \sigma(s) = \frac{2}{1 + e^{-s}} - 1

    (Zhu et al., CIRH, TKDE 2022; read in public code.)

    Parameters
    ----------
    s : tensor of shape (m, m)
        Similarities, 0 between rows that are no neighbours.
    weight : float
        Weight of the similarities themselves, :math:`w`.

    Returns
    -------
    tensor of shape (m, m)
        The affinity.
    """
    sigmoid = torch.tanh(s / 2)
    identity = torch.eye(len(s), dtype=s.dtype, device=s.device)
    return weight * s + (1 - weight) * ((sigmoid + sigmoid.T) / 2 + identity)


def mix_neighbors(x, s):
    """Mix each row with its two nearest rows, .7, .2 and .1; with itself where it has none.

    Parameters
    ----------
    x : tensor of shape (m, d)
        Features.
    s : tensor of shape (m, m)
        Similarities, 0 between rows that are no neighbours.

    Returns
    -------
    tensor of shape (m, d)
        The mixed features.
    """
    own = torch.arange(len(s), device=s.device)
    others = s.masked_fill(own[:, None] == own, 0.0)
    values, indices = others.sort(dim=1, descending=True)
    indices = torch.where(values > 0, indices, own[:, None])
    return 0.7 * x + 0.2 * x[indices[:, 0]] + 0.1 * x[indices[:, min(1, len(s) - 1)]]


def memory_contrast(codes, own, others, same, temperature):
    r"""Contrast a row's own key with the keys of others.

    With unit rows :math:`b` and keys :math:`u`,

    .. math:: -\frac{1}{m} \sum_i \log \frac{e^{\langle b_i, u_i \rangle / \tau}}
        {e^{\langle b_i, u_i \rangle / \tau} + \sum_j e^{\langle b_i, u_j \rangle / \tau}}

    over the :math:`j` that are neither row :math:`i` nor of its group.

    Parameters
    ----------
    codes : tensor of shape (m, c)
        Real codes.
    own : tensor of shape (m, c)
        The key of each row.
    others : tensor of shape (k, c)
        Keys of other rows.
    same : bool tensor of shape (m, k)
        Which of these keys are a row's own, or of its group.
    temperature : float
        Temperature, :math:`\tau`.

    Returns
    -------
    tensor of shape ()
        The cross-entropy.
    """
    codes, own, others = normalize(codes), normalize(own), normalize(others)
    positive = (codes * own).sum(dim=1, keepdim=True) / temperature
    negative = (codes @ others.T / temperature).masked_fill(same, -torch.inf)
    return (torch.cat([positive, negative], dim=1).logsumexp(dim=1) - positive[:, 0]).mean()


def ranking(a, b, same, margin, shift):
    r"""Rank the other half of a pair first, both ways.

    With similarities :math:`s_{ij} = \langle a_i, b_j \rangle`, of which those below
    :math:`s_{ii}` by more than the margin are made smaller by the shift,

    .. math:: \frac{1}{m} \sum_i \left(\log \sum_j e^{s_{ij}} - s_{ii}\right)

    and the same with :math:`a` and :math:`b` exchanged; rows of one group are left out of each
    other's sum (Hu et al., UCCH, TPAMI 2022).

    Parameters
    ----------
    a, b : tensor of shape (m, c)
        Codes with rows of unit length.
    same : bool tensor of shape (m, m)
        Which rows are the same or of one group.
    margin, shift : float
        The margin and the shift.

    Returns
    -------
    tensor of shape ()
        The sum of both directions.
    """
    left_out = same & ~torch.eye(len(same), dtype=torch.bool, device=same.device)
    total = 0.0
    for s in (a @ b.T, b @ a.T):
        own = s.diagonal()
        s = torch.where(s.detach() >= own.detach()[:, None] - margin, s, s - shift)
        total = total + (s.masked_fill(left_out, -torch.inf).logsumexp(dim=1) - own).mean()
    return total


def nt_xent(a, b, same, temperature):
    r"""Contrast the counterpart of each row with all other rows of both sets of codes.

    For each of the :math:`2 m` rows :math:`u`, with counterpart :math:`v` and similarities
    :math:`\langle u, w \rangle` of unit rows,

    .. math:: -\log \frac{e^{\langle u, v \rangle / \tau}}
        {e^{\langle u, v \rangle / \tau} + \sum_w e^{\langle u, w \rangle / \tau}},

    over the rows :math:`w` that are neither :math:`u` nor of its group (Chen et al., ICML 2020).

    Parameters
    ----------
    a, b : tensor of shape (m, c)
        Real codes; rows of the same index are counterparts.
    same : bool tensor of shape (m, m)
        Which rows are the same or of one group.
    temperature : float
        Temperature, :math:`\tau`.

    Returns
    -------
    tensor of shape ()
        The mean over the rows of both.
    """
    both = torch.cat([a, b])
    counterparts = torch.cat([b, a])
    return memory_contrast(both, counterparts, both, same.repeat(2, 2), temperature)


def pairwise_likelihood(theta, s):
    r"""Return the negative log-likelihood of binary similarities, given their logits.

    .. math:: \frac{1}{m^2} \sum_{ij} \left(\log (1 + e^{\Theta_{ij}}) - S_{ij} \Theta_{ij}\right)

    Parameters
    ----------
    theta : tensor of shape (m, m)
        The logits, :math:`\Theta`: rows i and j are similar with probability
        :math:`\sigma(\Theta_{ij})`.
    s : tensor of shape (m, m)
        1 where rows are similar, 0 elsewhere.

    Returns
    -------
    tensor of shape ()
        The mean over pairs of rows.
    """
    return (softplus(theta) - s * theta).mean()


def quantization(codes, signs):
    r"""Measure how far real codes are from binary ones.

    .. math:: \frac{1}{m} \sum_i \lVert h_i - b_i \rVert^2

    Parameters
    ----------
    codes, signs : tensor of shape (m, c)
        Real codes, and the binary codes that they should take.

    Returns
    -------
    tensor of shape ()
        The mean squared distance.
    """
    return (codes - signs).square().sum(dim=1).mean()


def bit_balance(codes):
    r"""Measure how far the bits are from being +1 as often as -1.

    .. math:: \sum_k \left(\frac{1}{m} \sum_i h_{ik}\right)^2

    Parameters
    ----------
    codes : tensor of shape (m, c)
        Real codes.

    Returns
    -------
    tensor of shape ()
        The sum over bits of the squared mean over rows.
    """
    return codes.mean(dim=0).square().sum()


def discrimination(discriminator, real, fake, mix, penalty_weight=10.0):
    r"""Measure how well a discriminator separates two kinds of codes.

    .. math:: -\overline{\log \sigma(D(r))} - \overline{\log (1 - \sigma(D(f)))}
        + w\, \overline{(\lVert \nabla D(\epsilon r + (1 - \epsilon) f) \rVert - 1)^2}

    Parameters
    ----------
    discriminator : callable
        Codes, (m, c), to values, (m, 1).
    real, fake : tensor of shape (m, c)
        The two kinds of codes, without gradient.
    mix : tensor of shape (m, c)
        Random numbers from 0 to 1, :math:`\epsilon`.
    penalty_weight : float, default=10.0
        Weight of the gradient penalty, :math:`w`.

    Returns
    -------
    tensor of shape ()
        The loss of the discriminator.
    """
    between = (mix * real + (1 - mix) * fake).requires_grad_()
    values = discriminator(between).sum()
    (gradient,) = torch.autograd.grad(values, between, create_graph=True)
    penalty = (gradient.norm(dim=1) - 1).square().mean()
    classified = softplus(-discriminator(real)).mean() + softplus(discriminator(fake)).mean()
    return classified + penalty_weight * penalty


def drop_features(x, share, generator):
    """Set a random share of the entries to 0, the mean of centred features.

    Parameters
    ----------
    x : tensor of shape (m, d)
        Features.
    share : float
        Probability of an entry to be set to 0.
    generator : torch.Generator
        Source of random numbers, on the CPU.

    Returns
    -------
    tensor of shape (m, d)
        The features that are left.
    """
    return x.masked_fill((torch.rand(x.shape, generator=generator) < share).to(x.device), 0.0)
