"""The stages of contrastive training, and training for an epoch."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch.nn.parallel import DistributedDataParallel

from ..._hamming.comparable import comparable
from ..._ranking.scores import scores_at_k
from ..._torch.generator import seeded
from .batches import at_most_all_groups, cluster, deal
from .objective import mean_over_processes, n_processes, own_rank, own_rows
from .views import augment, other_captions, word_dropout

RECALLS = (1, 5, 10)
_MAX_SCALE = math.log(100)  # open_clip's own bound of the logarithm


@dataclass(frozen=True)
class Stage:
    """Some epochs that train the same part with the same loss terms."""

    name: str
    n_epochs: int
    learning_rate: float
    part: str
    weights: dict[str, float]
    round: int = 0

    @property
    def clustered(self):
        """Whether batches hold neighbours."""
        return self.name == "clustered"

    def title(self):
        """Return its name and round for messages."""
        return f"{self.name} stage" + (f", round {self.round}" if self.round else "")


def plan(stages):
    """List the stages of a training run that have epochs."""
    joint = joint_stage(stages, stages.joint_epochs)

    def rate(given):
        return joint.learning_rate if given is None else given

    planned = [
        replace(
            joint,
            name="align",
            n_epochs=stages.align_epochs,
            learning_rate=rate(stages.align_learning_rate),
            part="projections",
            weights={"cross": 1.0, "image": 0.0, "text": 0.0},
        ),
        replace(
            joint,
            name="unimodal",
            n_epochs=stages.unimodal_epochs,
            weights={**joint.weights, "cross": 0.0},
        ),
        joint,
    ]
    planned += [
        replace(
            joint,
            name="clustered",
            n_epochs=stages.round_epochs,
            learning_rate=rate(stages.clustered_learning_rate),
            round=number,
        )
        for number in range(1, stages.n_rounds + 1)
    ]
    planned = [stage for stage in planned if stage.n_epochs and any(stage.weights.values())]
    if not planned:
        raise ValueError(
            "no stage has epochs and a loss: set joint_epochs, round_epochs and n_rounds, "
            "align_epochs or unimodal_epochs."
        )
    return planned


def joint_stage(stages, n_epochs):
    """Return the stage of all losses on random batches."""
    weights = {"cross": 1.0, "image": stages.image_weight, "text": stages.text_weight}
    return Stage("joint", n_epochs, stages.learning_rate, stages.train, weights)


class Trainer:
    """Trains an objective on pairs, an epoch at a time.

    Parameters
    ----------
    objective : Objective
        What is trained, on the device where it is trained.
    pairs : Pairs
        What it is trained on.
    stages : list of Stage
        The plan.
    parameters : Parameters
        Of which the batching, the positives and the optimization count here.
    seed : int
        Seed of all that is drawn.
    constant : bool, default=False
        Whether the learning rate stays the same.
    """

    def __init__(self, objective, pairs, stages, parameters, seed, *, constant=False):
        self.objective = objective
        self.stages, self.seed, self.constant = stages, seed, constant
        self.labels: Any = None
        self.sizes: Any = None
        self.n_epochs = sum(stage.n_epochs for stage in stages)
        self.go_on_with(pairs, parameters)
        self.optimizer = _make_optimizer(objective, self.optimization.weight_decay)

    def go_on_with(self, pairs, parameters):
        """Take other pairs to train on, and parameters."""
        self.pairs = pairs
        self.batching = at_most_all_groups(parameters.batching, pairs.groups, n_processes())
        self.positives, self.optimization = parameters.positives, parameters.optimization
        self.n_batches = len(self._batches(0))

    def epochs(self):
        """Yield the stage and the epoch in it, in order."""
        for stage in self.stages:
            for epoch in range(stage.n_epochs):
                yield stage, epoch

    def run(self, stage, epoch, done):
        """Train for an epoch.

        Parameters
        ----------
        stage : Stage
            The stage.
        epoch : int
            Epoch in the stage, from 0.
        done : int
            Epochs before, of all stages.

        Returns
        -------
        dict of str to object
            A row of history: the stage and round, means of the loss terms and of the share of
            masked pairs, the temperature, and the sizes of the clusters.

        Raises
        ------
        FloatingPointError
            If the loss is not finite; nothing is learned from that batch.
        """
        if stage.clustered and epoch == 0:
            self._cluster(stage.round)
        towers = self.objective.towers
        self.objective.train()
        towers.train_only(stage.part)
        model: Any = self.objective
        if n_processes() > 1:
            model = DistributedDataParallel(model, find_unused_parameters=True)
        batches = self._batches(done, self.labels if stage.clustered else None)
        rng = np.random.default_rng([self.seed, done, 1])
        generator = torch.Generator(towers.device)
        generator.manual_seed(int(rng.integers(2**62)) + own_rank())
        texts = self._second_texts(rng)
        sums: dict[str, float] = {}
        for number, batch in enumerate(batches):
            self._set_rate(stage.learning_rate, done * self.n_batches + number)
            inputs = self._inputs(stage, batch, texts, generator)
            # Dropout draws, also where the backward pass computes activations again.
            with seeded(int(rng.integers(2**62)) + own_rank(), towers.device):
                with self._autocast():
                    terms = model(*inputs, stage.weights)
                loss = mean_over_processes(terms["total"].item())  # all end, or none
                if not math.isfinite(loss):
                    raise FloatingPointError(
                        f"the loss is {loss} in step {number + 1} of epoch {epoch + 1} of the "
                        f"{stage.title()}: lower learning_rate, now {stage.learning_rate}."
                    )
                (terms["total"] / self.optimization.accumulation).backward()
            last = number + 1 == len(batches)
            if last or (number + 1) % self.optimization.accumulation == 0:
                self._step()
            for name, value in terms.items():
                sums[name] = sums.get(name, 0.0) + value.item()
        means = {name: mean_over_processes(v / len(batches)) for name, v in sums.items()}
        return {
            "stage": stage.name,
            "round": stage.round,
            **means,
            "temperature": math.exp(-towers.model.logit_scale.item()),
            "cluster_sizes": self.sizes.tolist() if stage.clustered else [],
        }

    def state(self):
        """Return all that resuming needs, of tensors and numbers."""
        return {
            "objective": self.objective.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "labels": None if self.labels is None else torch.from_numpy(self.labels),
            "sizes": None if self.sizes is None else torch.from_numpy(self.sizes),
        }

    def resume(self, state):
        """Go on from what `state` has returned."""
        self.objective.load_state_dict(state["objective"])
        self.optimizer.load_state_dict(state["optimizer"])
        for name in ("labels", "sizes"):
            values = state[name]
            setattr(self, name, None if values is None else values.numpy())

    def _autocast(self):
        device, bf16 = self.objective.towers.device, self.optimization.precision == "bf16"
        return torch.autocast(device.type, torch.bfloat16, enabled=bf16)

    def _inputs(self, stage, batch, texts, generator):
        """Return the views, tokens and ids of this process's share of a batch."""
        towers, positives, pairs = self.objective.towers, self.positives, self.pairs
        device, own = towers.device, batch[own_rows(len(batch))]
        images = pairs.images(own).to(device)
        two = {block: stage.weights[block] > 0 for block in ("image", "text")}
        kinds = [None if positives.cross_view == "plain" else positives.augment]
        kinds += [positives.augment] * two["image"]
        with self._autocast():
            views = [augment(images, kind, generator) for kind in kinds]
        tokens = [pairs.tokens[own].to(device)]
        if two["text"]:
            second = pairs.tokens[texts[own]].to(device)
            if positives.text_positive == "word_dropout":
                second = word_dropout(second, towers.special_ids, towers.pad_id, generator)
            tokens.append(second)
        ids = [values[batch].to(device) for values in pairs.ids]
        return views, tokens, ids

    def _second_texts(self, rng):
        """Return the row whose text is the positive of each row's text."""
        if self.positives.text_positive == "caption":
            return other_captions(self.pairs.groups, rng)
        return np.arange(len(self.pairs))

    def _step(self):
        parameters = [p for p in self.objective.parameters() if p.grad is not None]
        torch.nn.utils.clip_grad_norm_(parameters, self.optimization.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            self.objective.towers.model.logit_scale.clamp_(0, _MAX_SCALE)

    def _set_rate(self, rate, step):
        if not self.constant:
            rate *= schedule(step, self.n_epochs * self.n_batches, self.optimization.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def _batches(self, done, labels=None):
        rng = np.random.default_rng([self.seed, done])
        return deal(self.pairs.groups, self.batching, rng, labels)

    def _cluster(self, number):
        if len(self.pairs) < 2 * self.batching.batch_size:  # one batch leaves no choice
            self.labels, self.sizes = None, np.zeros(0, dtype=np.int64)
            return
        rng = np.random.default_rng([self.seed, number, 2])
        found = cluster_pairs(self.pairs, self.objective.towers, self.batching, rng)
        self.labels, self.sizes = found


def cluster_pairs(pairs, towers, batching, rng):
    """Cluster all pairs by their present features: labels or None, and sizes."""
    image, text = pairs.encode(towers)
    on, n_clusters = batching.cluster_on, batching.n_clusters
    return cluster(image, text, batching.batch_size, rng, on=on, n_clusters=n_clusters)


def schedule(step, n_steps, warmup):
    """Return the factor of the learning rate: a linear rise, then half a cosine down to 0."""
    n_rising = warmup * n_steps
    if step < n_rising:
        return (step + 1) / (n_rising + 1)
    return (1 + math.cos(math.pi * (step - n_rising) / (n_steps - n_rising))) / 2


def recalls(towers, pairs):
    """Return the recalls of pairs in both directions, with names."""
    image, text = pairs.encode(towers)
    found = {}
    for name, query, target in (("i2t", image, text), ("t2i", text, image)):
        sides = comparable(query, target)
        hits = scores_at_k("hit_rate", *sides, pairs.groups, pairs.groups, k=RECALLS)
        found.update(
            {f"{name}_r{k}": float(v) for k, v in zip(RECALLS, hits.mean(axis=0), strict=True)}
        )
    return found


def epoch_line(row):
    """Return the losses and recalls of a row of history as text."""
    stage = row["stage"] + (f" {row['round']}" if row["round"] else "")
    terms = ", ".join(f"{k} {row[k]:.4f}" for k in ("cross", "image", "text") if k in row)
    recall = f", R@1 {row['i2t_r1']:.4f} / {row['t2i_r1']:.4f}" if "i2t_r1" in row else ""
    return f"{stage}, loss {row['total']:.4f} ({terms}){recall}"


def _make_optimizer(objective, weight_decay):
    """Make AdamW, with decay of matrices only; each step sets its learning rate."""
    matrices = [p for p in objective.parameters() if p.ndim > 1]
    others = [p for p in objective.parameters() if p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, betas=(0.9, 0.98))
