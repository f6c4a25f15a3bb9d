"""What a ContrastiveFeaturizer does with torch: make, train and wake its towers."""

import os
import time
import weakref

import numpy as np
import pandas as pd
import torch
from sklearn.model_selection import GroupShuffleSplit
from torch import distributed

from ..._estimators import fitting
from ..._inputs.ids import encode_ids
from ..._inputs.seed import draw_seed
from ..._torch.device import resolve_device
from .._tables import remember_columns
from .._towers.sources import build_towers
from .._towers.towers import rebuild_towers, state_to_numpy
from .checkpoint import Checkpoint
from .objective import Objective, n_processes
from .pairs import Pairs, check_training_pairs, raw_pairs
from .progress import Watch, warn_of_the_end
from .training import Trainer, cluster_pairs, deal, joint_stage, plan, recalls
from .views import has_dropout

_SMALL = (
    *("image_tower", "image_size", "patch_size", "width", "image_layers", "text_layers"),
    *("embed_dim", "dropout", "vocabulary_size"),
)

# What a trainer is made with, beside the towers.
_TRAINER = (
    *("image_head", "text_head", "image_temperature", "text_temperature"),
    *("mask_threshold", "weight_decay"),
)

# Torch is kept beside the estimator, so never in a pickle: towers with the weights (`state_`) that
# they have, and what trains them in chunks with the parameters it was made with.
_towers = weakref.WeakKeyDictionary()
_trainers = weakref.WeakKeyDictionary()


def fit(settings, X, groups, X_val, *, fresh):
    """Train a featurizer's towers in all stages and set its fitted attributes.

    Parameters
    ----------
    settings : ContrastiveFeaturizer
        The featurizer.
    X, X_val : dataframe, ndarray or None
        Raw pairs to train on, and to validate on.
    groups : array-like or None
        Ids of the rows of `X`.
    fresh : bool
        Whether to begin with new towers.
    """
    _join_processes()
    if settings.batch_size % n_processes():
        raise ValueError(
            f"batch_size={settings.batch_size} must be a multiple of the {n_processes()} processes "
            "that share a batch: change one of them."
        )
    items, groups = _read(settings, X, groups)
    seed, held_out = draw_seed(settings.random_state), None
    if X_val is not None:
        held_out, _ = _read(settings, X_val)
    elif settings.early_stopping:
        items, groups, held_out = _hold_out(items, groups, settings.validation_fraction, seed)
    with fitting(settings) as new:
        towers = _prepare(settings, items, groups, seed, fresh=fresh)
        pairs = Pairs(towers, items, groups)
        pairs.check()
        validation = None if held_out is None else Pairs(towers, held_out)
        objective = _make_objective(settings, towers, seed)
        trainer = Trainer(objective, pairs, new, plan(settings), seed)
        _let_go(settings, fresh=fresh)
        rows = _train(new, trainer, validation)
        remember_columns(new, X)
        _keep(new, towers, rows, fresh=fresh)
        _towers[settings] = towers, new.state_


def partial_fit(settings, X, groups):
    """Train for one pass of the joint stage over a chunk, at a constant learning rate."""
    items, groups = _read(settings, X, groups)
    seed, fresh = draw_seed(settings.random_state), not settings.__sklearn_is_fitted__()
    with fitting(settings) as new:
        towers = _prepare(settings, items, groups, seed, fresh=fresh)
        pairs, stages = Pairs(towers, items, groups), [joint_stage(settings, 1)]
        made_with = {name: getattr(settings, name) for name in _TRAINER}
        trainer, made_then = _trainers.get(settings, (None, {}))
        if trainer is None or trainer.objective.towers is not towers or made_then != made_with:
            objective = _make_objective(settings, towers, seed)
            trainer = Trainer(objective, pairs, new, stages, seed, constant=True)
        else:
            trainer.go_on_with(pairs, new)
        _let_go(settings, fresh=fresh)
        started = time.perf_counter()
        row = trainer.run(stages[0], 0, 0 if fresh else len(settings.history_))
        remember_columns(new, X)
        _keep(new, towers, [{**row, "seconds": time.perf_counter() - started}], fresh=fresh)
        _towers[settings], _trainers[settings] = (towers, new.state_), (trainer, made_with)


def encode(settings, block, items):
    """Embed the items of a block: an ndarray of shape (n_items, embed_dim), float32."""
    towers = wake(settings)
    if block == "text":
        return towers.encode_texts(towers.read_texts(items))
    return towers.read_and_encode(items)


def hard_batches(settings, X, groups):
    """Cluster pairs by what the towers see and deal batches of neighbours and of random rows."""
    towers = wake(settings)
    pairs = Pairs(towers, *_read(settings, X, groups))
    rng = np.random.default_rng(draw_seed(settings.random_state))
    labels, _ = cluster_pairs(pairs, towers, settings, rng)
    return deal(pairs.groups, settings, rng, labels)


