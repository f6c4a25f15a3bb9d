"""Contrastive losses of pairs: pure functions of tensors, and the heads before some of them.

Shapes: ``n`` pairs in a batch, ``d`` features. Every loss compares cosines, so that rows may have
any length, and is the mean of one cross-entropy a row and direction.

Where several processes share a batch, each gathers all ``n`` rows (with gradients) and passes as
`rows` the slice of its own ``m``; it then gets the mean over its own rows against all others. The
mean over processes of equal shares is the loss of the joined batch, and the mean of their
gradients, which is what DistributedDataParallel takes, is its gradient. What depends on the whole
batch, such as a head with batch normalization, is applied after the gathering.
"""

import math
from functools import reduce

import torch
from torch import nn
from torch.nn.functional import cross_entropy, normalize

from ..._torch.weights import linear

ALL = slice(None)


@torch.no_grad()
def negative_mask(*ids, features=None, threshold=1.0, rows=ALL):
    r"""Find the pairs of rows that are no negatives of each other.

    .. math::
        M_{ij} = [\,i \ne j\,] \wedge
        \left(\bigvee_k [a^k_i = a^k_j] \vee [\langle z_i, z_j \rangle > \theta]\right)

    Two captions of one image, or two images with the same caption, are as good as a pair: pushing
    them apart teaches what is false. One mask serves the cross-modal and both uni-modal losses
    (inferred; flagging false negatives by similarity follows ClusterNS, Deng et al., ACL 2023).

    Parameters
    ----------
    *ids : tensor of shape (n,), int
        Ids that rows may have in common, such as their group and their normalised caption.
    features : tensor of shape (n, d), default=None
        Rows of unit length :math:`z`, whose inner products say how similar two rows are.
    threshold : float, default=1.0
        :math:`\theta`: rows more similar than that are no negatives.
    rows : slice, default=ALL
        The rows to find the mask of, ``m`` of them.

    Returns
    -------
    tensor of shape (m, n), bool
        True where row j is no negative of row i; false where they are the same row.
    """
    alike = [values[rows, None] == values for values in ids]
    if features is not None:
        alike.append(features[rows] @ features.T > threshold)
    mask = reduce(torch.logical_or, alike)
    own = torch.arange(mask.shape[1], device=mask.device)[rows]
    return mask.scatter(1, own[:, None], False)


def cross_modal_loss(image, text, scale, mask=None, rows=ALL):
    r"""Measure how badly images and texts find each other in a batch (symmetric InfoNCE).

    .. math::
        L = -\frac{1}{2n} \sum_i \left[
        \log \frac{e^{s \langle v_i, u_i \rangle}}{\sum_j e^{s \langle v_i, u_j \rangle}} +
        \log \frac{e^{s \langle u_i, v_i \rangle}}{\sum_j e^{s \langle u_i, v_j \rangle}} \right]

    where :math:`v, u` are the rows brought to unit length and :math:`j` runs over all rows but the
    masked (Radford et al., CLIP, ICML 2021; the mask is inferred).

    Parameters
    ----------
    image, text : tensor of shape (n, d)
        The features of the pairs.
    scale : tensor of shape () or float
        :math:`s`, the inverse of the temperature.
    mask : tensor of shape (m, n), bool, default=None
        Pairs that are no negatives, symmetric; the pair of a row itself always counts.
    rows : slice, default=ALL
        The rows whose loss to return, ``m`` of them.

    Returns
    -------
    tensor of shape ()
        The mean over these rows and both directions.
    """
    image, text = _unit(image), _unit(text)
    own = torch.arange(len(image), device=image.device)[rows]
    from_image = _contrast(image[rows], text, scale, own, mask)
    from_text = _contrast(text[rows], image, scale, own, mask)
    return (from_image + from_text) / 2


