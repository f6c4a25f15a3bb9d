"""CLIP-based fusion-modal reconstructing hashing."""

from .._consensus import ConsensusHasher
from .._docs import hasher
from .._parameters import choice, count, not_negative, positive, switch
from .base import AffinityHasher
from .lazy import F, graphs, networks, torch


@hasher
class CFRHHasher(AffinityHasher):
    r"""CLIP-based fusion-modal reconstructing hashing, CFRH.

    Two autoencoders, one a modality, learn codes whose cosines reproduce a fused affinity of the
    pairs, and from which the features can be decoded. They need pairs and no labels.

    With :math:`S_I` and :math:`S_T` the signed cosine similarities :math:`2 \cos - 1` of the image
    and of the text features of a batch, and :math:`S_C` their joint similarity, the affinity is

    .. math:: S = \mu\, (\beta S_I + \gamma S_T + \eta S_C),

    or with ``target="consensus"`` the cosines :math:`S = \mu \cos(Z)` of places in which the two
    modalities of a pair agree.

    With the real codes :math:`H = \tanh(\alpha z)`, their unit rows :math:`B`, decoders :math:`D`
    and features :math:`F`, the loss of a batch is

    .. math::
        L = \; & \delta\, [\lVert B_I B_I^\top - S \rVert^2 + \lVert B_T B_T^\top - S \rVert^2] \\
        + & \phi\, [\lVert B_I B_T^\top - S \rVert^2 + \lVert B_T B_I^\top - S \rVert^2]
        - \pi\, \overline{\langle b_I, b_T \rangle} \\
        + & \lambda\, [\lVert D_I(H_I) - F_I \rVert^2 + \lVert D_T(H_T) - F_T \rVert^2]

    where each squared norm is a mean over entries and the bar a mean over pairs. Codes are
    :math:`\mathrm{sign}(H)`, with the sign of 0 taken as +1.

    Parameters
    ----------
    image_weight : float, default=0.5
        Weight of the image similarity in the affinity, :math:`\beta`.
    text_weight : float, default=0.2
        Weight of the text similarity in the affinity, :math:`\gamma`.
    joint_weight : float, default=0.3
        Weight of the joint similarity in the affinity, :math:`\eta`.
    joint : {"cosine", "rownorm", "graph"}, default="cosine"
        Form of the joint similarity :math:`S_C`. ``"cosine"``, of entries of the order of 1, is the
        cosine of two rows of similarities; ``"rownorm"`` is :math:`S_I S_T` with rows of unit
        length, whose small entries need a `joint_weight` of 2 to 4. Both are of a batch;
        ``"graph"`` counts the neighbours that two pairs share among all training pairs,
        :math:`4 k P P^\top - 1`, with :math:`P` as in :class:`DGCPNHasher`.
    n_neighbors : int, default=None
        Neighbours of a pair in that graph, :math:`k`; ``None`` takes a quarter of the pairs, at
        most 1,000.
    target : {"fused", "consensus"}, default="fused"
        What the codes reproduce: the fused similarities, or the cosines of the consensus of both
        modalities. The consensus uses neither the three weights nor `joint`. It is learned from the
        pairs given, anew by each call of `fit`, `partial_fit` and `affinity`.
    scale : float, default=0.85
        Scale of the affinity, :math:`\mu`.
    reweight : bool, default=False
        Push the tails of the affinity's distribution outwards. Where they begin is fitted on
        batches of the training pairs, a half Gaussian left of the mode and a half Laplace
        distribution right of it (JDSH).
    intra_weight : float, default=0.5
        Weight of reconstructing the affinity within each modality, :math:`\delta`.
    cross_weight : float, default=1.0
        Weight of reconstructing it between the modalities, :math:`\phi`.
    pairing_weight : float, default=3.0
        Weight of the similarity of the two codes of a pair, :math:`\pi`.
    reconstruction_weight : float, default=0.1
        Weight of decoding the features, :math:`\lambda`.
    decoder_hidden_units : int, default=None
        Width of a hidden layer in the decoders; ``None`` makes them linear.

    Attributes
    ----------
    loss_curve_ : dict of str to list of float
        A value an epoch for each weighted loss term (``intra``, ``cross``, ``pairing``,
        ``reconstruction``) and for their ``total``.
    reweighting_ : dict of str to float, or None
        Where the tails begin (``left``, ``right``) and end (``low``, ``high``).

    Notes
    -----
    The architecture, the three similarities, their fusion and the three kinds of loss are the
    authors'. The full paper could not be read, and the authors' repository lacks its main module:
    the signed cosine, the forms of the joint term, the optimizer and all weights are *inferred*,
    from public code of the same group and from JDSH, on which CFRH builds.

    Closest to what is known of the published method is ``CFRHHasher(init="random", scale=1.4,
    pairing_weight=1, max_iter=60, watch_fraction=0)``.

    This library's own are the linear paths, the consensus and the graph, centring, the common scale
    of the features, a weight of its own for the pairing term, and the defaults of `scale`,
    `pairing_weight`, `max_iter`, `init_ridge`, `linear_rate`, `hidden_units`, `batch_size`,
    `optimizer` and `intra_weight`. They were chosen without labels, on training pairs alone: by how
    well held-out pairs find their other half, and held-out queries those training pairs whose texts
    or images resemble their own. The guide has the settings that were compared.

    References
    ----------
    M. Li, Y. Li, M. Ge, L. Ma: CLIP-based fusion-modal reconstructing hashing for large-scale
    unsupervised cross-modal retrieval (CFRH), International Journal of Multimedia Information
    Retrieval 12 (2), 2023.

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
