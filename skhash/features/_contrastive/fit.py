"""What a ContrastiveFeaturizer does with torch: make, train and restore its encoders."""

import os
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import distributed

from ..._estimators import fitting
from ..._inputs.ids import encode_ids
from ..._inputs.seed import draw_seed
from ..._torch.device import resolve_device
from ..._torch.live import Live
from ..._torch.runs import Epochs, Progress, hold_out
from ..._torch.weights import to_numpy
from .._tables import remember_columns
from .._towers.sources import build_towers
from .._towers.towers import Towers, rebuild_towers
from .batches import deal, warn_of_few
from .checkpoint import Checkpoint
from .objective import Objective, n_processes, own_rank
from .pairs import Pairs, check_training_pairs, raw_pairs
from .parameters import read_parameters
from .training import Trainer, cluster_pairs, epoch_line, joint_stage, plan, recalls
from .views import has_dropout


@dataclass(frozen=True, eq=False)
class Trained:
    """Encoders, and what trains them in chunks with the parameters that it was made with."""

    towers: Towers
    trainer: Trainer | None = None
    made_with: Any = None

    @property
    def device(self):
        """Where the weights are."""
        return self.towers.device


_live = Live()


def fit(featurizer, X, groups, X_val, *, fresh):
    """Train a featurizer's encoders in all stages and set its fitted attributes.

    Parameters
    ----------
    featurizer : ContrastiveFeaturizer
        The featurizer.
    X, X_val : dataframe, ndarray or None
        Raw pairs to train on, and to validate on.
    groups : array-like or None
        Ids of the rows of `X`.
    fresh : bool
        Whether to begin with new encoders.
    """
    parameters = read_parameters(featurizer)
    stopping, batch_size = parameters.stopping, parameters.batching.batch_size
    _join_processes()
    if batch_size % n_processes():
        raise ValueError(
            f"batch_size={batch_size} must be a multiple of the {n_processes()} processes "
            "that share a batch: change one of them."
        )
    items, groups = _read(featurizer, X, groups)
    seed, held_out = draw_seed(featurizer.random_state), None
    if X_val is not None:
        held_out, _ = _read(featurizer, X_val)
    elif stopping.early_stopping:
        items, groups, held_out = _hold_out(items, groups, stopping.validation_fraction, seed)
    with fitting(featurizer) as new:
        towers = _prepare(featurizer, parameters, items, groups, seed, fresh=fresh).towers
        pairs = Pairs(towers, items, groups)
        pairs.check()
        validation = None if held_out is None else Pairs(towers, held_out)
        objective = _make_objective(parameters.losses, towers, seed)
        stages = plan(parameters.stages)
        trainer = Trainer(objective, pairs, stages, parameters, seed)
        clustered = any(stage.clustered for stage in stages)
        warn_of_few(parameters.batching, pairs.groups, clustered=clustered)
        if not fresh:
            _live.drop(featurizer)  # these encoders are going to change
        patience = stopping.n_iter_no_change
        epochs = Epochs(towers, trainer.n_epochs, tol=stopping.tol, patience=patience)
        kept = featurizer.get_params(deep=False)
        checkpoint = Checkpoint(featurizer.checkpoint_dir, kept, trainer, epochs)
        rows = _train(
            trainer,
            validation,
            epochs,
            checkpoint,
            early_stopping=stopping.early_stopping,
            verbose=featurizer.verbose,
        )
        remember_columns(new, X)
        _keep(new, towers, rows, parameters.loading, fresh=fresh)
        _live.keep(featurizer, new.state_, Trained(towers))


def partial_fit(featurizer, X, groups):
    """Train for one pass of the joint stage over a chunk, at a constant learning rate."""
    parameters = read_parameters(featurizer)
    items, groups = _read(featurizer, X, groups)
    seed, fresh = draw_seed(featurizer.random_state), not featurizer.__sklearn_is_fitted__()
    with fitting(featurizer) as new:
        live = _prepare(featurizer, parameters, items, groups, seed, fresh=fresh)
        towers, trainer = live.towers, live.trainer
        pairs, stages = Pairs(towers, items, groups), [joint_stage(parameters.stages, 1)]
        made_with = parameters.losses, parameters.optimization.weight_decay
        if trainer is None or live.made_with != made_with:
            objective = _make_objective(parameters.losses, towers, seed)
            trainer = Trainer(objective, pairs, stages, parameters, seed, constant=True)
        else:
            trainer.go_on_with(pairs, parameters)
        if not fresh:
            _live.drop(featurizer)
        started = time.perf_counter()
        row = trainer.run(stages[0], 0, 0 if fresh else len(featurizer.history_))
        row["seconds"] = time.perf_counter() - started
        remember_columns(new, X)
        _keep(new, towers, [row], parameters.loading, fresh=fresh)
        _live.keep(featurizer, new.state_, Trained(towers, trainer, made_with))


def encode(featurizer, block, items):
    """Embed the items of a block: an ndarray of shape (n_items, embed_dim), float32."""
    towers = wake(featurizer)
    if block == "text":
        return towers.encode_texts(towers.read_texts(items))
    return towers.read_and_encode(items)


