"""CLIP4Hashing."""

from .._docs import hasher
from .._parameters import choice, count, not_negative, share
from .base import AffinityHasher, sharpness
from .lazy import F, networks, torch


@hasher
class CLIP4HashingHasher(AffinityHasher):
    r"""Cross-modal hashing of a shared feature space, CLIP4Hashing.

    For image and text features in one space, such as CLIP embeddings on both sides; no labels are
    used. The codes reproduce an affinity in which high cosines are increased, and low ones are
    decreased or, if they are negative, moved towards 0:

    .. math:: S = \min(1, \max(-1, C e^{\kappa t})).

    :math:`C_{ij}` is the mean of :math:`\cos(x^I_i, x^T_j)` and :math:`\cos(x^I_j, x^T_i)`, or 1
    for the two halves of a pair. :math:`t` is the deviation of :math:`C` from its mean in the
    batch, divided by the largest deviation on the same side. The threshold of a bit is the mean of
    its smallest and its largest value.

    Parameters
    ----------
    **Affinity**

    shared : float, default=1.0
        Weight of the cosines between modalities in :math:`C`, from 0 to 1. The rest is the weight
        of the mean cosine within the modalities. If the blocks have different numbers of features,
        only cosines within the modalities are used.
    contrast : float, default=0.5
        How much high cosines are increased and low ones decreased, :math:`\kappa`.

    **Loss**

    intra_weight : float, default=0.1
        Weight of the affinity within each modality, :math:`\delta`.
    cross_weight : float, default=1.0
        Weight of the affinity between the modalities, :math:`\phi`.
    pairing_weight : float, default=2.0
        Weight of the distance between the two codes of a pair, :math:`\pi`.

    Notes
    -----
    With the unit rows :math:`B` of the real codes, and squared norms that are means over entries,
    the loss is

    .. math:: L = \delta \sum_x \lVert B_x B_x^\top - S \rVert^2
        + 2 \phi\, \lVert B_I B_T^\top - S \rVert^2 + \pi\, \lVert B_I - B_T \rVert^2.

    The form is inferred from unofficial code; some of it multiplies :math:`S` by
    :math:`e^{-1/2}`. That code has one network for both modalities, with a second hidden layer. It
    sets ``hidden_units=4096, batch_size=16, max_iter=200, init="random", optimizer="sgd",
    learning_rate=0.01, center=False, watch_fraction=0`` with the weights above, divides the
    learning rate by 10 after 150 epochs, and keeps the epoch that is best on its validation pairs.
    There, the threshold of a bit depends on all rows that are encoded together, and training
    ignores it.

    This library's own: thresholds that are learned in training; one network for each modality; the
    tanh; and the cosines within modalities. On held-out training pairs with CLIP features, without
    labels, ``shared=1`` and the initialization with CCA + ITQ found the other half best. Thresholds
    of 0 were slightly worse with CLIP features on both sides, and better with bags of words and on
    Wiki.

    References
    ----------
    Y. Zhuo, Y. Li, J. Hsiao, C. Ho, B. Li: CLIP4Hashing: unsupervised deep hashing for cross-modal
    video-text retrieval, ICMR 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from skhash.hashing import CLIP4HashingHasher
    >>> rng = np.random.default_rng(0)
    >>> X = np.tile(rng.normal(size=(200, 16)), 2) + rng.normal(scale=0.3, size=(200, 32))
    >>> hasher = CLIP4HashingHasher(16, n_image_features=16, random_state=0).fit(X)
    >>> hasher.score(X) > 0.1  # random codes score 0.03
    True
    """

    shared: float = share(1.0)
    contrast: float = not_negative(0.5)
    intra_weight: float = not_negative(0.1)
    cross_weight: float = not_negative(1.0)
    pairing_weight: float = not_negative(2.0)
    init: str = choice("cca", "random", "cca")
    alpha: str | float = sharpness(1.0)
    max_iter: int = count(20)

    def _networks(self, widths, generator):
        sizes = self.hidden_units, self.n_bits, generator
        return {block: networks.MinMaxEncoder(width, *sizes) for block, width in widths.items()}

    def _affinity(self, image, text):
        i, t = F.unit_rows(image), F.unit_rows(text)
        s = (i @ i.T + t @ t.T) / 2
        if i.shape == t.shape:
            s = s.lerp(((i @ t.T + t @ i.T) / 2).fill_diagonal_(1.0), self.shared)
        away = s - s.mean()
        reach = torch.where(away > 0, away.max(), -away.min()).clamp(min=1e-12)
        return (s * torch.exp(self.contrast * away / reach)).clamp(-1, 1)

    def _reconstruct(self, networks, features, codes, s):
        i, t = F.unit_rows(codes["image"]), F.unit_rows(codes["text"])
        return {
            "intra": self.intra_weight * F.intra_reconstruction(i, t, s),
            "cross": self.cross_weight * 2 * F.similarity_reconstruction(i, t, s),
            "pairing": self.pairing_weight * (i - t).square().mean(),
        }
