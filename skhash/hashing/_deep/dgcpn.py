"""Deep graph-neighbour coherence preserving network."""

from ..._blocks import BLOCKS
from .._docs import hasher
from .._parameters import count, not_negative, positive, share
from .base import AffinityHasher, sharpness
from .lazy import F, graphs


@hasher
class DGCPNHasher(AffinityHasher):
    r"""Deep graph-neighbour coherence preserving network, DGCPN.

    The codes reproduce an affinity that combines the similarity of two pairs with the neighbours
    that they share in a nearest-neighbour graph of all training pairs,

    .. math:: S = 2\, [(1 - a)\, C + a\, \mu\, P P^\top] - 1,

    with :math:`C = w \cos_I + (1 - w) \cos_T`. Each row of :math:`P` contains the similarities
    :math:`C` of a pair to its :math:`k` nearest neighbours, divided by their sum. Because of the
    graph, the affinity of two pairs also depends on pairs outside of the batch. No labels are used.

    Parameters
    ----------
    **Affinity**

    image_weight : float, default=0.5
        Weight of the image similarity, :math:`w`, from 0 to 1. The weight of the text similarity
        is :math:`1 - w`.
    neighbor_weight : float, default=0.3
        Weight of the shared neighbours in the affinity, :math:`a`, from 0 to 1.
    n_neighbors : int, default=None
        Number of neighbours of a pair in the graph, :math:`k`. ``None`` means a quarter of the
        number of pairs, at most 1,000. It is limited to the number of other pairs.
    scale : float, default=None
        Scale of the shared neighbours, :math:`\mu`. ``None`` means :math:`2 k`. Two pairs with the
        same neighbours at equal similarities have :math:`P P^\top = 1 / k`, so codes collapse with
        a scale that does not grow with :math:`k`.

    **Loss**

    affinity_weight : float, default=1.0
        Weight of the affinity, :math:`\delta`.
    pairing_weight : float, default=1.0
        Weight of the similarity of the two codes of a pair, :math:`\pi`.
    pairing_target : float, default=1.5
        Target of the similarity of the two codes of a pair, :math:`t`.
    consistency_weight : float, default=1.0
        Weight of the differences between the similarities within and between modalities,
        :math:`\gamma`.

    Attributes
    ----------
    n_neighbors_ : int
        Number of neighbours of a pair in the graph.

    Notes
    -----
    With the unit rows :math:`B` of the real codes, the loss of a batch is

    .. math::
        L = \; & \delta \sum_{(x, y)} \lVert B_x B_y^\top - S \rVert^2_{i \ne j}
        + \pi\, \overline{(\langle b_I, b_T \rangle - t)^2} \\
        + & \gamma\, [\lVert S_{IT} - S_{II} \rVert^2 + \lVert S_{IT} - S_{TT} \rVert^2
        + \lVert S_{II} - S_{TT} \rVert^2 + \lVert S_{IT} - S_{IT}^\top \rVert^2]

    with :math:`(x, y)` in :math:`II, IT, TT`, :math:`S_{xy} = B_x B_y^\top`, and means over
    entries. Each batch takes three steps: one for both networks together, then one for each network
    against the binary codes of the other.

    Affinity, losses and steps follow the paper and its public code. ``knn_number`` of that code is
    the number of pairs that are *not* neighbours, and ``a1`` is the weight of the texts. The
    published parameters, for raw features of 5,000 pairs, correspond to ``image_weight=0.99,
    n_neighbors=2000, scale=4000, hidden_units=4096, batch_size=32, max_iter=100, optimizer="sgd",
    learning_rate=0.005, center=False``, with dropout, and with the epoch chosen by labels.

    This library's own: a pair and its group are taken out of the graph by their row, not as the
    nearest row, which may be a duplicate; similarities below 0 count as 0 in :math:`P`; the scale
    follows the number of neighbours; and the defaults of `image_weight`, `n_neighbors` and of
    training. The graph of up to 5,000 pairs is a dense matrix; for more pairs, only the neighbours
    are kept. With `partial_fit`, each chunk has its own graph.

    References
    ----------
    J. Yu, H. Zhou, Y. Zhan, D. Tao: Deep graph-neighbor coherence preserving network for
    unsupervised cross-modal hashing, AAAI 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from skhash.hashing import DGCPNHasher
    >>> rng = np.random.default_rng(0)
    >>> topics = rng.normal(size=(200, 5))
    >>> image, text = topics @ rng.normal(size=(5, 16)), topics @ rng.normal(size=(5, 30))
    >>> X = np.hstack([image, text])
    >>> hasher = DGCPNHasher(16, n_image_features=16, max_iter=10, random_state=0).fit(X)
    >>> hasher.encode_text(text).shape
    (200, 16)
    >>> hasher.score(X) > 0.1  # random codes score 0.03
    True
    """

    image_weight: float = share(0.5)
    neighbor_weight: float = share(0.3)
    n_neighbors: int | None = count(None, none=True)
    scale: float | None = positive(None, none=True)
    affinity_weight: float = not_negative(1.0)
    pairing_weight: float = not_negative(1.0)
    pairing_target: float = positive(1.5)
    consistency_weight: float = not_negative(1.0)
    alpha: str | float = sharpness(1.0)
    max_iter: int = count(20)

    def _optimizers(self, networks):
        return {block: self._optimizer({block: networks[block]}) for block in BLOCKS}

    def _begin(self, run, phase):
        self.n_neighbors_ = graphs.count_neighbors(self.n_neighbors, len(run.pairs))
        nearest = graphs.pair_neighbors(
            run, self.image_weight, self.n_neighbors_, of_own_group=False
        )
        run.memory["walk"] = graphs.NeighborGraph(graphs.random_walk(nearest), run.device)

    def _target(self, run, batch):
        directions = F.blended_directions(**batch.features, image_weight=self.image_weight)
        scale = 2 * self.n_neighbors_ if self.scale is None else self.scale
        near = scale * run.memory["walk"].shared(batch.rows)
        weight = self.neighbor_weight
        return 2 * ((1 - weight) * directions @ directions.T + weight * near) - 1

    def _step(self, run, batch):
        s = self._joined_target(run, batch)
        terms = self._reconstruct(run.networks, batch.features, run.encode(batch), s)
        run.step(terms, *BLOCKS)
        codes = run.encode(batch)
        for block in BLOCKS:  # each against the binary codes of the other
            mixed = {b: codes[b] if b == block else F.binary(codes[b]) for b in BLOCKS}
            run.step(self._reconstruct(run.networks, batch.features, mixed, s), block)
        return terms

    def _reconstruct(self, networks, features, codes, s):
        image, text = F.unit_rows(codes["image"]), F.unit_rows(codes["text"])
        pairs = (image, image), (image, text), (text, text)
        affinity = sum(F.off_diagonal_reconstruction(a, b, s) for a, b in pairs)
        pairing = ((image * text).sum(dim=1) - self.pairing_target).square().mean()
        return {
            "affinity": self.affinity_weight * affinity,
            "pairing": self.pairing_weight * pairing,
            "consistency": self.consistency_weight * F.consistency(image, text),
        }