def text_loss(first, second, temperature=0.05, mask=None, rows=ALL):
    r"""Measure how badly two passes of the same texts find each other.

    .. math::
        L = -\frac{1}{2n} \sum_i \left[
        \log \frac{e^{\cos(a_i, b_i) / \tau}}{\sum_j e^{\cos(a_i, b_j) / \tau}} +
        \log \frac{e^{\cos(b_i, a_i) / \tau}}{\sum_j e^{\cos(b_i, a_j) / \tau}} \right]

    The first term is the loss of SimCSE (Gao et al., EMNLP 2021); the second makes it symmetric, as
    the abstract of Zhu & Li, PRMVIA 2023, asks of uni-modal losses (the form is inferred).

    Parameters
    ----------
    first, second : tensor of shape (n, d)
        The texts after either pass.
    temperature : float, default=0.05
        :math:`\tau`.
    mask : tensor of shape (m, n), bool, default=None
        Pairs that are no negatives, symmetric.
    rows : slice, default=ALL
        The rows whose loss to return, ``m`` of them.

    Returns
    -------
    tensor of shape ()
        The mean over these rows and both directions.
    """
    return cross_modal_loss(first, second, 1 / temperature, mask, rows)


def image_loss(first, second, temperature=0.1, mask=None, rows=ALL):
    r"""Measure how badly two views of the same images find each other (NT-Xent).

    .. math::
        L = -\frac{1}{2n} \sum_{i=1}^{2n}
        \log \frac{e^{\cos(w_i, w_{i'}) / \tau}}{\sum_{j \ne i} e^{\cos(w_i, w_j) / \tau}}

    where :math:`w` are the first and the second views and :math:`i'` is the other view of
    :math:`i`: unlike the loss of texts, views of the same pass are negatives, too (Chen et al.,
    SimCLR, ICML 2020, with the temperature of SLIP, Mu et al., ECCV 2022; the mask is inferred).

    Parameters
    ----------
    first, second : tensor of shape (n, d)
        The images in either view.
    temperature : float, default=0.1
        :math:`\tau`.
    mask : tensor of shape (m, n), bool, default=None
        Pairs that are no negatives: neither in the same view nor in different ones.
    rows : slice, default=ALL
        The rows whose loss to return, ``m`` of them.

    Returns
    -------
    tensor of shape ()
        The mean over both views of these rows.
    """
    n = len(first)
    views = _unit(torch.cat([first, second]))
    own = torch.arange(n, device=views.device)[rows]
    itself, other = torch.cat([own, own + n]), torch.cat([own + n, own])
    if mask is None:
        blocked = torch.zeros(len(itself), 2 * n, dtype=torch.bool, device=views.device)
    else:
        blocked = mask.repeat(2, 2)
    blocked = blocked.scatter(1, itself[:, None], True)
    return _contrast(views[itself], views, 1 / temperature, other, blocked)


def _unit(rows):
    """Divide each row by its length, in float32 at least."""
    return normalize(rows.to(torch.promote_types(rows.dtype, torch.float32)))


def _contrast(queries, keys, scale, targets, blocked):
    """Return the mean cross-entropy of finding its target among the keys that are not blocked."""
    # Logits near 100 would be off by a quarter in bfloat16.
    with torch.autocast(queries.device.type, enabled=False):
        logits = scale * queries @ keys.T
    if blocked is not None:
        # A blocked target would make the loss infinite.
        blocked = blocked.scatter(1, targets[:, None], False)
        logits = logits.masked_fill(blocked, -math.inf)
    return cross_entropy(logits, targets)


def make_head(kind, n_inputs, n_hidden, n_outputs, generator):
    """Make the head between the features of an encoder and a uni-modal loss.

    It is discarded after training: the encoder can keep what the head learns to ignore.

    Parameters
    ----------
    kind : {"mlp", "linear"} or None
        Three layers with batch normalization between them, as in SLIP (Mu et al., ECCV 2022); one
        linear layer, as in SimCSE less its tanh (inferred); or the features themselves, as in
        CyCLIP (Goel et al., NeurIPS 2022).
    n_inputs, n_hidden, n_outputs : int
        Widths; the hidden one of ``"mlp"`` alone.
    generator : torch.Generator
        Source of the initial weights, on the CPU.

    Returns
    -------
    torch.nn.Module
        The head, (n, n_inputs) to (n, n_outputs); (n, n_inputs) to the same if `kind` is None.
    """
    if kind is None:
        return nn.Identity()
    if kind == "linear":
        return linear(n_inputs, n_outputs, generator)
    return nn.Sequential(
        linear(n_inputs, n_hidden, generator),
        nn.BatchNorm1d(n_hidden),
        nn.ReLU(),
        linear(n_hidden, n_hidden, generator),
        nn.BatchNorm1d(n_hidden),
        nn.ReLU(),
        linear(n_hidden, n_outputs, generator),
    )
