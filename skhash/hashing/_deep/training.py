"""The training loop of all hashers."""

import copy
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from sklearn.utils import gen_batches

from ..._blocks import BLOCKS
from ..._inputs.checks import check_n_jobs
from ..._torch.device import resolve_device
from ..._torch.live import Live
from ..._torch.runs import Epochs, Progress
from ..._torch.runs import hold_out as held_out_rows
from ..._torch.threads import threads
from ..._torch.weights import from_numpy, to_numpy
from .._pairs import CHUNK, block_statistics, dense_rows, paired_score, warn_of_rows
from .networks import IN_NUMPY
from .starts import begin_linear
from .watch import (
    FEW,
    code_statistics,
    epoch_line,
    pair_distances,
    warn_of_collapse,
    warn_of_memory,
)

WATCHED = 50  # held-out pairs that are enough to tell their distance
NO_ROWS = np.empty(0, dtype=int)
SAMPLE = 2048  # rows that are enough to prepare a target, or to notice a collapse


@dataclass(eq=False)
class Trained:
    """The networks of a hasher on a device, with their optimizers."""

    networks: torch.nn.ModuleDict
    device: torch.device
    optimizers: dict[str, torch.optim.Optimizer] | None = None

    @torch.no_grad()
    def encode(self, block, values, alpha=1.0):
        """Return the real codes of all rows of a block, a chunk at a time."""
        network: Any = self.networks[block].eval()
        codes = []
        for rows in gen_batches(values.shape[0], CHUNK):
            features = torch.from_numpy(dense_rows(values, rows)).to(self.device)
            codes.append(network.encode(network.standardize(features), alpha).cpu().numpy())
        return np.concatenate(codes)


_live = Live()


def keep(hasher, weights, live):
    """Keep the live networks of a hasher, with the weights that it has then."""
    _live.keep(hasher, weights, live)


def wake(hasher):
    """Return a fitted hasher's live networks, made from its weights where there are none."""
    device = resolve_device(hasher.device)
    live = _live.get(hasher, hasher.image_state_, device)
    if live is None:
        networks = _networks(hasher, hasher._fitted_with)
        for name, state in _states(hasher).items():
            from_numpy(networks[name], state)
        live = Trained(networks.to(device), device)
        keep(hasher, hasher.image_state_, live)
    return live


def encode(hasher, block, values):
    """Return the real codes of all rows of a block by a fitted hasher's live networks."""
    with threads(1):
        return wake(hasher).encode(block, values, hasher.alpha_)


def _states(hasher):
    return {"image": hasher.image_state_, "text": hasher.text_state_, **hasher.training_state_}


def _networks(hasher, parameters):
    """Make networks as parameters say, of the widths that a hasher was fitted with."""
    widths = {block: len(_states(hasher)[block]["mean"]) for block in BLOCKS}
    # A copy, since networks may depend on fitted attributes too, such as the classes.
    return _make(copy.copy(hasher).set_params(**parameters), widths, torch.Generator())


def _make(hasher, widths, generator):
    networks = hasher._networks(widths, generator)
    if hasher.init == "cca":
        for block in BLOCKS:
            networks[block].add_linear_path()
    return torch.nn.ModuleDict(networks)


def _check_shapes(hasher):
    """Raise an error if a parameter asks for networks of another shape than was fitted."""

    def shapes(**changed):
        networks = _networks(hasher, {**fitted_with, **changed})
        return {name: weight.shape for name, weight in networks.state_dict().items()}

    fitted_with = hasher._fitted_with
    for name, then in fitted_with.items():
        now = getattr(hasher, name)
        if now != then and shapes(**{name: now}) != shapes():
            raise ValueError(
                f"training cannot continue with {name}={now}, since the networks were made with "
                f"{name}={then}: set it back, or fit with warm_start=False."
            )


@dataclass(eq=False)
class Batch:
    """A batch of a training run.

    Attributes: the `rows` of the pairs, their standardized `features` by block, the `epoch`,
    counted from 0 over all phases, the name of the `phase`, the sharpness `alpha` of the tanh, and
    the real `codes` by block once `_step` has computed them.
    """

    rows: Any
    features: dict[str, torch.Tensor]
    epoch: int = 0
    phase: str = ""
    alpha: float = 1.0
    codes: dict[str, torch.Tensor] = field(default_factory=dict)


