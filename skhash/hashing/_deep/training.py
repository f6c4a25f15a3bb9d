"""The training loop of all hashers."""

import weakref
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from sklearn.model_selection import GroupShuffleSplit, ShuffleSplit
from sklearn.utils import gen_batches

from ..._blocks import BLOCKS
from ..._inputs.checks import check_n_jobs
from ..._torch.device import resolve_device
from ..._torch.threads import threads
from .._pairs import CHUNK, block_statistics, dense_rows, paired_score, warn_of_rows
from .networks import from_numpy, to_numpy
from .watch import Progress, code_statistics, warn_of_collapse, warn_of_interrupt

SAMPLE = 2048  # rows that are enough to prepare a target, or to notice a collapse


@dataclass(eq=False)
class Live:
    """The torch objects of a hasher, kept outside the estimator so that pickles hold none."""

    networks: torch.nn.ModuleDict
    device: torch.device
    optimizers: dict[str, torch.optim.Optimizer] | None = None
    state: dict | None = None  # the hasher's weights that the networks have

    @torch.no_grad()
    def encode(self, block, values, alpha=1.0):
        """Return the real codes of all rows of a block, a chunk at a time."""
        network: Any = self.networks[block].eval()
        codes = []
        for rows in gen_batches(values.shape[0], CHUNK):
            features = torch.from_numpy(dense_rows(values, rows)).to(self.device)
            codes.append(network.encode(network.standardize(features), alpha).cpu().numpy())
        return np.concatenate(codes)


_live = weakref.WeakKeyDictionary()


def keep(hasher, live):
    """Keep the live networks of a hasher."""
    _live[hasher] = live


def wake(hasher):
    """Return a fitted hasher's live networks, made from its weights where there are none."""
    device = resolve_device(hasher.device)
    live = _live.get(hasher)
    if live is None or live.device != device or live.state is not hasher.image_state_:
        networks = _networks(hasher, hasher._fitted_with)
        for name, state in _states(hasher).items():
            from_numpy(networks[name], state)
        live = _live[hasher] = Live(networks.to(device), device, state=hasher.image_state_)
    return live


def _states(hasher):
    return {"image": hasher.image_state_, "text": hasher.text_state_, **hasher.training_state_}


def _networks(hasher, parameters):
    """Make networks as parameters say, of the widths that a hasher was fitted with."""
    widths = {block: len(_states(hasher)[block]["mean"]) for block in BLOCKS}
    networks = type(hasher)(**parameters)._networks(widths, torch.Generator())
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
                f"training cannot go on with {name}={now}, since the networks were made with "
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
    numbers, and is seeded anew each epoch; `fresh` says whether the networks are new.
    """

    def __init__(self, hasher, live, pairs, *, seed, fresh):
        self.live, self.device = live, live.device
        self.networks, self.optimizers = live.networks, live.optimizers
        self.pairs, self.seed, self.fresh = pairs, seed, fresh
        self.batch_size = hasher.batch_size
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
        """Yield the features of batches of up to 2,048 rows in all."""
        batches = self.pairs.batches(self.batch_size, np.random.default_rng(self.seed))
        for rows in batches[: -(-SAMPLE // self.batch_size)]:
            yield self.features(rows)

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
    Live
        The networks.
    """
    fresh = not hasher.__sklearn_is_fitted__()
    if not fresh:
        _check_shapes(hasher)
    with threads(check_n_jobs(hasher.n_jobs)):
        live = start(hasher, pairs, seed) if fresh else wake(former)
        if not fresh:
            _live.pop(former, None)  # these networks are going to change
        if live.optimizers is None or not go_on:
            live.optimizers = hasher._optimizers(live.networks)
        first = 0 if fresh else hasher.n_iter_
        curve = {} if fresh else {term: list(values) for term, values in hasher.loss_curve_.items()}
        scores = [] if fresh else list(hasher.validation_scores_)
        best, planned, done = Best(hasher.tol), sum(phases.values()), 0
        progress = Progress(type(hasher).__name__, planned, hasher.verbose)
        run = Run(hasher, live, pairs, seed=seed, fresh=fresh)
        try:
            for phase, n_epochs in phases.items():
                hasher._begin(run, phase)
                last = phase == list(phases)[-1]
                for epoch in range(first + done, first + done + n_epochs):
                    terms = _run_epoch(hasher, run, epoch, phase)
                    for term, value in terms.items():
                        curve.setdefault(term, []).append(value)
                    done += 1
                    if validation is not None and last:
                        scores.append(_validate(live, validation))
                    progress.tell(done, terms, scores[-1] if scores else None)
                    if hasher.early_stopping and validation is not None and last:
                        best.update(scores[-1], epoch, live.networks)
                        if best.waited >= hasher.n_iter_no_change:
                            break
        except KeyboardInterrupt:
            if done <= planned - list(phases.values())[-1]:  # the encoders have not been trained
                raise
            warn_of_interrupt(done, planned)
        if best.state is not None:
            live.networks.load_state_dict(best.state)
        last_epoch = best.epoch if best.state is not None else max(first + done - 1, 0)
        hasher.n_iter_, hasher.loss_curve_, hasher.validation_scores_ = first + done, curve, scores
        hasher.n_bits_, hasher.alpha_ = hasher.n_bits, hasher._sharpness(last_epoch)
        states = {name: to_numpy(network) for name, network in live.networks.items()}
        hasher.image_state_, hasher.text_state_ = (states.pop(block) for block in BLOCKS)
        hasher.training_state_ = states
        parameters = hasher.get_params(deep=False)
        hasher._fitted_with = {n: v for n, v in parameters.items() if n != "random_state"}
        _look_at_codes(hasher, live, pairs)
        live.state = hasher.image_state_
    return live


