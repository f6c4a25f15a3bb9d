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

    The similarities of the codes are aligned with those of the features, and the features of each
    modality are decoded from the codes of the other.

    With :math:`S_I` and :math:`S_T` the signed cosine similarities :math:`2 \cos - 1` of the image
    and of the text features of a batch, the affinity is

    .. math:: S = \mu\, [a S_I + (1 - a) S_T].

    With the real codes :math:`H`, their unit rows :math:`B`, the similarities :math:`S_{xy} = B_x
    B_y^\top` of codes, decoders :math:`D` and features :math:`F`, the loss of a batch is

    .. math::
        L = \; & \sum_{(x, y)} \lVert S_{xy} - S \rVert^2
        + \delta\, [\lVert S_{II} - \mu S_I \rVert^2 + \lVert S_{TT} - \mu S_T \rVert^2]
        + \pi\, \overline{(\langle b_I, b_T \rangle - \mu)^2} \\
        + & \lambda\, [\lVert D_I(H_T) - F_I \rVert^2 + \lVert D_T(H_I) - F_T \rVert^2]
        + \sigma\, \lVert S_{IT} - S_{IT}^\top \rVert^2

    with :math:`(x, y)` in :math:`II, IT, TT`; each squared norm is a mean over entries, and the bar
    a mean over pairs.

    Parameters
    ----------
    **Affinity**

    image_weight : float, default=0.5
        Weight of the images' similarity in the affinity, :math:`a`, from 0 to 1; the texts' has the
        rest.
    scale : float, default=1.5
        Scale of the affinity, and target of the similarity of the two codes of a pair, :math:`\mu`.

    **Loss**

    intra_weight : float, default=0.1
        Weight of reproducing the similarities of a modality with its own codes, :math:`\delta`.
    pairing_weight : float, default=1.0
        Weight of the similarity of the two codes of a pair, :math:`\pi`.
    reconstruction_weight : float, default=1.0
        Weight of decoding the features of a modality from the codes of the other, :math:`\lambda`.
    symmetry_weight : float, default=2.0
        Weight of image :math:`i` being as similar to text :math:`j` as text :math:`i` to image
        :math:`j`, :math:`\sigma`.

    Notes
    -----
    Affinity, losses and the decoding of each modality from the other were read in the authors'
    public code, which trains the image network on pictures. The published setting, transferred to
    features, is ``DSAHHasher(init="random", image_weight=0.9, hidden_units=4096, batch_size=32,
    max_iter=200, optimizer="sgd", learning_rate=0.005, momentum=0.7, center=False,
    watch_fraction=0)``, with
    Nesterov's form of momentum, which is not offered here.

    In that code the decoders get the signs of the codes, through which no gradient reaches the
    encoders; here they get the real codes, and the decoders' loss trains the encoders too. It
    decodes features with rows of unit length, whose mean squared error is of the order of one over
    their number; here they are standardized, and the same weight counts for far more. It keeps the
    epoch that is best on test labels; here the last one stays.

    This library's own: centring, the linear paths, and the defaults of training, which are those of
    :class:`CFRHHasher`. The start, `image_weight` and `reconstruction_weight` were chosen by how
    well held-out training pairs find their other half (Wiki, drawn pairs like those of CLIP,
    photographs of products), without labels. Rows of one group have the affinity of a row with
    itself in :math:`S`; in the terms of one modality their own features count.

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
