"""Correlation-identity reconstruction hashing."""

import numpy as np

from ..._blocks import BLOCKS
from .._docs import hasher
from .._parameters import count, not_negative, share
from .base import AffinityHasher, sharpness
from .lazy import F, graphs, networks, torch


@hasher
class CIRHHasher(AffinityHasher):
    r"""Correlation-identity reconstruction hashing, CIRH.

    Training has two phases, without labels. First, a graph network fuses the features of both
    modalities into a joint code of each pair, whose cosines reproduce an affinity. Then two
    encoders learn to predict the joint code, each from one modality. The affinity is

    .. math:: S = a\, S_1 + (1 - a) \left[\tfrac{1}{2} (\sigma(S_1) + \sigma(S_1)^\top) + I
        \right], \qquad \sigma(s) = \frac{2}{1 + e^{-s}} - 1,

    where :math:`S_1` contains the similarities :math:`w \cos_I + (1 - w) \cos_T` of each pair to
    its :math:`k` nearest neighbours, and 0 elsewhere.

    Parameters
    ----------
    **Affinity**

    image_weight : float, default=0.6
        Weight of the image similarity, :math:`w`, from 0 to 1. The weight of the text similarity
        is :math:`1 - w`.
    direct_weight : float, default=0.6
        Weight of :math:`S_1` itself in the affinity, :math:`a`, from 0 to 1.
    n_neighbors : int, default=None
        Number of neighbours of a pair, itself included, :math:`k`. ``None`` means a quarter of the
        number of pairs, at most 1,000.

    **Loss**

    reconstruction_weight : float, default=10.0
        Weight of decoding the features, :math:`\lambda`.
    correlation_weight : float, default=1.0
        Weight of the affinity for the codes of the graph network, :math:`\gamma`.
    similarity_weight : float, default=0.01
        Weight of the affinity for the codes of the encoders, :math:`\beta`.

    **Networks**

    graph_units : int, default=512
        Width of the graph network.

    **Training**

    graph_iter : int, default=20
        Number of epochs of the first phase.
    max_iter : int, default=20
        Number of epochs of the second phase.

    Attributes
    ----------
    n_neighbors_ : int
        Number of neighbours of a pair in the graph.
    loss_curve_ : dict of str to list of float
        Value of each weighted loss term in each epoch: ``feature_reconstruction``, ``correlation``
        and ``discretization`` in the first phase, ``joint_code``, ``pairing`` and ``similarity`` in
        the second. ``total`` has a value for each epoch of both phases.

    Notes
    -----
    The graph network convolves the features with :math:`S`. With its codes :math:`H_I` and
    :math:`H_T`, the joint code :math:`H`, and the features :math:`\hat F` that are decoded from
    them, the loss of the first phase is

    .. math:: L_1 = \lambda \sum_x \lVert \hat F_x - F_x \rVert^2
        + \gamma \sum_{x} \lVert \cos(H_x) - S \rVert^2 + \lVert H - \mathrm{sign}(H) \rVert^2.

    With :math:`B = \mathrm{sign}(H)`, the codes :math:`H^e` of the encoders and their cosines
    :math:`S_{xy}`, the loss of the second phase is

    .. math:: L_2 = \lVert H^e_I - B \rVert^2 + \lVert H^e_T - B \rVert^2
        + \lVert H^e_I - H^e_T \rVert^2 + \beta \sum_{(x, y)} \lVert S_{xy} - S \rVert^2.

    Each squared norm is a mean over entries.

    Affinity, graph network and losses follow the public code. For 5,000 pairs it sets
    ``n_neighbors=2000, batch_size=512``, 4,096 hidden units and ``learning_rate=1e-4`` for images,
    and a text encoder as wide as the text features, which is too narrow if there are few of them.
    It trains both parts in turn for 60 epochs, and chooses the best epoch by test labels.

    This library's own: the phases come one after the other, so that the target of the encoders is
    constant; the affinity of a batch is that of its own rows (when it trains the encoders, the
    public code permutes the rows but not the affinity); in the graph network, rows are mixed with
    their nearest and second nearest neighbours in the batch; similarities below 0 count as 0;
    decoders end without batch normalization; and the defaults of training. Each chunk of
    `partial_fit` has its own graph, and counts as two epochs.

    References
    ----------
    L. Zhu, X. Wu, J. Li, Z. Zhang, W. Guan, H. T. Shen: Work together: correlation-identity
    reconstruction hashing for unsupervised cross-modal retrieval, IEEE Transactions on Knowledge
    and Data Engineering 35 (9), 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from skhash.hashing import CIRHHasher
    >>> rng = np.random.default_rng(0)
    >>> topics = rng.normal(size=(200, 5))
    >>> image, text = topics @ rng.normal(size=(5, 16)), topics @ rng.normal(size=(5, 30))
    >>> X = np.hstack([image, text])
    >>> hasher = CIRHHasher(
    ...     16, n_image_features=16, graph_iter=5, max_iter=10, random_state=0
    ... ).fit(X)
    >>> hasher.encode_text(text).shape
    (200, 16)
    >>> hasher.score(X) > 0.1  # random codes score 0.03
    True
    """

    image_weight: float = share(0.6)
    direct_weight: float = share(0.6)
    n_neighbors: int | None = count(None, none=True)
    graph_units: int = count(512)
    graph_iter: int = count(20)
    reconstruction_weight: float = not_negative(10.0)
    correlation_weight: float = not_negative(1.0)
    similarity_weight: float = not_negative(0.01)
    alpha: str | float = sharpness(1.0)
    max_iter: int = count(20)

    def _networks(self, widths, generator):
        encoders = super()._networks(widths, generator)
        fusion = networks.GraphFusion(widths, self.graph_units, self.n_bits, generator)
        return {**encoders, "fusion": fusion}

    def _optimizers(self, networks):
        return {
            "main": self._optimizer({block: networks[block] for block in BLOCKS}),
            "fusion": self._optimizer({"fusion": networks["fusion"]}),
        }

    def _phases(self):
        return {"fusion": self.graph_iter, "encoders": self.max_iter}

    def _begin(self, run, phase):
        if phase == "fusion":
            self.n_neighbors_ = graphs.count_neighbors(self.n_neighbors, len(run.pairs))
            nearest = graphs.pair_neighbors(run, self.image_weight, self.n_neighbors_)
            run.memory["graph"] = graphs.NeighborGraph(nearest, run.device)
        else:
            run.memory["codes"] = self._joint_codes(run)

    def _joint_codes(self, run):
        """Return the binary joint codes of all pairs, found a batch at a time."""
        run.networks.train()  # the statistics of each batch keep the bits balanced
        codes = torch.empty(len(run.pairs), self.n_bits, device=run.device)
        for rows in run.pairs.batches(self.batch_size, np.random.default_rng(run.seed)):
            with torch.no_grad():
                _, _, (_, joint, _) = self._fuse(run, run.batch(rows))
            codes[rows] = F.binary(joint)
        return codes

    def _fuse(self, run, batch):
        """Return the target, the features mixed with those of neighbours, and what they fuse to."""
        s = self._joined_target(run, batch)
        features = {block: F.mix_neighbors(x, s) for block, x in batch.features.items()}
        return s, features, run.networks["fusion"](features, s)

    def _target(self, run, batch):
        nearest = run.memory["graph"].between(batch.rows)
        return F.correlation_identity(nearest, self.direct_weight)

    def _step(self, run, batch):
        if batch.phase == "encoders":
            return super()._step(run, batch)
        s, features, (codes, joint, decoded) = self._fuse(run, batch)
        reconstruction = sum(F.feature_reconstruction(decoded[b], features[b]) for b in BLOCKS)
        unit = [F.unit_rows(code) for code in (*codes.values(), joint)]
        correlation = sum(F.similarity_reconstruction(code, code, s) for code in unit)
        terms = {
            "feature_reconstruction": self.reconstruction_weight * reconstruction,
            "correlation": self.correlation_weight * correlation,
            "discretization": torch.nn.functional.mse_loss(joint, F.binary(joint)),
        }
        run.step(terms, "fusion")
        return terms

    def _loss(self, run, batch):
        s, target = self._joined_target(run, batch), run.memory["codes"][batch.rows]
        codes = batch.codes["image"], batch.codes["text"]
        image, text = map(F.unit_rows, codes)
        pairs = (image, image), (image, text), (text, text)
        similarity = sum(F.similarity_reconstruction(a, b, s) for a, b in pairs)
        return {
            "joint_code": sum(torch.nn.functional.mse_loss(code, target) for code in codes),
            "pairing": torch.nn.functional.mse_loss(*codes),
            "similarity": self.similarity_weight * similarity,
        }
