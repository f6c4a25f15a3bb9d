"""Deep joint-semantics reconstructing hashing."""

from .._docs import hasher
from .._parameters import choice, count, not_negative, positive, share
from .base import AffinityHasher
from .lazy import F


@hasher
class DJSRHHasher(AffinityHasher):
    r"""Deep joint-semantics reconstructing hashing, DJSRH.

    The codes reproduce an affinity that combines the similarity of two pairs with the similarity of
    their neighbourhoods in a batch. Two pairs that resemble the same other pairs are therefore
    similar. No labels are used. In a batch of :math:`m` pairs the affinity is

    .. math:: S = \mu \left[(1 - \eta)\, \tilde S + \tfrac{\eta}{m}\, \tilde S \tilde S^\top\right],
        \qquad \tilde S = \beta S_I + (1 - \beta) S_T,

    where :math:`S_I` and :math:`S_T` are the signed cosine similarities :math:`2 \cos - 1` of the
    image and of the text features.

    Parameters
    ----------
    **Affinity**

    image_weight : float, default=0.3
        Weight of the image similarity, :math:`\beta`, from 0 to 1. The weight of the text
        similarity is :math:`1 - \beta`.
    neighbor_weight : float, default=0.4
        Weight of the similarity of neighbourhoods, which are rows of :math:`\tilde S`,
        :math:`\eta`, from 0 to 1.
    scale : float, default=1.5
        Scale of the affinity, :math:`\mu`.

    **Loss**

    intra_weight : float, default=0.3
        Weight of the affinity within each modality, :math:`\lambda`.

    Notes
    -----
    With the unit rows :math:`B` of the real codes, the loss of a batch is

    .. math:: L = \lVert B_I B_T^\top - S \rVert^2 + \lambda\, [\lVert B_I B_I^\top - S \rVert^2
        + \lVert B_T B_T^\top - S \rVert^2],

    where each squared norm is a mean over entries.

    Affinity, loss and the growing sharpness of the tanh are those of the authors' public code,
    which trains the image network on pictures. The published parameters for Wiki, transferred to
    features, are ``DJSRHHasher(init="random", hidden_units=4096, batch_size=32, max_iter=200,
    optimizer="sgd", learning_rate=0.01, center=False, watch_fraction=0)``. For MIRFlickr, the code
    has ``image_weight=0.9``, for NUS-WIDE 0.6, both with ``intra_weight=0.1, max_iter=80,
    learning_rate=0.001, text_learning_rate=0.01``. It has two weights like `intra_weight`, one for
    each modality, which are always equal.

    This library's own: centring, the common scale of the features, the linear paths, and the
    defaults of training, which are those of :class:`CFRHHasher`. The initialization, and
    `image_weight` and `intra_weight` among published values, were chosen by how well held-out
    training pairs find their other half, without labels (Wiki, random pairs that resemble CLIP
    features, photographs of products). Products within a batch are divided by its own number of
    rows. The public code divides by `batch_size`, and drops the last rows of an epoch if they do
    not fill a batch.

    References
    ----------
    S. Su, Z. Zhong, C. Zhang: Deep joint-semantics reconstructing hashing for large-scale
    unsupervised cross-modal retrieval, ICCV 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from skhash.hashing import DJSRHHasher
    >>> rng = np.random.default_rng(0)
    >>> topics = rng.normal(size=(200, 5))
    >>> image, text = topics @ rng.normal(size=(5, 16)), topics @ rng.normal(size=(5, 30))
    >>> X = np.hstack([image, text])
    >>> hasher = DJSRHHasher(16, n_image_features=16, max_iter=10, random_state=0).fit(X)
    >>> hasher.encode_text(text).shape
    (200, 16)
    >>> hasher.score(X) > 0.1  # random codes score 0.03
    True
    """

    image_weight: float = share(0.3)
    neighbor_weight: float = share(0.4)
    scale: float = positive(1.5)
    intra_weight: float = not_negative(0.3)
    init: str = choice("cca", "random", "cca")
    max_iter: int = count(45)

    def _affinity(self, image, text):
        s = F.blended_signed_cosine(image, text, self.image_weight)
        near = s @ s.T / len(s)
        return self.scale * ((1 - self.neighbor_weight) * s + self.neighbor_weight * near)

    def _reconstruct(self, networks, features, codes, s):
        image, text = F.unit_rows(codes["image"]), F.unit_rows(codes["text"])
        return {
            "intra": self.intra_weight * F.intra_reconstruction(image, text, s),
            "cross": F.similarity_reconstruction(image, text, s),
        }
