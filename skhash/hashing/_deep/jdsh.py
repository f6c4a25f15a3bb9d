"""Joint-modal distribution-based similarity hashing."""

from .._docs import hasher
from .._parameters import choice, count, not_negative, positive
from .base import AffinityHasher
from .lazy import F


@hasher
class JDSHHasher(AffinityHasher):
    r"""Joint-modal distribution-based similarity hashing, JDSH.

    The codes reproduce an affinity that combines the similarities of both modalities with a joint
    similarity. The tails of its distribution are pushed outwards: pairs that are clearly similar or
    clearly different count more. No labels are used. The affinity is

    .. math:: S = \mu\, w(\tilde S) \circ \tilde S, \qquad
        \tilde S = \beta S_I + \gamma S_T + \eta S_C,

    with the signed cosine similarities :math:`S_I, S_T = 2 \cos - 1` of a batch, their joint
    similarity :math:`S_C`, and factors :math:`w` that exceed 1 in the tails.

    Parameters
    ----------
    **Affinity**

    image_weight : float, default=0.4
        Weight of the image similarity in the affinity, :math:`\beta`.
    text_weight : float, default=0.3
        Weight of the text similarity in the affinity, :math:`\gamma`.
    joint_weight : float, default=0.3
        Weight of the joint similarity in the affinity, :math:`\eta`.
    left_weight : float, default=0.2
        Weight of the exponential in the left tail, :math:`l_1`. If this and `right_weight` are 0,
        nothing is reweighted.
    right_weight : float, default=0.2
        Weight of the exponential in the right tail, :math:`l_2`.
    scale : float, default=1.4
        Scale of the affinity, :math:`\mu`.

    **Loss**

    intra_weight : float, default=0.1
        Weight of the affinity within each modality, :math:`\delta`.
    pairing_weight : float, default=1.0
        Weight of the similarity of the two codes of a pair, :math:`\pi`.

    Attributes
    ----------
    reweighting_ : dict of str to float
        Where the tails begin (``left``, ``right``) and end (``low``, ``high``).

    Notes
    -----
    :math:`S_C` is :math:`(C + C^\top) / 2`, with :math:`C` the cosines of the rows of :math:`S_I`
    with those of :math:`S_T`. The factors are

    .. math:: w(s) = \begin{cases}
        1 + l_1 e^{-(s - \min)} & s < \mathrm{left} \\
        1 + l_2 e^{s - \max} & s > \mathrm{right} \\
        1 & \text{otherwise.} \end{cases}

    Exponents are at most 0: entries below min or above max, such as those of a row with itself, are
    treated like min or max. The left tail begins two standard deviations of a half Gaussian below
    the mode of the distribution of :math:`\tilde S`, and the right tail four scales of a half
    Laplace distribution above it. Both are fitted to batches of the training pairs.

    With the unit rows :math:`B` of the real codes, the loss of a batch is

    .. math::
        L = \; & \delta\, [\lVert B_I B_I^\top - S \rVert^2 + \lVert B_T B_T^\top - S \rVert^2] \\
        + & \lVert B_I B_T^\top - S \rVert^2 + \lVert B_T B_I^\top - S \rVert^2
        - \pi\, \overline{\langle b_I, b_T \rangle},

    where each squared norm is a mean over entries and the bar a mean over pairs.

    Affinity, weighting and loss are those of public code. The published parameters, transferred to
    features, are ``JDSHHasher(init="random", hidden_units=4096, batch_size=32, max_iter=300,
    optimizer="sgd", learning_rate=0.01, center=False, watch_fraction=0)``, with
    ``image_weight=0.5, text_weight=0.1, joint_weight=0.4, left_weight=0.1`` for MIRFlickr.

    In the paper, the beginnings and ends of the tails are constants for the features of one
    network. Here they are fitted by the function that ``CFRHHasher(reweight=True)`` uses. The
    public code for features computes such a fit for a plot only, and its weighting is commented
    out. It also drops the last rows of an epoch if they do not fill a batch, and never restores the
    weights that it saves. None of this is repeated here. Its batch normalization is not part of the
    authors' networks, and is left out.

    This library's own: centring, the common scale of the features, the linear paths, and the
    defaults of training, which are those of :class:`CFRHHasher`. The initialization and the weights
    of the affinity, which are those for NUS-WIDE, were chosen among published values by how well
    held-out training pairs find their other half, without labels (Wiki, random pairs that resemble
    CLIP features, photographs of products).

    References
    ----------
    S. Liu, S. Qian, Y. Guan, J. Zhan, L. Ying: Joint-modal distribution-based similarity hashing
    for large-scale unsupervised deep cross-modal retrieval, SIGIR 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from skhash.hashing import JDSHHasher
    >>> rng = np.random.default_rng(0)
    >>> topics = rng.normal(size=(200, 5))
    >>> image, text = topics @ rng.normal(size=(5, 16)), topics @ rng.normal(size=(5, 30))
    >>> X = np.hstack([image, text])
    >>> hasher = JDSHHasher(16, n_image_features=16, max_iter=10, random_state=0).fit(X)
    >>> hasher.encode_text(text).shape
    (200, 16)
    >>> hasher.score(X) > 0.1  # random codes score 0.03
    True
    """

    image_weight: float = not_negative(0.4)
    text_weight: float = not_negative(0.3)
    joint_weight: float = not_negative(0.3)
    left_weight: float = not_negative(0.2)
    right_weight: float = not_negative(0.2)
    scale: float = positive(1.4)
    intra_weight: float = not_negative(0.1)
    pairing_weight: float = not_negative(1.0)
    init: str = choice("cca", "random", "cca")
    max_iter: int = count(45)

    def _begin(self, run, phase):
        if run.fresh:
            affinities = (self._affinity(**batch.features) for batch in run.sample())
            self.reweighting_ = F.fit_reweighting(F.off_diagonal(affinities))

    def _affinity(self, image, text):
        s_image, s_text = F.signed_cosine(image), F.signed_cosine(text)
        each = self.image_weight * s_image + self.text_weight * s_text
        return each + self.joint_weight * F.joint_similarity(s_image, s_text)

    def _target(self, run, batch):
        tails = {"left_weight": self.left_weight, "right_weight": self.right_weight}
        return self.scale * F.reweight(super()._target(run, batch), **self.reweighting_, **tails)

    def _reconstruct(self, networks, features, codes, s):
        image, text = F.unit_rows(codes["image"]), F.unit_rows(codes["text"])
        similarity = F.similarity_reconstruction
        intra = F.intra_reconstruction(image, text, s)
        cross = similarity(image, text, s) + similarity(text, image, s)
        return {
            "intra": self.intra_weight * intra,
            "cross": cross,
            "pairing": self.pairing_weight * F.pairing(image, text),
        }
