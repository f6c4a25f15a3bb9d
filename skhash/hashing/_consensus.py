"""Codes of what both modalities agree on, in closed form."""

import numpy as np
from joblib import Parallel, delayed
from scipy import linalg
from sklearn.utils import gen_batches

from .._blocks import BLOCKS
from .._inputs.checks import check_integer, check_n_jobs
from ._agreement import Agreement
from ._base import PairHasher
from ._docs import hasher
from ._kernel import KernelFeatures, squared_distances
from ._moments import Part, eigen
from ._pairs import CHUNK, block_statistics, paired_score, warn_of_rows
from ._parameters import choice, count, not_negative, parameter, positive, share
from ._rotation import rotate, tell_apart

_SAMPLE = 4000  # pairs that what is not a sum is learned from
_KEPT = 20_000  # pairs whose features are kept between passes
_LEAST_AXES = 192
_SHARED_AXES = 128
_WIDE = 1024  # columns, past which the shared axes are sought among the blocks' principal axes
_MEMORY_AXES = 128
_MEMORY_SHARPNESS = 10.0
_SHARED_WEIGHTS = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0)
_ENTRIES = 8_000_000  # of distances at once


def _check_threads(value, name):
    check_n_jobs(value)
    return value


@hasher
class ConsensusHasher(PairHasher):
    """TODO.

    Parameters
    ----------
    target : {"meaning", "pair"}, default="meaning"
        What.
    """

    target: str = choice("meaning", "meaning", "pair")
    memory: float = share(0.75)
    n_remembered: int = count(20_000)
    consensus: float = share(0.5)
    power: float = not_negative(1.25)
    gamma: float = positive(0.5)
    n_anchors: int = count(800)
    n_folds: int = parameter(3, check_integer, 2)
    n_iter: int = count(50)
    n_jobs: int | None = parameter(None, _check_threads)

    def _learn(self, pairs, seed):
        rng = np.random.default_rng(seed)
        for b in BLOCKS:
            warn_of_rows(b, *block_statistics(pairs.blocks[b], center=self.center)[2:])
        features = {
            b: KernelFeatures(
                pairs.blocks[b],
                center=self.center,
                n_anchors=self.n_anchors,
                gamma=self.gamma,
                rng=rng,
            )
            for b in BLOCKS
        }
        groups = np.arange(len(pairs)) if pairs.groups is None else pairs.groups
        rows = _Rows(pairs.blocks, features, _folds(groups, self.n_folds, rng))
        sample = np.sort(rng.permutation(len(pairs))[:_SAMPLE])
        agreement = self._agree(rows.parts, rows.part(sample))
        shared = _Shared(pairs.blocks, features, sample)
        shared.weight = self._shared_weight(rows.part(sample), groups[sample], shared, rng)
        center, rotation = self._rotation(agreement, shared, groups[sample], rng)
        self.correlations_ = agreement.correlations
        self.mutual_information_ = agreement.information
        self.text_share_ = agreement.text_share
        self.shared_weight_ = shared.weight
        self.ridges_ = {
            "correlation": agreement.ridge,
            "image": agreement.encoders[0].ridge,
            "text": agreement.encoders[1].ridge,
        }
        self.n_remembered_ = len(pairs) if self.memory and len(pairs) <= self.n_remembered else 0
        states = []
        for block, name in enumerate(BLOCKS):
            own = features[name]
            n_learned = agreement.axes.shape[1]
            encoder = agreement.encoders[block]
            state = {
                "non_negative": np.array(own.non_negative),
                "mean": own.mean,
                "axes": own.axes,
                "anchors": own.anchors,
                "rate": np.array(own.rate),
                "map": own.root @ encoder.coefficients @ rotation[:n_learned],
                "offset": center @ rotation - encoder.intercept @ rotation[:n_learned],
                "shared": shared.maps(block) @ rotation[n_learned:],
            }
            if self.n_remembered_:
                state |= self._remembered(rows, agreement, shared, block, rotation, rng)
            states.append(state)
        self.image_state_, self.text_state_ = states

    def _agree(self, parts, sample):
        return Agreement(
            parts,
            sample,
            int(sample.folds.max()) + 1,
            power=self.power,
            consensus=self.consensus,
            n_axes=max(_LEAST_AXES, self.n_bits),
        )

    def _rotation(self, agreement, shared, groups, rng):
        targets = shared.join_target(agreement.sample)
        predicted = [shared.join(p, block) for block, p in enumerate(agreement.predicted)]
        center, rotation = rotate(targets, predicted, self.n_bits, rng, self.n_iter)
        if self.target == "pair":
            image, text = (p - center for p in predicted)
            rotation = tell_apart(rotation, image, text, groups, rng)
        return center, rotation

    def _shared_weight(self, sample, groups, shared, rng):
        """Choose the weight of what both blocks share as they come, by codes of held-out pairs."""
        if shared.axes is None:
            return 0.0
        seeds = rng.integers(2**32, size=sample.folds.max() + 1)
        scores = Parallel(n_jobs=self.n_jobs, prefer="threads")(
            delayed(self._held_out_scores)(sample, groups, shared, fold, seed)
            for fold, seed in enumerate(seeds)
        )
        return _SHARED_WEIGHTS[int(np.argmax(np.mean(scores, axis=0)))]

    def _held_out_scores(self, sample, groups, shared, fold, seed):
        """Return how well codes of a fold find their other half, for each weight."""
        rng = np.random.default_rng(seed)
        train, test = np.flatnonzero(sample.folds != fold), np.flatnonzero(sample.folds == fold)
        test = test[np.unique(groups[test], return_index=True)[1]]
        if len(train) < 4 or len(test) < 2:
            return np.zeros(len(_SHARED_WEIGHTS))
        part = sample.take(train)._replace(folds=_folds(groups[train], self.n_folds, rng))
        agreement = self._agree(lambda: [part], part)
        predicted = [agreement.predict(v, b) for b, v in enumerate((sample.f, sample.g))]
        scores = []
        for weight in _SHARED_WEIGHTS:
            training, testing = (shared.take(rows, weight) for rows in (train, test))
            center, rotation = self._rotation(agreement, training, groups[train], rng)
            real = [testing.join(p[test], b) - center for b, p in enumerate(predicted)]
            scores.append(paired_score(*(values @ rotation >= 0 for values in real), None))
        return np.array(scores)

    def _remembered(self, rows, agreement, shared, block, rotation, rng):
        """Return the coordinates of the pairs, and what the codes of their halves still lack."""
        coordinates, lacking = [], []
        for i, part in zip(rows.batches, rows.parts(), strict=True):
            both = [shared.of(rows.blocks, rows.features, i, b) for b in (0, 1)]
            here = shared.with_values(both)
            target = here.join_target(agreement.target(part))
            predicted = agreement.predict((part.f, part.g)[block], block)
            lacking.append((target - here.join(predicted, block)) @ rotation)
            coordinates.append((part.x, part.y)[block][:, :_MEMORY_AXES])
        known = np.vstack(coordinates)
        some = known[rng.permutation(len(known))[:1000]]
        distances = squared_distances(some, known)
        distances[distances < 1e-9] = np.inf
        nearest = distances.min(axis=1)
        typical = np.median(nearest[np.isfinite(nearest)]) if np.isfinite(nearest).any() else 1.0
        return {
            "known": known.astype(np.float32),
            "lacking": (self.memory * np.vstack(lacking)).astype(np.float32),
            "sharpness": np.array(_MEMORY_SHARPNESS / typical),
        }

    def _real_codes(self, block, values):
        state = self.image_state_ if block == "image" else self.text_state_
        features = KernelFeatures.from_state(state)
        codes = np.empty((values.shape[0], len(state["offset"])))
        n_known = len(state["known"]) if "known" in state else 0
        step = max(64, min(CHUNK, _ENTRIES // max(n_known, 1)))
        for rows in gen_batches(len(codes), step):
            p = features.coordinates(values[rows])
            codes[rows] = features.similarities(p) @ state["map"] - state["offset"]
            if len(state["shared"]) and state["shared"].any():
                projected, lengths = features.project(values[rows], state["shared"])
                codes[rows] += projected / np.where(lengths > 0, lengths, 1)[:, None]
            if n_known:
                k = squared_distances(p[:, :_MEMORY_AXES], state["known"])
                k = np.exp(-state["sharpness"] * k)
                codes[rows] += k @ state["lacking"] / np.maximum(1, k.sum(axis=1))[:, None]
        return codes


class _Rows:
    """The pairs as kernel features and coordinates, a batch at a time."""

    def __init__(self, blocks, features, folds):
        self.blocks, self.features, self.folds = blocks, features, folds
        self.batches = list(gen_batches(len(folds), CHUNK))
        self.kept = None
        if len(folds) <= _KEPT:
            self.kept = [self.part(rows) for rows in self.batches]

    def part(self, rows):
        """Return some of the pairs."""
        x, y = (self.features[b].coordinates(self.blocks[b][rows]) for b in BLOCKS)
        f, g = (self.features[b].features(p) for b, p in zip(BLOCKS, (x, y), strict=True))
        return Part(f, g, x, y, self.folds[rows])

    def parts(self):
        """Return all pairs in batches."""
        return self.kept or map(self.part, self.batches)


class _Shared:
    """What both blocks are in one space as they come: centred unit vectors along common axes."""

    def __init__(self, blocks, features, rows):
        self.weight, self.axes, self.features = 0.0, None, features
        image, text = (blocks[b].shape[1] for b in BLOCKS)
        if image != text:
            return
        if image <= _WIDE:
            self.axes = np.eye(image)
        else:  # wide blocks vary along few axes
            self.axes = linalg.qr(np.hstack([features[b].axes for b in BLOCKS]), mode="economic")[0]
        units = np.vstack([self.of(blocks, features, rows, block) for block in (0, 1)])
        self.axes = self.axes @ eigen(units.T @ units)[1][:, :_SHARED_AXES]
        self.values = [self.of(blocks, features, rows, block) for block in (0, 1)]

    def of(self, blocks, features, rows, block):
        """Return the unit vectors of some rows of a block, (m, a)."""
        if self.axes is None:
            return None
        name = BLOCKS[block]
        z, lengths = features[name].project(blocks[name][rows], self.axes)
        return z / np.where(lengths > 0, lengths, 1)[:, None]

    def with_values(self, values, weight=None):
        """Return the same for other rows, or with another weight."""
        other = object.__new__(_Shared)
        other.axes, other.values = self.axes, values
        other.weight = self.weight if weight is None else weight
        return other

    def take(self, rows, weight):
        """Return the same for some of the rows, with another weight."""
        return self.with_values([v[rows] for v in self.values], weight)

    def join(self, predicted, block):
        """Append the vectors of a block to what is predicted from it."""
        if not self.weight:
            return predicted
        return np.hstack([predicted, self.weight**0.5 * self.values[block]])

    def join_target(self, target):
        """Append the mean of both blocks' vectors to the target."""
        if not self.weight:
            return target
        return np.hstack([target, self.weight**0.5 * (self.values[0] + self.values[1]) / 2])

    def maps(self, block):
        """Return the axes of the vectors, times the weight, (d, a), or (d, 0) where it is 0."""
        if not self.weight:
            return np.zeros((len(self.features[BLOCKS[block]].mean), 0))
        return self.weight**0.5 * self.axes


def _folds(groups, n_folds, rng):
    """Draw the fold of each row; rows of a group have one, unless all rows are of one group."""
    ids, of = np.unique(groups, return_inverse=True)
    if len(ids) == 1:  # nothing to learn from would be left
        ids = of = np.arange(len(groups))
    n_folds = min(n_folds, max(len(ids) // 2, 2), len(ids))  # correlations need two rows of a fold
    return (rng.permutation(len(ids)) % n_folds)[of]