def hard_batches(featurizer, X, groups):
    """Cluster pairs by their features and deal batches of neighbours and of random rows."""
    towers, batching = wake(featurizer), read_parameters(featurizer).batching
    pairs = Pairs(towers, *_read(featurizer, X, groups))
    rng = np.random.default_rng(draw_seed(featurizer.random_state))
    labels, _ = cluster_pairs(pairs, towers, batching, rng)
    return deal(pairs.groups, batching, rng, labels)


def wake(featurizer):
    """Return a fitted featurizer's encoders, made from its weights where there are none."""
    return _wake(featurizer).towers


def _wake(featurizer):
    device, state = _own_device(featurizer.device), featurizer.state_
    live = _live.get(featurizer, state, device)
    if live is None:
        live = Trained(rebuild_towers(featurizer.config_, state).to(device).eval())
        _live.keep(featurizer, state, live)
    return live


def _read(featurizer, X, groups=None):
    """Read pairs and number their groups."""
    items = raw_pairs(X, featurizer.image_column, featurizer.text_column)
    if groups is not None:
        groups = encode_ids(groups, "groups", len(items["image"]))
    return items, groups


def _hold_out(items, groups, fraction, seed):
    """Set a share of the groups aside: items and groups to train on, and items to validate on."""
    train, test = hold_out(len(items["image"]), groups, fraction, seed)
    kept, held_out = ({b: [v[r] for r in rows] for b, v in items.items()} for rows in (train, test))
    return kept, None if groups is None else groups[train], held_out


def _prepare(featurizer, parameters, items, groups, seed, *, fresh):
    """Check the pairs, and return the encoders to train, new ones or those that are there."""
    loading, positives = parameters.loading, parameters.positives
    check_training_pairs(items)
    if not fresh:
        _check_same_towers(loading, featurizer._fitted_with)
        live = _wake(featurizer)
    else:
        towers = build_towers(
            loading.towers,
            items["text"],
            seed=seed,
            small=loading.small(),
            weights_dir=loading.weights_dir,
            local_files_only=loading.local_files_only,
        )
        live = Trained(towers.to(_own_device(loading.device)))
    if parameters.stages.text_weight:
        if positives.text_positive == "dropout" and not has_dropout(live.towers.model.text):
            raise ValueError(
                "text_positive='dropout' needs a text encoder with dropout, and this one has none: "
                "set text_positive='word_dropout' or 'caption', or text_weight=0."
            )
        if positives.text_positive == "caption" and groups is None:
            raise ValueError(
                "text_positive='caption' takes another caption of the same group, and there are no "
                "groups: give fit(X, groups=ids), or set another text_positive."
            )
    live.towers.set_grad_checkpointing(parameters.optimization.gradient_checkpointing)
    return live


def _check_same_towers(loading, fitted_with):
    """Raise an error if a parameter asks for other encoders than those that were fitted."""
    for name, then in fitted_with.items():
        now = getattr(loading, name)
        if now != then and (name == "towers" or loading.towers == "small"):
            raise ValueError(
                f"training cannot continue with {name}={now!r}, the encoders were made with "
                f"{name}={then!r}: set it back, or fit with warm_start=False."
            )


def _make_objective(losses, towers, seed):
    generator = torch.Generator().manual_seed(seed + 1)
    return Objective(towers, losses, generator).to(towers.device)


def _train(trainer, validation, epochs, checkpoint, *, early_stopping, verbose):
    """Train all stages; return a row of history an epoch."""
    rows = checkpoint.resume()
    verbose = 0 if own_rank() else verbose
    progress = Progress("ContrastiveFeaturizer", trainer.n_epochs, verbose, done=len(rows))
    with epochs:
        for stage, epoch in list(trainer.epochs())[len(rows) :]:
            if epochs.stopped:
                break
            started, score = time.perf_counter(), None
            row = trainer.run(stage, epoch, len(rows))
            if validation is not None:
                row.update(recalls(trainer.objective.towers, validation))
            if early_stopping:
                score = (row["i2t_r1"] + row["t2i_r1"]) / 2
            row["seconds"] = time.perf_counter() - started
            epochs.add(score)
            rows.append(row)
            progress.tell(len(rows), epoch_line(row))
            checkpoint.save(rows)
    return rows


def _keep(new, towers, rows, loading, *, fresh):
    """Set the fitted attributes."""
    history = pd.DataFrame(rows)
    if not fresh:
        history = pd.concat([new.history_, history], ignore_index=True)
    towers.eval()
    new.history_, new.config_ = history, towers.config
    new.state_ = to_numpy(towers.model)
    new._fitted_with = loading.made_with()


def _own_device(device):
    """Return the device of this process: its own where a launcher started several."""
    rank = os.environ.get("LOCAL_RANK")
    if device == "auto" and rank is not None and torch.cuda.is_available():
        device = f"cuda:{rank}"
    return resolve_device(device)


def _join_processes():
    """Join the processes that torchrun has started, if it has."""
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    if several and distributed.is_available() and not distributed.is_initialized():
        distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
