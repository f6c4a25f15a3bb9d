"""Deep cross-modal hashing."""

from .._docs import hasher
from .._parameters import choice, count, not_negative
from .lazy import F
from .supervised import SupervisedHasher


@hasher
class DCMHHasher(SupervisedHasher):
    r"""Deep cross-modal hashing, DCMH (supervised).

    Learns from labels: two pairs are similar, :math:`S_{ij} = 1`, if they share a label, and
    :math:`S_{ij} = 0` otherwise. The codes maximize the likelihood of these similarities, where

    .. math:: P(S_{ij} = 1) = \sigma(\Theta^{xy}_{ij}), \qquad
        \Theta^{xy}_{ij} = \tfrac{1}{2} \langle h^x_i, h^y_j \rangle.

    Further terms keep the codes nearly binary and the bits balanced. Do not compare its scores with
    those of hashers that learn from pairs alone.

    Parameters
    ----------
    **Loss**

    intra_weight : float, default=1.0
        Weight of the likelihood within each modality, :math:`\rho`.
    quantization_weight : float, default=0.03
        Weight of the distance of real codes from binary ones, :math:`\gamma`.
    balance_weight : float, default=0.01
        Weight of the balance of the bits, :math:`\eta`: each should be +1 as often as -1.

    Notes
    -----
    With :math:`B` the sign of :math:`H_I + H_T`, the loss of a batch of :math:`m` rows is

    .. math::
        L = \; & \ell(\Theta^{IT}) + \rho\, [\ell(\Theta^{II}) + \ell(\Theta^{TT})]
        + \gamma \sum_x \overline{\lVert h^x - b \rVert^2}
        + \eta \sum_x \sum_k \left(\overline{h^x_k}\right)^2, \\
        \ell(\Theta) = \; & \frac{1}{m^2} \sum_{ij} \left(\log (1 + e^{\Theta_{ij}})
        - S_{ij} \Theta_{ij}\right),

    where the bar is a mean over rows and :math:`k` is a bit. The terms are the negative
    log-likelihood of the similarities, the distance of real codes from binary ones, and the
    balance of the bits.

    The loss is the paper's, which has no terms within a modality, divided by the number of entries
    of :math:`S`. The paper sets both of its weights to 1; divided likewise, they are
    ``balance_weight=1.0`` and a `quantization_weight` of 1 over the number of training pairs.

    This library's own: the networks take features, while the paper trains networks of pixels and
    words; codes are outputs of a tanh; the pairs of a batch are compared with each other, while the
    paper compares a batch with stored codes of all training pairs; both networks are updated in the
    same step; the two halves of a pair are similar even if the row has no label; and the defaults,
    which were chosen by cross-validation with the labels of training pairs.

    References
    ----------
    Q.-Y. Jiang, W.-J. Li: Deep cross-modal hashing, CVPR 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from skhash.hashing.supervised import DCMHHasher
    >>> rng = np.random.default_rng(0)
    >>> topics = rng.normal(size=(200, 5))
    >>> image, text = topics @ rng.normal(size=(5, 16)), topics @ rng.normal(size=(5, 30))
    >>> X, y = np.hstack([image, text]), topics.argmax(axis=1)
    >>> hasher = DCMHHasher(16, n_image_features=16, max_iter=10, random_state=0).fit(X, y)
    >>> hasher.encode_text(text).shape
    (200, 16)
    >>> hasher.score(X, y) > 0.5  # random codes score 0.2
    True
    """

    intra_weight: float = not_negative(1.0)
    quantization_weight: float = not_negative(0.03)
    balance_weight: float = not_negative(0.01)
    init: str = choice("cca", "random", "cca")
    max_iter: int = count(40)

    def _loss(self, run, batch):
        image, text = batch.codes["image"], batch.codes["text"]
        s, signs = self._similar(run, batch.rows), F.binary(image + text)
        inter, *intra = (
            F.pairwise_likelihood(a @ b.T / 2, s)
            for a, b in ((image, text), (image, image), (text, text))
        )
        both = image, text
        return {
            "inter": inter,
            "intra": self.intra_weight * sum(intra),
            "quantization": self.quantization_weight * sum(F.quantization(h, signs) for h in both),
            "balance": self.balance_weight * sum(map(F.bit_balance, both)),
        }
