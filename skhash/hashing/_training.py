"""The training loop of all hashers."""

import weakref
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.model_selection import GroupShuffleSplit, ShuffleSplit

from .._blocks import BLOCKS
from .._comparable import comparable
from .._device import resolve_device
from .._ranking import average_precisions
from ._networks import from_numpy, to_numpy
from ._pairs import block_statistics, encode_rows, warn_of_rows
from ._threads import one_thread
from ._watch import Progress, code_statistics, warn_of_collapse, warn_of_interrupt

SAMPLE = 2048  # rows that are looked at to prepare an affinity, or to see a collapse


@dataclass(eq=False)
class Live:
    """What a hasher holds of torch. It is kept beside the estimator, so never in a pickle."""

    networks: torch.nn.ModuleDict
    device: torch.device
    optimizer: torch.optim.Optimizer | None = None

    def encode(self, block, values, alpha=1.0):
        """Return the real codes of all rows of a block."""
        return encode_rows(self.networks[block], values, alpha=alpha, device=self.device)


_live = weakref.WeakKeyDictionary()


def wake(hasher):
    """Return a fitted hasher's live networks, made from its weights where there are none."""
    device = resolve_device(hasher.device)
    live = _live.get(hasher)
    if live is not None and live.device == device:
        return live
    states = {"image": hasher.image_state_, "text": hasher.text_state_}
    widths = {block: len(state["mean"]) for block, state in states.items()}
    networks = hasher._networks(widths, torch.Generator())
    try:
        for block, state in states.items():
            from_numpy(networks[block], state)
    except RuntimeError as error:
        raise ValueError(
            "n_bits, hidden_units or another parameter of the networks has changed since fit: "
            "set it back, or fit again."
        ) from error
    live = _live[hasher] = Live(networks.to(device), device)
    return live


def train(hasher, pairs, validation=None, *, n_epochs, seed, fresh, go_on=False):
    """Train a hasher's networks and set its fitted attributes.

    Parameters
    ----------
    hasher : AffinityHasher
        The hasher.
    pairs, validation : Pairs
        What to train on, and what to compute validation scores on, if anything.
    n_epochs : int
        Passes over the pairs.
    seed : int
        Seed of the weights, the batches and the held-out part.
    fresh : bool
        Whether to begin with new weights.
    go_on : bool, default=False
        Whether to go on with the optimizer's state where there is one.
    """
    if not fresh and hasher.n_bits != hasher.n_bits_:
        raise ValueError(
            f"training cannot go on with n_bits={hasher.n_bits}, the codes have {hasher.n_bits_} "
            "bits: set it back, or fit with warm_start=False."
        )
    with one_thread():
        live = start(hasher, pairs, seed) if fresh else wake(hasher)
        _live.pop(hasher, None)  # until training has ended well, the weights to keep are the fitted
        if live.optimizer is None or not go_on:
            live.optimizer = _make_optimizer(hasher, live.networks.parameters())
        first = 0 if fresh else hasher.n_iter_
        curve = {} if fresh else {term: list(values) for term, values in hasher.loss_curve_.items()}
        scores = [] if fresh else list(hasher.validation_scores_)
        best = Best(hasher.tol)
        progress = Progress(type(hasher).__name__, n_epochs, hasher.verbose)
        target, done = hasher._target(pairs), 0
        try:
            for epoch in range(first, first + n_epochs):
                terms = _run_epoch(hasher, live, pairs, target, epoch=epoch, seed=seed)
                for term, value in terms.items():
                    curve.setdefault(term, []).append(value)
                done += 1
                if validation is not None:
                    scores.append(_validate(live, validation))
                progress.tell(done, terms, scores[-1] if validation is not None else None)
                if hasher.early_stopping and validation is not None:
                    best.update(scores[-1], epoch, live.networks)
                    if best.waited >= hasher.n_iter_no_change:
                        break
        except KeyboardInterrupt:
            warn_of_interrupt(done, n_epochs)
        if best.state is not None:
            live.networks.load_state_dict(best.state)
        last = best.epoch if best.state is not None else max(first + done - 1, 0)
        hasher.n_iter_, hasher.loss_curve_, hasher.validation_scores_ = first + done, curve, scores
        hasher.n_bits_, hasher.alpha_ = hasher.n_bits, hasher._sharpness(last)
        hasher.image_state_, hasher.text_state_ = (to_numpy(live.networks[b]) for b in BLOCKS)
        _live[hasher] = live
        _look_at_codes(hasher, live, pairs)


