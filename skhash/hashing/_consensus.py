"""Codes of what both modalities agree on, without a network."""

from typing import Any

import numpy as np
from joblib import Parallel, delayed
from sklearn.utils import gen_batches

from .._blocks import BLOCKS
from .._inputs.checks import check_integer
from ._agreement import CANONICAL_RIDGES, Agreement
from ._base import PairHasher
from ._docs import hasher
from ._kernel import KernelFeatures, KernelRows
from ._memory import AXES, ENTRIES, recall, remember
from ._moments import draw_folds
from ._pairs import CHUNK, block_statistics, paired_score, warn_of_rows
from ._parameters import choice, count, jobs, not_negative, parameter, positive, share
from ._rotation import rotate, tell_apart
from ._shared import SharedSpace

_SAMPLE = 4000  # pairs that what is no sum is learned from
_LEAST_AXES = 192
_SHARED_WEIGHTS = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
_QUICK_ITER = 15  # iterations of quantization where codes are only compared
_HELD_OUT = 600  # pairs to hold out, some repeatedly where there are fewer


@hasher
class ConsensusHasher(PairHasher):
    r"""Codes of what both modalities agree on, without a network.

    Each training pair gets a target vector that combines what both modalities agree on. For each
    modality, a kernel ridge regression predicts the target vectors, and one rotation turns the
    predictions into bits. Most parameters are chosen by cross-validation on the pairs. No labels
    are used. There is no gradient training, except with ``target="pair"``. It is a good choice for
    search by meaning, and when CCA + ITQ (:class:`CCAHasher`) is not accurate enough. The guide
    explains each step.

    Rows are scaled to unit length; if no training feature of a modality is negative, square roots
    of its features are taken first. They are mapped to Nyström features :math:`\phi` of a Gaussian
    kernel. Regularised canonical correlation analysis of both modalities gives scores :math:`u_j,
    v_j` of unit variance, which have the correlations :math:`c_j` on held-out pairs. With weights
    :math:`c_j^p`, the `consensus` :math:`\lambda`, the share :math:`w` of the text, and :math:`\hat
    x` for :math:`x` scaled to unit length, the target of a pair is

    .. math::
        a &= (1 - w)\, (c_j^p u_j)_j + w\, (c_j^p v_j)_j \\
        z &= \bigl[ \sqrt{\lambda}\, \hat a,\; \sqrt{(1 - \lambda) w}\, \hat x_T,\;
        \sqrt{(1 - \lambda) (1 - w)}\, \hat x_I \bigr].

    The encoders are ridge regressions :math:`f` of :math:`z` on :math:`\phi(x_I)` and
    :math:`\phi(x_T)`. The axes along which the predictions for the two halves of held-out pairs
    have the largest covariance are rotated by iterative quantization. With `memory`, the residuals
    of training pairs are added to the predictions for similar rows. With the distances :math:`d_i`
    to the training pairs, and the median :math:`h` of their squared distances to the nearest other
    pair,

    .. math:: \hat z(x) = f(x) + m\, \frac{\sum_i k_i (z_i - f(x_i))}{\max(1, \sum_i k_i)},
        \qquad k_i = e^{-10\, d_i^2 / h}.

    Parameters
    ----------
    center : bool, default=True
        Whether to subtract the mean of the rows, after they are scaled to unit length. CLIP
        embeddings are far from centred: unrelated images have a cosine of about .5.
    target : {"meaning", "pair"}, default="meaning"
        What should be found: pairs of similar meaning (``"meaning"``), or the other half of the
        same pair (``"pair"``). ``"pair"`` refines the rotation with a contrastive loss on
        predictions for held-out pairs.
    memory : float, default=0.75
        Weight of the residuals of training pairs, :math:`m`. It helps if the training pairs
        themselves are searched, for example if texts search images whose captions were used in
        training. It has almost no effect on rows that are not similar to training pairs. With 0, no
        residuals are stored.
    n_remembered : int, default=20_000
        Largest number of training pairs for which residuals are stored. If there are more, no
        residuals are stored at all. A pair takes up to ``512 + 4 * n_bits`` bytes for each
        modality.
    consensus : float, default=0.5
        Share of the target that both modalities agree on, :math:`\lambda`, from 0 to 1. The rest is
        the features of each modality.
    power : float, default=1.25
        Exponent of the held-out correlation in the weight of a direction, :math:`p`.
    gamma : float, default=0.5
        Sharpness of the kernel, :math:`e^{-\gamma d^2 / s}`, where :math:`s` is the median of the
        squared distances :math:`d^2`.
    n_anchors : int, default=800
        Number of Nyström anchors. The kernel features of a row are its similarities to these
        training rows.
    n_folds : int, default=3
        Number of folds of the cross-validation, at least 2.
    n_iter : int, default=50
        Number of iterations of iterative quantization.
    n_jobs : int, default=None
        Number of threads for the cross-validation of `shared_weight_`. ``None`` means 1.

    Attributes
    ----------
    image_state_, text_state_ : dict of str to ndarray
        Weights of the two encoders, and the residuals of training pairs.
    correlations_ : ndarray of shape (n_directions,)
        Correlations :math:`c_j` of the directions on held-out pairs, in descending order; negative
        ones are set to 0.
    mutual_information_ : float
        :math:`-\frac{1}{2} \sum_j \log (1 - c_j^2)`, in nats. The ridge penalty of the correlation
        analysis was chosen to maximize it.
    text_share_ : float
        Share of the text, :math:`w`: the negentropy of its held-out scores, weighted by
        :math:`c_j^2` and divided by the sum for both modalities. Independent noise makes scores
        more Gaussian, so the modality with less Gaussian scores gets more weight.
    shared_weight_ : float
        Weight of the shared feature space. If both blocks have the same number of features, such as
        those of the two encoders of CLIP, their centred unit vectors along common axes are appended
        to the predictions, which helps if there are few pairs. The weight is chosen among 0, .1,
        .3, 1, 3, 10 and 30: the smallest one with which held-out pairs find their other half as
        well as with the best one, within a standard error.
    ridges_ : dict of str to float
        Ridge penalties that were chosen for the ``correlation`` analysis and for the regressions of
        ``image`` and ``text``, in units of the mean variance.
    n_remembered_ : int
        Number of training pairs for which residuals are stored.

    Notes
    -----
    The method is this library's own; the references are the sources of its parts. The time of `fit`
    is linear in the number of pairs, which are read in chunks. Statistics that are not sums over
    pairs are computed from 4,000 of them. `consensus`, `power`, `gamma` and `memory` are not chosen
    by cross-validation.

    References
    ----------
    C. Williams, M. Seeger: Using the Nyström method to speed up kernel machines, NIPS 2000.

    D. Hardoon, S. Szedmak, J. Shawe-Taylor: Canonical correlation analysis: an overview with
    application to learning methods, Neural Computation 16 (12), 2004.

    A. Hyvärinen: New approximations of differential entropy for independent component analysis and
    projection pursuit, NIPS 1998.

    Y. Gong, S. Lazebnik, A. Gordo, F. Perronnin: Iterative quantization: a Procrustean approach to
    learning binary codes for large-scale image retrieval, TPAMI 35 (12), 2013.

    Examples
    --------
    >>> import numpy as np
    >>> from skhash.hashing import ConsensusHasher
    >>> rng = np.random.default_rng(0)
    >>> topics = rng.normal(size=(200, 5))
    >>> image, text = topics @ rng.normal(size=(5, 16)), topics @ rng.normal(size=(5, 30))
    >>> X = np.hstack([image, text])
    >>> hasher = ConsensusHasher(16, n_image_features=16, random_state=0).fit(X)
    >>> hasher.encode_text(text).shape
    (200, 16)
    >>> hasher.correlations_[:5].round(1).tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0]
    """

    target: str = choice("meaning", "meaning", "pair")
    memory: float = share(0.75)
    n_remembered: int = parameter(20_000, check_integer, 0)
    consensus: float = share(0.5)
    power: float = not_negative(1.25)
    gamma: float = positive(0.5)
    n_anchors: int = count(800)
    n_folds: int = parameter(3, check_integer, 2)
    n_iter: int = count(50)
    n_jobs: int | None = jobs()

    def _learn(self, pairs, seed):
        for block, values in pairs.blocks.items():
            warn_of_rows(block, values, *block_statistics(values, center=self.center)[2:])
        rng = np.random.default_rng(seed)
        rows, chosen, sample, groups, agreement = self._agreed(pairs, rng)
        features = rows.features
        shared = SharedSpace(pairs.blocks, features, chosen)
        shared.weight = self._shared_weight(sample, groups, shared, agreement.ridge, rng)
        center, rotation = self._rotation(agreement, shared, groups, rng, self.n_iter)
        self.image_state_, self.text_state_ = (
            _state(block, features[name], agreement, shared, center, rotation)
            for block, name in enumerate(BLOCKS)
        )
        self.n_remembered_ = len(pairs) if self.memory and len(pairs) <= self.n_remembered else 0
        if self.n_remembered_:
            known = self._remembered(rows, agreement, shared, rotation, rng)
            self.image_state_ |= known[0]
            self.text_state_ |= known[1]
        self.correlations_ = agreement.correlations
        self.mutual_information_ = agreement.information
        self.text_share_ = agreement.text_share
        self.shared_weight_ = shared.weight
        ridges = agreement.ridge, *(encoder.ridge for encoder in agreement.encoders)
        self.ridges_ = dict(zip(("correlation", *BLOCKS), ridges, strict=True))

    def _agreed(self, pairs, rng):
        """Return rows of pairs, which are a sample, the sample, its groups, and the agreement."""
        options = {"center": self.center, "n_anchors": self.n_anchors, "gamma": self.gamma}
        features = {b: KernelFeatures(pairs.blocks[b], rng=rng, **options) for b in BLOCKS}
        groups = np.arange(len(pairs)) if pairs.groups is None else pairs.groups
        rows = KernelRows(pairs.blocks, features, draw_folds(groups, self.n_folds, rng))
        chosen = np.sort(rng.permutation(len(pairs))[:_SAMPLE])
        sample = rows.part(chosen)
        agreement = self._agree(rows.parts, sample, rows.folds, CANONICAL_RIDGES)
        return rows, chosen, sample, groups[chosen], agreement

    def _place(self, pairs, seed):
        """Return where pairs should lie, (n, t), float32, without learning to encode them."""
        rows, *_, agreement = self._agreed(pairs, np.random.default_rng(seed))
        return np.vstack([agreement.target(part).astype(np.float32) for part in rows.parts()])

    def _agree(self, parts, sample, folds, ridges):
        return Agreement(
            parts,
            sample,
            int(folds.max()) + 1,
            power=self.power,
            consensus=self.consensus,
            n_axes=max(_LEAST_AXES, self.n_bits),
            ridges=ridges,
        )

    def _rotation(self, agreement, shared, groups, rng, n_iter):
        targets = shared.join_target(agreement.sample)
        predicted = [shared.join(p, block) for block, p in enumerate(agreement.predicted)]
        center, rotation = rotate(targets, predicted, self.n_bits, rng, n_iter)
        if self.target == "pair":
            image, text = (p - center for p in predicted)
            rotation = tell_apart(rotation, image, text, groups, rng)
        return center, rotation

    def _shared_weight(self, sample, groups, shared, ridge, rng):
        """Choose the weight of what both blocks share as they come, by codes of held-out pairs."""
        if shared.axes is None:
            return 0.0
        tests = []
        for _ in range(-(-_HELD_OUT // max(len(groups), _HELD_OUT // 10))):  # few pairs: repeated
            folds = draw_folds(groups, self.n_folds, rng)
            tests += [folds == fold for fold in range(folds.max() + 1)]
        seeds = rng.integers(2**32, size=len(tests))
        scores: Any = Parallel(n_jobs=self.n_jobs, prefer="threads")(
            delayed(self._held_out_scores)(sample, groups, shared, held_out, ridge, seed)
            for held_out, seed in zip(tests, seeds, strict=True)
        )
        return _SHARED_WEIGHTS[_least_within_error(np.array(scores))]

    def _held_out_scores(self, sample, groups, shared, held_out, ridge, seed):
        """Return how well codes of held-out pairs find their other half, for each weight."""
        rng = np.random.default_rng(seed)
        train, test = np.flatnonzero(~held_out), np.flatnonzero(held_out)
        test = test[np.unique(groups[test], return_index=True)[1]]
        if len(train) < 4 or len(test) < 2:
            return np.zeros(len(_SHARED_WEIGHTS))
        part = sample.take(train)._replace(folds=draw_folds(groups[train], self.n_folds, rng))
        agreement = self._agree(lambda: [part], part, part.folds, [ridge])
        predicted = [agreement.predict(v, b) for b, v in enumerate((sample.f, sample.g))]
        scores = []
        for weight in _SHARED_WEIGHTS:
            training, testing = (shared.take(rows, weight) for rows in (train, test))
            n_iter = min(self.n_iter, _QUICK_ITER)
            center, rotation = self._rotation(agreement, training, groups[train], rng, n_iter)
            image, text = (
                (testing.join(p[test], b) - center) @ rotation >= 0 for b, p in enumerate(predicted)
            )
            scores.append(paired_score(image, text, None))
        return np.array(scores)

    def _remembered(self, rows, agreement, shared, rotation, rng):
        """Return what each modality remembers of the pairs."""
        coordinates, lacking = ([], []), ([], [])
        for i, part in zip(rows.batches, rows.parts(), strict=True):
            here = shared.with_values([shared.of(rows.blocks, i, block) for block in (0, 1)])
            target = here.join_target(agreement.target(part))
            for block, (values, p) in enumerate(((part.f, part.x), (part.g, part.y))):
                predicted = here.join(agreement.predict(values, block), block)
                lacking[block].append(self.memory * (target - predicted) @ rotation)
                coordinates[block].append(p[:, :AXES].astype(np.float32))
        return [
            remember(np.vstack(p), np.vstack(values), rng)
            for p, values in zip(coordinates, lacking, strict=True)
        ]

    def _real_codes(self, block, values):
        state = self.image_state_ if block == "image" else self.text_state_
        features = KernelFeatures.from_state(state)
        codes = np.empty((values.shape[0], len(state["offset"])))
        n_known = len(state["known"]) if "known" in state else 0
        for rows in gen_batches(len(codes), max(64, min(CHUNK, ENTRIES // max(n_known, 1)))):
            p = features.coordinates(values[rows])
            codes[rows] = features.similarities(p) @ state["map"] - state["offset"]
            if "shared" in state:
                codes[rows] += features.directions(values[rows], state["shared"])
            if n_known:
                codes[rows] += recall(state, p)
        return codes


def _state(block, features, agreement, shared, center, rotation):
    """Return all that encodes one modality."""
    encoder, n_learned = agreement.encoders[block], agreement.axes.shape[1]
    state = {
        **features.state(),
        "map": features.root @ encoder.coefficients @ rotation[:n_learned],
        "offset": center @ rotation - encoder.intercept @ rotation[:n_learned],
    }
    if shared.weight:
        state["shared"] = shared.weight**0.5 * shared.axes @ rotation[n_learned:]
    return state


def _least_within_error(scores):
    """Return the first column whose mean is less than the best one by at most a standard error."""
    best = np.argmax(scores.mean(axis=0))
    lost = scores[:, [best]] - scores
    error = lost.std(axis=0, ddof=1) / np.sqrt(len(lost)) if len(lost) > 1 else 0.0
    return int(np.argmax(lost.mean(axis=0) <= error))