class Run:
    """A training run: the networks, their optimizers, the pairs, and the state of the method.

    `memory` belongs to the method, for the time of the run; `generator` is its source of random
    numbers, and is seeded anew each epoch; `fresh` says whether the networks are new. Rows that are
    `watched` are in no batch as long as there are any.
    """

    def __init__(self, hasher, live, pairs, *, seed, fresh):
        self.live, self.device = live, live.device
        self.networks, self.optimizers = live.networks, live.optimizers
        self.pairs, self.seed, self.fresh = pairs, seed, fresh
        self.batch_size = hasher.batch_size
        self.watched = NO_ROWS
        self.memory: dict[str, Any] = {}
        self.generator = torch.Generator().manual_seed(seed)

    def features(self, rows):
        """Return the standardized features of some rows, a dict of tensors of shape (m, d)."""
        return {
            name: self.networks[name].standardize(
                torch.from_numpy(dense_rows(self.pairs.blocks[name], rows)).to(self.device)
            )
            for name in BLOCKS
        }

    def sample(self):
        """Yield batches of up to 2,048 rows in all."""
        batches = self.pairs.batches(self.batch_size, np.random.default_rng(self.seed))
        for rows in batches[: -(-SAMPLE // self.batch_size)]:
            yield self.batch(rows)

    def batch(self, rows):
        """Return some rows as a batch that belongs to no epoch."""
        return Batch(rows, self.features(rows))

    def whole(self):
        """Return all pairs as one batch."""
        return self.batch(np.arange(len(self.pairs)))

    def encode(self, batch):
        """Return the real codes of a batch, a dict of tensors of shape (m, c)."""
        return {b: self.networks[b].encode(batch.features[b], batch.alpha) for b in BLOCKS}

    def encode_all(self):
        """Return the real codes of all pairs, a dict of tensors, in evaluation mode."""
        codes = {b: self.live.encode(b, values) for b, values in self.pairs.blocks.items()}
        return {b: torch.from_numpy(values).to(self.device) for b, values in codes.items()}

    def same(self, rows, others=None):
        """Return which rows are the same or of one group, a bool tensor of shape (m, k)."""
        groups = np.arange(len(self.pairs)) if self.pairs.groups is None else self.pairs.groups
        others = rows if others is None else others
        return torch.from_numpy(groups[rows][:, None] == groups[others]).to(self.device)

    def step(self, terms, *names, clip=None):
        """Take a step down the sum of the loss terms.

        Parameters
        ----------
        terms : dict of str to tensor of shape ()
            The weighted loss terms.
        *names : str
            The optimizers that take the step; by default ``"main"``.
        clip : float, default=None
            Largest norm of the gradient of all their weights.
        """
        optimizers = [self.optimizers[name] for name in names or ("main",)]
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        torch.stack(tuple(terms.values())).sum().backward()
        if clip is not None:
            groups = [group for optimizer in optimizers for group in optimizer.param_groups]
            weights = [weight for group in groups for weight in group["params"]]
            torch.nn.utils.clip_grad_norm_(weights, clip)
        for optimizer in optimizers:
            optimizer.step()


def train(hasher, former, pairs, validation=None, *, phases, seed, go_on=False):
    """Train a hasher's networks and set its fitted attributes.

    Parameters
    ----------
    hasher : DeepHasher
        The hasher, fitted if training goes on from its weights.
    former : DeepHasher
        The hasher whose live networks go on.
    pairs, validation : Pairs
        What to train on, and what to compute validation scores on, if anything.
    phases : dict of str to int
        Passes over the pairs in each phase.
    seed : int
        Seed of the weights, the batches and the held-out part.
    go_on : bool, default=False
        Whether to go on with the optimizers' state where there is one.

    Returns
    -------
    Trained
        The networks.
    """
    fresh = not hasher.__sklearn_is_fitted__()
    if not fresh:
        _check_shapes(hasher)
    planned, last_phase = sum(phases.values()), list(phases)[-1]
    n_watching = 0 if go_on or validation is not None else phases[last_phase] * 3 // 4
    watched = watched_rows(hasher, pairs, seed) if fresh and n_watching else NO_ROWS
    with threads(check_n_jobs(hasher.n_jobs)):
        live = start(hasher, pairs, seed, watched) if fresh else wake(former)
        if not fresh:
            _live.drop(former)  # these networks are going to change
        if live.optimizers is None or not go_on:
            live.optimizers = hasher._optimizers(live.networks)
        first = 0 if fresh else hasher.n_iter_
        curve = {} if fresh else {term: list(values) for term, values in hasher.loss_curve_.items()}
        scores = [] if fresh else list(hasher.validation_scores_)
        progress = Progress(type(hasher).__name__, planned, hasher.verbose)
        run = Run(hasher, live, pairs, seed=seed, fresh=fresh)
        run.watched, held_out = watched, {}
        # Before the last phase the encoders have not been trained.
        needed = planned - phases[last_phase] + 1
        patience = hasher.n_iter_no_change
        epochs = Epochs(live.networks, planned, needed=needed, tol=hasher.tol, patience=patience)
        with epochs:
            for phase, n_epochs in phases.items():
                hasher._begin(run, phase)
                validates = validation is not None and phase == last_phase
                for epoch in range(n_epochs):
                    if len(run.watched) and phase == last_phase and epoch == n_watching:
                        held_out = _pair_distances(live, pairs.take(watched))
                        run.watched = NO_ROWS
                    terms = _run_epoch(hasher, run, first + epochs.done, phase)
                    score = _validate(live, validation) if validates else None
                    epochs.add(score if hasher.early_stopping else None)
                    for term, value in terms.items():
                        curve.setdefault(term, []).append(value)
                    scores += [score] if validates else []
                    progress.tell(epochs.done, epoch_line(terms, score))
                    if epochs.stopped:
                        break
        if epochs.broken:
            live.optimizers = None
        done, last_epoch = epochs.done, max(first + epochs.kept - 1, 0)
        hasher.n_iter_, hasher.loss_curve_, hasher.validation_scores_ = first + done, curve, scores
        hasher.n_bits_, hasher.alpha_ = hasher.n_bits, hasher._sharpness(last_epoch)
        states = {name: to_numpy(network) for name, network in live.networks.items()}
        hasher.image_state_, hasher.text_state_ = (states.pop(block) for block in BLOCKS)
        hasher.training_state_ = states
        hasher._in_numpy = all(type(live.networks[block]) in IN_NUMPY for block in BLOCKS)
        parameters = hasher.get_params(deep=False)
        hasher._fitted_with = {n: v for n, v in parameters.items() if n != "random_state"}
        left_out = pairs.take(run.watched) if validation is None else validation
        if len(left_out) >= FEW:
            held_out = _pair_distances(live, left_out)
        _look_at_codes(hasher, live, pairs, held_out)
    return live


def start(hasher, pairs, seed, watched=NO_ROWS):
    """Make networks that standardize features by the mean and the spread of the pairs.

    Where they have linear paths, these begin with CCA + ITQ of all pairs but the `watched` rows.
    """
    device = resolve_device(hasher.device)
    widths = {block: values.shape[1] for block, values in pairs.blocks.items()}
    networks = _make(hasher, widths, torch.Generator().manual_seed(seed))
    for block, values in pairs.blocks.items():
        mean, scale, *rows = block_statistics(values, center=hasher.center)
        warn_of_rows(block, values, *rows)
        network: Any = networks[block]
        network.mean.copy_(torch.from_numpy(mean))
        network.scale.fill_(scale)
    if hasher.init == "cca":
        known = np.setdiff1d(np.arange(len(pairs)), watched)
        begin_linear(hasher, networks, pairs, known, seed)
    return Trained(networks.to(device), device)


def _run_epoch(hasher, run, epoch, phase):
    """Train for one pass over the pairs; return the mean of each loss term."""
    sums = defaultdict(float)
    alpha = hasher._sharpness(epoch)
    run.networks.train()
    # A seed an epoch: training in parts has the same batches and the same random numbers as
    # training in one call.
    rng = np.random.default_rng([run.seed, epoch])
    batches = run.pairs.batches(hasher.batch_size, rng, run.watched)
    n_rows = sum(map(len, batches))
    run.generator.manual_seed(int(rng.integers(2**32)))
    for rows in batches:
        batch = Batch(rows, run.features(rows), epoch, phase, alpha)
        for term, value in hasher._step(run, batch).items():
            sums[term] = sums[term] + value.detach() * (len(rows) / n_rows)
    terms = {term: float(value) for term, value in sums.items()}
    terms["total"] = sum(terms.values())
    if not np.isfinite(terms["total"]):
        raise FloatingPointError(
            f"the loss is {terms['total']} in epoch {epoch + 1}: "
            f"lower learning_rate, now {hasher.learning_rate}."
        )
    return terms


def hold_out(pairs, fraction, seed):
    """Split pairs into training and validation pairs; a group is never split."""
    train_rows, held_rows = held_out_rows(len(pairs), pairs.groups, fraction, seed)
    return pairs.take(train_rows, in_files=True), pairs.take(held_rows)


def watched_rows(hasher, pairs, seed):
    """Choose rows that training leaves out at first, to see how codes of new pairs agree."""
    n_watched = min(int(hasher.watch_fraction * len(pairs)), WATCHED, len(pairs) // 2)
    one_group = pairs.groups is not None and np.all(pairs.groups == pairs.groups[0])
    if n_watched < FEW or one_group:
        return NO_ROWS
    rows = held_out_rows(len(pairs), pairs.groups, n_watched / len(pairs), seed)[1]
    # Groups of very different sizes may be far too many rows, or too few.
    return rows if FEW <= len(rows) <= 2 * n_watched else NO_ROWS


def _validate(live, pairs):
    image, text = (live.encode(b, pairs.blocks[b]) >= 0 for b in BLOCKS)
    return paired_score(image, text, pairs.relevant)


def _pair_distances(live, pairs):
    distances = pair_distances(*(live.encode(b, pairs.blocks[b]) >= 0 for b in BLOCKS))
    return dict(zip(("held_out_distance", "stranger_distance"), distances, strict=True))


def _look_at_codes(hasher, live, pairs, held_out):
    rows = np.linspace(0, len(pairs) - 1, num=min(len(pairs), SAMPLE)).astype(int)
    sample = pairs.take(rows)
    codes = {b: live.encode(b, values, hasher.alpha_) for b, values in sample.blocks.items()}
    statistics = {b: code_statistics(values) for b, values in codes.items()}
    warn_of_collapse(statistics, len(rows), sample.n_labels)
    distance, _ = pair_distances(*(codes[b] >= 0 for b in BLOCKS))
    statistics["pairs"] = {"distance": distance, **held_out}
    warn_of_memory(**statistics["pairs"])
    hasher.code_statistics_ = statistics