def start(hasher, pairs, seed):
    """Make networks that standardize features by the mean and the spread of the pairs."""
    device = resolve_device(hasher.device)
    widths = {block: values.shape[1] for block, values in pairs.blocks.items()}
    networks = torch.nn.ModuleDict(hasher._networks(widths, torch.Generator().manual_seed(seed)))
    for block, values in pairs.blocks.items():
        mean, scale, *rows = block_statistics(values, center=hasher.center)
        warn_of_rows(block, *rows)
        network: Any = networks[block]
        network.mean.copy_(torch.from_numpy(mean))
        network.scale.fill_(scale)
    return Live(networks.to(device), device)


def _run_epoch(hasher, run, epoch, phase):
    """Train for one pass over the pairs; return the mean of each loss term."""
    sums = defaultdict(float)
    alpha = hasher._sharpness(epoch)
    run.networks.train()
    # A seed an epoch: training in parts has the same batches and the same random numbers as
    # training in one call.
    rng = np.random.default_rng([run.seed, epoch])
    batches = run.pairs.batches(hasher.batch_size, rng)
    run.generator.manual_seed(int(rng.integers(2**32)))
    for rows in batches:
        batch = Batch(rows, run.features(rows), epoch, phase, alpha)
        for term, value in hasher._step(run, batch).items():
            sums[term] = sums[term] + value.detach() * (len(rows) / len(run.pairs))
    terms = {term: float(value) for term, value in sums.items()}
    terms["total"] = sum(terms.values())
    if not np.isfinite(terms["total"]):
        raise FloatingPointError(
            f"the loss is {terms['total']} in epoch {epoch + 1}: "
            f"lower learning_rate (now {hasher.learning_rate})."
        )
    return terms


def hold_out(pairs, fraction, seed):
    """Split pairs into training and validation pairs; a group is never split."""
    splitter = ShuffleSplit if pairs.groups is None else GroupShuffleSplit
    split = splitter(1, test_size=fraction, random_state=seed)
    train_rows, held_rows = next(split.split(np.empty(len(pairs)), groups=pairs.groups))
    return pairs.take(np.sort(train_rows)), pairs.take(np.sort(held_rows))


def _validate(live, pairs):
    image, text = (live.encode(b, pairs.blocks[b]) >= 0 for b in BLOCKS)
    return paired_score(image, text, pairs.groups)


def _look_at_codes(hasher, live, pairs):
    rows = np.linspace(0, len(pairs) - 1, num=min(len(pairs), SAMPLE)).astype(int)
    hasher.code_statistics_ = {
        b: code_statistics(live.encode(b, values, hasher.alpha_))
        for b, values in pairs.take(rows).blocks.items()
    }
    warn_of_collapse(hasher.code_statistics_, len(rows))


class Best:
    """The best weights so far, and for how many epochs the score has not risen."""

    def __init__(self, tol):
        self.tol = tol
        self.score, self.epoch, self.state, self.waited = -np.inf, None, None, 0

    def update(self, score, epoch, networks):
        """Record the score of an epoch."""
        self.waited = 0 if score > self.score + self.tol else self.waited + 1
        if score > self.score:
            self.score, self.epoch = score, epoch
            self.state = {name: tensor.clone() for name, tensor in networks.state_dict().items()}
