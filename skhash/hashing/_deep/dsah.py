"""Deep semantic-alignment hashing."""

from ..._blocks import BLOCKS
from .._docs import hasher
from .._parameters import choice, count, not_negative, positive, share
from .base import AffinityHasher
from .lazy import F, networks, torch

OTHER = {"image": "text", "text": "image"}


@hasher
class DSAHHasher(AffinityHasher):
    r"""Deep semantic-alignment hashing, DSAH.

    The similarities of the codes are aligned with those of the features, and decoders reconstruct
    the features of each modality from the codes of the other. No labels are used. The affinity is

    .. math:: S = \mu\, [a S_I + (1 - a) S_T],

    where :math:`S_I` and :math:`S_T` are the signed cosine similarities :math:`2 \cos - 1` of the
    image and of the text features of a batch.

    Parameters
    ----------
    **Affinity**

    image_weight : float, default=0.5
        Weight of the image similarity in the affinity, :math:`a`, from 0 to 1. The weight of the
        text similarity is :math:`1 - a`.
    scale : float, default=1.5
        Scale of the affinity, :math:`\mu`. It is also the target of the similarity of the two
        codes of a pair.

    **Loss**

    intra_weight : float, default=0.1
        Weight of the similarities of each modality for its own codes, :math:`\delta`.
    pairing_weight : float, default=1.0
        Weight of the similarity of the two codes of a pair, :math:`\pi`.
    reconstruction_weight : float, default=1.0
        Weight of decoding the features of a modality from the codes of the other, :math:`\lambda`.
    symmetry_weight : float, default=2.0
        Weight of the symmetry of similarities between modalities, :math:`\sigma`: image :math:`i`
        should be as similar to text :math:`j` as image :math:`j` is to text :math:`i`.

    Notes
    -----
    With the real codes :math:`H`, their unit rows :math:`B`, the similarities :math:`S_{xy} = B_x
    B_y^\top` of codes, decoders :math:`D` and features :math:`F`, the loss of a batch is

    .. math::
        L = \; & \sum_{(x, y)} \lVert S_{xy} - S \rVert^2
        + \delta\, [\lVert S_{II} - \mu S_I \rVert^2 + \lVert S_{TT} - \mu S_T \rVert^2]
        + \pi\, \overline{(\langle b_I, b_T \rangle - \mu)^2} \\
        + & \lambda\, [\lVert D_I(H_T) - F_I \rVert^2 + \lVert D_T(H_I) - F_T \rVert^2]
        + \sigma\, \lVert S_{IT} - S_{IT}^\top \rVert^2

    with :math:`(x, y)` in :math:`II, IT, TT`. Each squared norm is a mean over entries, and the bar
    a mean over pairs.

    Affinity, losses and the decoding of each modality from the other are those of the authors'
    public code, which trains the image network on pictures. The published parameters, transferred
    to features, are ``DSAHHasher(init="random", image_weight=0.9, hidden_units=4096, batch_size=32,
    max_iter=200, optimizer="sgd", learning_rate=0.005, momentum=0.7, center=False,
    watch_fraction=0)``, with Nesterov momentum, which is not available here.

    In that code, the decoders take the signs of the codes, through which no gradient reaches the
    encoders. Here they take the real codes, so that their loss trains the encoders too. That code
    decodes features whose rows have unit length, so their mean squared error is of the order of one
    over the number of features. Here features are standardized, and the same weight counts far
    more. That code keeps the epoch that is best on test labels; here the last epoch is kept.

    This library's own: centring, the linear paths, and the defaults of training, which are those of
    :class:`CFRHHasher`. The initialization, `image_weight` and `reconstruction_weight` were chosen
    by how well held-out training pairs find their other half, without labels (Wiki, random pairs
    that resemble CLIP features, photographs of products). In :math:`S`, rows of one group have the
    affinity of a row with itself; the terms of a single modality use the features of each row.

    References
    ----------
    D. Yang, D. Wu, W. Zhang, H. Zhang, B. Li, W. Wang: Deep semantic-alignment hashing for
    unsupervised cross-modal retrieval, ICMR 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from skhash.hashing import DSAHHasher
    >>> rng = np.random.default_rng(0)
    >>> topics = rng.normal(size=(200, 5))
    >>> image, text = topics @ rng.normal(size=(5, 16)), topics @ rng.normal(size=(5, 30))
    >>> X = np.hstack([image, text])
    >>> hasher = DSAHHasher(16, n_image_features=16, max_iter=10, random_state=0).fit(X)
    >>> hasher.encode_text(text).shape
    (200, 16)
    >>> hasher.score(X) > 0.1  # random codes score 0.03
    True
    """

    image_weight: float = share(0.5)
    scale: float = positive(1.5)
    intra_weight: float = not_negative(0.1)
    pairing_weight: float = not_negative(1.0)
    reconstruction_weight: float = not_negative(1.0)
    symmetry_weight: float = not_negative(2.0)
    init: str = choice("cca", "random", "cca")
    max_iter: int = count(45)

    def _networks(self, widths, generator):
        encoders = super()._networks(widths, generator)
        decoders = {
            f"{b}_decoder": networks.linear(self.n_bits, d, generator) for b, d in widths.items()
        }
        return {**encoders, **decoders}

    def _affinity(self, image, text):
        return self.scale * F.blended_signed_cosine(image, text, self.image_weight)

    def _reconstruct(self, networks, features, codes, s):
        image, text = unit = [F.unit_rows(codes[b]) for b in BLOCKS]
        similarity = F.similarity_reconstruction
        pairs = (image, image), (image, text), (text, text)
        own = [self.scale * F.signed_cosine(features[b]) for b in BLOCKS]
        intra = sum(similarity(b, b, target) for b, target in zip(unit, own, strict=True))
        pairing = ((image * text).sum(dim=1) - self.scale).square().mean()
        decoded = {b: networks[f"{b}_decoder"](codes[o]) for b, o in OTHER.items()}
        reconstruction = sum(F.feature_reconstruction(decoded[b], features[b]) for b in BLOCKS)
        between = image @ text.T
        return {
            "affinity": sum(similarity(a, b, s) for a, b in pairs),
            "intra": self.intra_weight * intra,
            "pairing": self.pairing_weight * pairing,
            "reconstruction": self.reconstruction_weight * reconstruction,
            "symmetry": self.symmetry_weight * torch.nn.functional.mse_loss(between, between.T),
        }
