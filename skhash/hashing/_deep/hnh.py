"""High-order nonlocal hashing."""

from .._docs import hasher
from .._parameters import choice, count, not_negative, positive, share
from .base import AffinityHasher, sharpness
from .lazy import F, torch


@hasher
class HNHHasher(AffinityHasher):
    r"""High-order nonlocal hashing, HNH.

    The codes reproduce an affinity that is high for two pairs that are similar, and similar to the
    same other pairs. The two codes of a pair are also drawn towards a common representation of the
    pair. No labels are used. The affinity is

    .. math:: S = w\, N(A_I) + (1 - w)\, N(A_T) - 1, \qquad
        N(A) = k\, A \circ (U(A)\, U(A)^\top),

    where :math:`A` are the cosines of the features of a modality in a batch, with negative ones set
    to 0, :math:`U(\cdot)` scales rows to unit length, and :math:`\circ` is the product of entries.

    Parameters
    ----------
    **Affinity**

    image_weight : float, default=0.8
        Weight of the image similarity in the affinity, :math:`w`, from 0 to 1. The weight of the
        text similarity is :math:`1 - w`.
    scale : float, default=2.0
        Scale of the affinity, :math:`k`. The affinity of a row with itself is :math:`k - 1`.

    **Loss**

    common_weight : float, default=1.25
        Weight of the distance between codes and the common representation, :math:`\alpha`.
    affinity_weight : float, default=1.0
        Weight of the affinity between codes and the common representation, :math:`\beta`.
    cross_weight : float, default=0.1
        Weight of the affinity between the modalities, :math:`\lambda`.

    Notes
    -----
    With the unit rows :math:`B` of the real codes of :math:`m` pairs, the loss is :math:`L` below.
    The common representation :math:`C` minimizes its first two terms, in closed form:

    .. math::
        L = \; & \tfrac{\alpha}{m} \sum_x \lVert C - B_x \rVert^2
        + \tfrac{\beta}{m^2} \sum_x \lVert C B_x^\top - S \rVert^2
        + \tfrac{\lambda}{m^2} \lVert B_I B_T^\top - S \rVert^2, \\
        C = \; & (I + r S)\, (B_I + B_T)\, [2 I + r\, (B_I^\top B_I + B_T^\top B_T)]^{-1},
        \qquad r = \frac{\beta}{\alpha m}.

    The form of affinity, loss and common representation is inferred from unofficial public code.
    For MIRFlickr-25K it sets ``image_weight=0.9, cross_weight=1, common_weight=40 / n_bits,
    hidden_units=4096, batch_size=32, max_iter=500, init="random", optimizer="sgd",
    learning_rate=1e-4, text_learning_rate=0.01, center=False, watch_fraction=0``, with a second
    hidden layer in the text network. For NUS-WIDE, `image_weight`, `common_weight`,
    `affinity_weight` and `cross_weight` are 0.6, 40 / n_bits, 1 and 1; for Wiki they are 0.8,
    40 / n_bits, 0.3 and 0.01.

    Some properties of that code are not repeated: it fixes the size of an identity matrix to one
    batch size and drops the last batch; it scales each bit to unit length over the batch, instead
    of each row, so that the code of a row depends on the other rows; the similarity to others is a
    sum over the batch, which grows with its size; and the common representation weights its two
    terms differently from the loss. This library's own: the distance from the common representation
    is a sum over bits, so that its weight means the same at each code length; and no gradient
    passes through :math:`C`, since it is 0 at the minimum. Cosines can be negative because features
    are centred, which those of that code are not. They are set to 0, because the product of two
    negative factors would be a high affinity of dissimilar rows.

    The defaults were chosen by finding the other half of held-out training pairs, with one or two
    parameters varied at a time, on Wiki, birds and product photographs with CLIP features, without
    labels. At 32 bits, the initialization with CCA + ITQ is best on all but Wiki, where
    ``init="random"`` with ``max_iter=20`` is better. With a small `common_weight`, the codes
    collapse.

    References
    ----------
    P.-F. Zhang, Y. Luo, Z. Huang, X.-S. Xu, J. Song: High-order nonlocal hashing for unsupervised
    cross-modal retrieval, World Wide Web 24, 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from skhash.hashing import HNHHasher
    >>> rng = np.random.default_rng(0)
    >>> topics = rng.normal(size=(200, 5))
    >>> image, text = topics @ rng.normal(size=(5, 16)), topics @ rng.normal(size=(5, 30))
    >>> X = np.hstack([image, text])
    >>> hasher = HNHHasher(16, n_image_features=16, random_state=0).fit(X)
    >>> hasher.encode_text(text).shape
    (200, 16)
    >>> hasher.score(X) > 0.1  # random codes score 0.03
    True
    """

    image_weight: float = share(0.8)
    scale: float = positive(2.0)
    common_weight: float = positive(1.25)
    affinity_weight: float = not_negative(1.0)
    cross_weight: float = not_negative(0.1)
    init: str = choice("cca", "random", "cca")
    alpha: str | float = sharpness(1.0)
    max_iter: int = count(10)

    def _affinity(self, image, text):
        weight = self.image_weight
        return weight * self._nonlocal(image) + (1 - weight) * self._nonlocal(text) - 1

    def _nonlocal(self, x):
        unit = F.unit_rows(x)
        cosine = (unit @ unit.T).clamp(min=0)
        profiles = F.unit_rows(cosine)
        return self.scale * cosine * (profiles @ profiles.T)

    def _reconstruct(self, networks, features, codes, s):
        image, text = F.unit_rows(codes["image"]), F.unit_rows(codes["text"])
        common = self._common(image.detach(), text.detach(), s)
        away = sum((common - code).square().sum(dim=1).mean() for code in (image, text))
        affinity = sum(F.similarity_reconstruction(common, code, s) for code in (image, text))
        cross = F.similarity_reconstruction(image, text, s)
        return {
            "common": self.common_weight * away,
            "affinity": self.affinity_weight * affinity,
            "cross": self.cross_weight * cross,
        }

    def _common(self, image, text, s):
        """Return what minimises the first two terms, (m, c)."""
        m, c = image.shape
        ratio = self.affinity_weight / (self.common_weight * m)
        identity = torch.eye(c, dtype=image.dtype, device=image.device)
        spread = 2 * identity + ratio * (image.T @ image + text.T @ text)
        both = image + text
        return torch.linalg.solve(spread, (both + ratio * s @ both).T).T
