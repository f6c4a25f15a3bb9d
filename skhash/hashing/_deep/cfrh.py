"""CLIP-based fusion-modal reconstructing hashing."""

from .._consensus import ConsensusHasher
from .._docs import hasher
from .._parameters import choice, count, not_negative, positive, switch
from .base import AffinityHasher
from .lazy import F, graphs, networks, torch


@hasher
class CFRHHasher(AffinityHasher):
    r"""CLIP-based fusion-modal reconstructing hashing, CFRH.

    Trains an image and a text autoencoder on pairs, without labels. The cosines of the codes
    approximate a target *affinity* of the pairs, which is computed from the features:

    .. math:: S = \mu\, (\beta S_I + \gamma S_T + \eta S_C),

    with the signed cosine similarities :math:`S_I` of the images and :math:`S_T` of the texts of a
    batch, and their joint similarity :math:`S_C`. Use it if similar items of both modalities should
    get similar codes. To find the other half of a pair, compare it with :class:`CCAHasher`, which
    is much faster. Set `n_bits`; then try `scale` and `pairing_weight`. The others made no clear
    difference. The user guide has the full loss, its sources and measurements (:ref:`cfrh`).

    Parameters
    ----------
    **Affinity**

    image_weight : float, default=0.5
        Weight of the image similarity in the affinity, :math:`\beta`.
    text_weight : float, default=0.2
        Weight of the text similarity in the affinity, :math:`\gamma`.
    joint_weight : float, default=0.3
        Weight of the joint similarity in the affinity, :math:`\eta`.
    joint : {"cosine", "rownorm", "graph"}, default="cosine"
        Form of the joint similarity, :math:`S_C`. ``"cosine"`` is the cosine of two rows of
        similarities; its entries are of order 1. ``"rownorm"`` is :math:`S_I S_T` with rows of unit
        length; its entries are small and need a `joint_weight` of 2 to 4. These two are computed
        within a batch. ``"graph"`` counts the neighbours that two pairs share among all training
        pairs, :math:`4 k P P^\top - 1`, with :math:`P` as in :class:`DGCPNHasher`.
    n_neighbors : int, default=None
        For ``joint="graph"``: number of neighbours of a pair, :math:`k`. ``None`` means a quarter
        of the number of pairs, at most 1,000.
    target : {"fused", "consensus"}, default="fused"
        The affinity: the weighted sum above, or the cosines of the targets of
        :class:`ConsensusHasher`, times `scale`. ``"consensus"`` ignores the three weights and
        `joint`; it is learned anew from the pairs given to `fit`, `partial_fit` or `affinity`.
    scale : float, default=0.85
        Scale of the affinity, :math:`\mu`.
    reweight : bool, default=False
        Whether to push the tails of the distribution of affinities outwards, as in JDSH. Where the
        tails begin is fitted on batches of the training pairs, with a half Gaussian left of the
        mode and a half Laplace distribution right of it.

    **Loss**

    intra_weight : float, default=0.5
        Weight of the affinity within each modality, :math:`\delta`.
    cross_weight : float, default=1.0
        Weight of the affinity between the modalities, :math:`\phi`.
    pairing_weight : float, default=3.0
        Weight of the similarity of the two codes of a pair, :math:`\pi`.
    reconstruction_weight : float, default=0.1
        Weight of decoding the features, :math:`\lambda`.

    **Networks**

    decoder_hidden_units : int, default=None
        Width of the hidden layer of each decoder. ``None`` means linear decoders.

    Attributes
    ----------
    loss_curve_ : dict of str to list of float
        Value of each weighted loss term (``intra``, ``cross``, ``pairing``, ``reconstruction``),
        and of their ``total``, in each epoch.
    reweighting_ : dict of str to float, or None
        Where the tails begin (``left``, ``right``) and end (``low``, ``high``); None with
        ``reweight=False``.

    Notes
    -----
    The authors describe the architecture, the three similarities and the kinds of loss terms. The
    full text of the paper was not available: the forms of the similarities, the optimizer and all
    weights are *inferred*, or this library's own. The :ref:`guide <cfrh-sources>` lists which is
    which, and how the defaults were chosen without labels.

    Closest to what is known of the published method is ``CFRHHasher(init="random", scale=1.4,
    pairing_weight=1, max_iter=60, watch_fraction=0)``.

    References
    ----------
    M. Li, Y. Li, M. Ge, L. Ma: CLIP-based fusion-modal reconstructing hashing for large-scale
    unsupervised cross-modal retrieval (CFRH), International Journal of Multimedia Information
    Retrieval 12 (1), article 2, 2023.

    S. Liu, S. Qian, Y. Guan, J. Zhan, L. Ying: Joint-modal distribution-based similarity hashing
    for large-scale unsupervised deep cross-modal retrieval (JDSH), SIGIR 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from skhash.hashing import CFRHHasher
    >>> rng = np.random.default_rng(0)
    >>> topics = rng.normal(size=(200, 5))
    >>> image, text = topics @ rng.normal(size=(5, 16)), topics @ rng.normal(size=(5, 30))
    >>> X = np.hstack([image, text])
    >>> hasher = CFRHHasher(n_bits=16, n_image_features=16, max_iter=10, random_state=0).fit(X)
    >>> hasher.transform(X).shape
    (200, 32)
    >>> hasher.encode_text(text).dtype
    dtype('bool')
    """

    image_weight: float = not_negative(0.5)
    text_weight: float = not_negative(0.2)
    joint_weight: float = not_negative(0.3)
    joint: str = choice("cosine", "cosine", "rownorm", "graph")
    n_neighbors: int | None = count(None, none=True)
    target: str = choice("fused", "fused", "consensus")
    scale: float = positive(0.85)
    reweight: bool = switch(False)
    intra_weight: float = not_negative(0.5)
    cross_weight: float = not_negative(1.0)
    pairing_weight: float = not_negative(3.0)
    reconstruction_weight: float = not_negative(0.1)
    decoder_hidden_units: int | None = count(None, none=True)
    init: str = choice("cca", "random", "cca")
    max_iter: int = count(45)

    def _begin(self, run, phase):
        if self.target == "consensus":
            places = ConsensusHasher(n_bits=self.n_bits, center=self.center)._place(
                run.pairs, run.seed
            )
            run.memory["places"] = F.unit_rows(torch.from_numpy(places).to(run.device))
        elif self.joint == "graph":
            weight = self.image_weight / max(self.image_weight + self.text_weight, 1e-9)
            n_neighbors = graphs.count_neighbors(self.n_neighbors, len(run.pairs))
            nearest = graphs.pair_neighbors(run, weight, n_neighbors, of_own_group=False)
            run.memory["walk"] = graphs.NeighborGraph(graphs.random_walk(nearest), run.device)
            run.memory["spread"] = 2 * n_neighbors
        if run.fresh:
            self.reweighting_ = None
            if self.reweight:
                affinities = (self._unscaled(run, batch) for batch in run.sample())
                self.reweighting_ = F.fit_reweighting(F.off_diagonal(affinities))

    def _unscaled(self, run, batch):
        if self.target == "consensus":
            places = run.memory["places"][batch.rows]
            return places @ places.T
        s_image, s_text = map(F.signed_cosine, batch.features.values())
        if self.joint == "graph":
            s_joint = 2 * run.memory["spread"] * run.memory["walk"].shared(batch.rows) - 1
        else:
            s_joint = F.joint_similarity(s_image, s_text, self.joint)
        each = self.image_weight * s_image + self.text_weight * s_text
        return each + self.joint_weight * s_joint

    def _target(self, run, batch):
        s = self._unscaled(run, batch)
        if self.reweighting_ is not None:
            s = F.reweight(s, **self.reweighting_)
        return self.scale * s

    def _networks(self, widths, generator):
        sizes = self.hidden_units, self.n_bits
        return {
            block: networks.Autoencoder(width, *sizes, generator, self.decoder_hidden_units)
            for block, width in widths.items()
        }

    def _reconstruct(self, networks, features, codes, s):
        image, text = F.unit_rows(codes["image"]), F.unit_rows(codes["text"])
        similarity = F.similarity_reconstruction
        intra = F.intra_reconstruction(image, text, s)
        cross = similarity(image, text, s) + similarity(text, image, s)
        decoded = {b: networks[b].decode(codes[b]) for b in codes}
        reconstruction = sum(F.feature_reconstruction(decoded[b], features[b]) for b in codes)
        return {
            "intra": self.intra_weight * intra,
            "cross": self.cross_weight * cross,
            "pairing": self.pairing_weight * F.pairing(image, text),
            "reconstruction": self.reconstruction_weight * reconstruction,
        }