def wake(settings):
    """Return a fitted featurizer's towers, made from its weights where there are none."""
    device = _own_device(settings)
    towers, state = _towers.get(settings, (None, None))
    if towers is None or towers.device != device or state is not settings.state_:
        state = settings.state_
        towers = rebuild_towers(settings.config_, state).to(device).eval()
        _towers[settings] = towers, state
    return towers


def _let_go(settings, *, fresh):
    """Forget the towers of a featurizer, since they are about to be trained further."""
    _trainers.pop(settings, None)
    if not fresh:
        _towers.pop(settings, None)


def _read(settings, X, groups=None):
    """Read pairs and number their groups."""
    items = raw_pairs(X, settings.image_column, settings.text_column)
    if groups is not None:
        groups = encode_ids(groups, "groups", len(items["image"]))
    return items, groups


def _hold_out(items, groups, fraction, seed):
    """Set a share of the groups aside: items and groups to train on, and items to validate on."""
    ids = np.arange(len(items["image"])) if groups is None else groups
    split = GroupShuffleSplit(1, test_size=fraction, random_state=seed)
    train, test = next(split.split(ids, groups=ids))
    kept, held_out = ({b: [v[r] for r in rows] for b, v in items.items()} for rows in (train, test))
    return kept, None if groups is None else ids[train], held_out


def _prepare(settings, items, groups, seed, *, fresh):
    """Check the pairs, and return the towers to train, new ones or those that are there."""
    check_training_pairs(items, settings.batch_size)
    if not fresh:
        _check_same_towers(settings)
        towers = wake(settings)
    else:
        towers = build_towers(
            settings.towers,
            items["text"],
            seed=seed,
            small={name: getattr(settings, name) for name in _SMALL},
            weights_dir=settings.weights_dir,
            local_files_only=settings.local_files_only,
        ).to(_own_device(settings))
    if settings.text_weight:
        if settings.text_positive == "dropout" and not has_dropout(towers.model.text):
            raise ValueError(
                "text_positive='dropout' needs a text tower with dropout, and this one has none: "
                "set text_positive='word_dropout' or 'caption', or text_weight=0."
            )
        if settings.text_positive == "caption" and groups is None:
            raise ValueError(
                "text_positive='caption' takes another caption of the same group, and there are no "
                "groups: give fit(X, groups=ids), or set another text_positive."
            )
    towers.set_grad_checkpointing(settings.gradient_checkpointing)
    return towers


def _check_same_towers(settings):
    """Raise an error if a parameter asks for other towers than those that were fitted."""
    for name, then in settings._fitted_with.items():
        now = getattr(settings, name)
        if now != then and (name == "towers" or settings.towers == "small"):
            raise ValueError(
                f"training cannot go on with {name}={now!r}, the towers were made with "
                f"{name}={then!r}: set it back, or fit with warm_start=False."
            )


def _make_objective(settings, towers, seed):
    generator = torch.Generator().manual_seed(seed + 1)
    return Objective(towers, settings, generator).to(towers.device)


def _train(settings, trainer, validation):
    """Train all stages; return a row of history an epoch."""
    towers = trainer.objective.towers
    watch = Watch(trainer.n_epochs, settings)
    checkpoint = Checkpoint(settings, trainer, watch)
    rows = checkpoint.resume()
    good = _copy(towers)
    try:
        for stage, epoch in list(trainer.epochs())[len(rows) :]:
            if watch.stopped:
                break
            started = time.perf_counter()
            row = trainer.run(stage, epoch, len(rows))
            if validation is not None:
                row.update(recalls(towers, validation))
            row["seconds"] = time.perf_counter() - started
            good = _copy(towers)
            rows.append(row)
            watch.see(rows, good)
            checkpoint.save(rows)
    except (FloatingPointError, KeyboardInterrupt) as error:
        if not rows:
            raise
        towers.load_state_dict(good)
        what = str(error) or "interrupted"
        warn_of_the_end(what, len(rows), trainer.n_epochs)
    if watch.state is not None:
        towers.load_state_dict(watch.state)
    return rows


def _keep(settings, towers, rows, *, fresh):
    """Set the fitted attributes."""
    history = pd.DataFrame(rows)
    if not fresh:
        history = pd.concat([settings.history_, history], ignore_index=True)
    towers.eval()
    settings.history_, settings.config_ = history, towers.config
    settings.state_ = state_to_numpy(towers.model)
    settings._fitted_with = {name: getattr(settings, name) for name in ("towers", *_SMALL)}


def _copy(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def _own_device(settings):
    """Return the device of this process: its own where a launcher started several."""
    rank = os.environ.get("LOCAL_RANK")
    device = settings.device
    if device == "auto" and rank is not None and torch.cuda.is_available():
        device = f"cuda:{rank}"
    return resolve_device(device)


def _join_processes():
    """Join the processes that torchrun has started, if it has."""
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    if several and distributed.is_available() and not distributed.is_initialized():
        distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
