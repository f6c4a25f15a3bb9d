"""The training loop of all hashers."""

import weakref
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.model_selection import GroupShuffleSplit, ShuffleSplit

from .._blocks import BLOCKS
from .._comparable import compare_read
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
    state: dict | None = None  # the hasher's weights that the networks have

    def encode(self, block, values, alpha=1.0):
        """Return the real codes of all rows of a block."""
        return encode_rows(self.networks[block], values, alpha=alpha, device=self.device)


_live = weakref.WeakKeyDictionary()


def wake(hasher):
    """Return a fitted hasher's live networks, made from its weights where there are none."""
    device = resolve_device(hasher.device)
    live = _live.get(hasher)
    if live is None or live.device != device or live.state is not hasher.image_state_:
        networks = _networks(hasher, hasher._fitted_with)
        from_numpy(networks["image"], hasher.image_state_)
        from_numpy(networks["text"], hasher.text_state_)
        live = Live(networks.to(device), device, state=hasher.image_state_)
        _live[hasher] = live
    return live


def _networks(hasher, parameters):
    """Make networks as parameters say, of the widths that a hasher was fitted with."""
    states = {"image": hasher.image_state_, "text": hasher.text_state_}
    widths = {block: len(state["mean"]) for block, state in states.items()}
    return type(hasher)(**parameters)._networks(widths, torch.Generator())


def check_shapes(hasher):
    """Raise an error if a parameter asks for networks of another shape than was fitted."""

    def shapes(**changed):
        networks = _networks(hasher, {**fitted_with, **changed})
        return {name: weight.shape for name, weight in networks.state_dict().items()}

    fitted_with = hasher._fitted_with
    for name, then in fitted_with.items():
        now = getattr(hasher, name)
        if now != then and shapes(**{name: now}) != shapes():
            raise ValueError(
                f"training cannot go on with {name}={now}, the networks were made with "
                f"{name}={then}: set it back, or fit with warm_start=False."
            )


def train(hasher, new, pairs, validation=None, *, n_epochs, seed, fresh, go_on=False):
    """Train networks and set the fitted attributes of a hasher's copy.

    Parameters
    ----------
    hasher : AffinityHasher
        The hasher, whose fitted attributes stay as they are.
    new : AffinityHasher
        Its copy.
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
    if not fresh:
        check_shapes(new)
    with one_thread():
        live = start(new, pairs, seed) if fresh else wake(hasher)
        if not fresh:
            _live.pop(hasher, None)  # these networks are going to change
        if live.optimizer is None or not go_on:
            live.optimizer = _make_optimizer(new, live.networks.parameters())
        first = 0 if fresh else new.n_iter_
        curve = {} if fresh else {term: list(values) for term, values in new.loss_curve_.items()}
        scores = [] if fresh else list(new.validation_scores_)
        best = Best(new.tol)
        progress = Progress(type(new).__name__, n_epochs, new.verbose)
        target, done = new._target(pairs), 0
        try:
            for epoch in range(first, first + n_epochs):
                terms = _run_epoch(new, live, pairs, target, epoch=epoch, seed=seed)
                for term, value in terms.items():
                    curve.setdefault(term, []).append(value)
                done += 1
                if validation is not None:
                    scores.append(_validate(live, validation))
                progress.tell(done, terms, scores[-1] if validation is not None else None)
                if new.early_stopping and validation is not None:
                    best.update(scores[-1], epoch, live.networks)
                    if best.waited >= new.n_iter_no_change:
                        break
        except KeyboardInterrupt:
            if not done:
                raise
            warn_of_interrupt(done, n_epochs)
        if best.state is not None:
            live.networks.load_state_dict(best.state)
        last = first + done - 1 if best.state is None else best.epoch
        new.n_iter_, new.loss_curve_, new.validation_scores_ = first + done, curve, scores
        new.n_bits_, new.alpha_ = new.n_bits, new._sharpness(last)
        new.image_state_, new.text_state_ = (to_numpy(live.networks[b]) for b in BLOCKS)
        parameters = new.get_params(deep=False)
        new._fitted_with = {n: v for n, v in parameters.items() if n != "random_state"}
        _look_at_codes(new, live, pairs)
        live.state = new.image_state_
        _live[hasher] = live


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
        average_precisions(*compare_read(a, b), y, y, k=None, ties="expected", normalize="hits")
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