def start(hasher, pairs, seed):
    """Make networks that know the features' moments, and let the method prepare."""
    device = resolve_device(hasher.device)
    widths = {block: values.shape[1] for block, values in pairs.blocks.items()}
    networks = hasher._networks(widths, torch.Generator().manual_seed(seed))
    for block, values in pairs.blocks.items():
        mean, scale, *rows = block_statistics(values, center=hasher.center)
        warn_of_rows(block, *rows)
        networks[block].mean.copy_(torch.from_numpy(mean))
        networks[block].scale.fill_(scale)
    networks.to(device)
    batches = pairs.batches(hasher.batch_size, np.random.default_rng(seed))
    few = batches[: -(-SAMPLE // hasher.batch_size)]
    hasher._prepare(pairs.tensors(rows, networks, device) for rows in few)
    return Live(networks, device)


def _run_epoch(hasher, live, pairs, target, *, epoch, seed):
    """Train for one pass over the pairs; return the mean of each loss term."""
    sums = defaultdict(float)
    alpha = hasher._sharpness(epoch)
    # A generator an epoch: training that goes on later deals the same batches as training in one
    # go.
    for rows in pairs.batches(hasher.batch_size, np.random.default_rng([seed, epoch])):
        features = pairs.tensors(rows, live.networks, live.device)
        terms = hasher._step(live.networks, live.optimizer, features, target(rows, features), alpha)
        for term, value in terms.items():
            sums[term] = sums[term] + value.detach() * (len(rows) / len(pairs))
    terms = {term: float(value) for term, value in sums.items()}
    terms["total"] = sum(terms.values())
    if not np.isfinite(terms["total"]):
        raise FloatingPointError(
            f"the loss is {terms['total']} in epoch {epoch + 1}: "
            f"lower learning_rate (now {hasher.learning_rate})."
        )
    return terms


def _make_optimizer(hasher, parameters):
    settings = {"lr": hasher.learning_rate, "weight_decay": hasher.weight_decay}
    if hasher.optimizer == "sgd":
        return torch.optim.SGD(parameters, momentum=hasher.momentum, **settings)
    return torch.optim.AdamW(parameters, **settings)


def hold_out(pairs, fraction, seed):
    """Split pairs into training and validation pairs; a group is never split."""
    splitter = ShuffleSplit if pairs.groups is None else GroupShuffleSplit
    split = splitter(1, test_size=fraction, random_state=seed)
    train_rows, held_rows = next(split.split(np.empty(len(pairs)), groups=pairs.groups))
    return pairs.take(np.sort(train_rows)), pairs.take(np.sort(held_rows))


def _validate(live, pairs):
    image, text = (live.encode(b, pairs.blocks[b]) >= 0 for b in BLOCKS)
    return paired_score(image, text, pairs.groups)


def paired_score(image, text, y):
    """Return the mean average precision among pairs of binary codes, mean of both directions."""
    both = [
        average_precisions(*comparable(a, b), y, y, k=None, ties="expected", normalize="hits")
        for a, b in ((image, text), (text, image))
    ]
    return float(np.mean(both))


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
        """Take in the score of an epoch."""
        self.waited = 0 if score > self.score + self.tol else self.waited + 1
        if score > self.score:
            self.score, self.epoch = score, epoch
            self.state = {name: tensor.clone() for name, tensor in networks.state_dict().items()}
