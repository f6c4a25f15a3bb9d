"""The parameters of contrastive training: their checks, and groups of their values."""

from dataclasses import dataclass, fields
from typing import Any

from ..._inputs.checks import (
    check_choice,
    check_flag,
    check_integer,
    check_parameter,
    check_real,
    check_verbose,
)
from ..._inputs.seed import check_seed
from ..._torch.device import check_device
from .._towers.small import DROPOUT, SIZES, TOWERS

_COUNTS = {
    **dict.fromkeys(("align_epochs", "unimodal_epochs", "joint_epochs", "round_epochs"), 0),
    "n_rounds": 0,
    **dict.fromkeys(("group_size", "batch_size"), 2),
    **dict.fromkeys(("accumulation", "n_iter_no_change"), 1),
    **SIZES,
}
_REALS = {
    **dict.fromkeys(("image_temperature", "text_temperature", "learning_rate"), "(0, inf)"),
    "max_grad_norm": "(0, inf)",
    **dict.fromkeys(("image_weight", "text_weight", "weight_decay", "tol"), "[0, inf)"),
    "hard_fraction": "[0, 1]",
    "warmup": "[0, 1)",
    "validation_fraction": "(0, 1)",
    "dropout": DROPOUT,
}
_OPTIONAL = {
    **dict.fromkeys(("align_learning_rate", "clustered_learning_rate"), (check_real, "(0, inf)")),
    "mask_threshold": (check_real, "[-1, 1]"),
    "n_clusters": (check_integer, 2),
}
_FLAGS = ("gradient_checkpointing", "early_stopping", "warm_start", "local_files_only")
_CHOICES = {
    "image_tower": TOWERS,
    "image_head": ("mlp", "linear", None),
    "text_head": ("mlp", "linear", None),
    "augment": ("mild", "simclr"),
    "cross_view": ("plain", "augmented"),
    "text_positive": ("dropout", "word_dropout", "caption"),
    "train": ("all", "image", "text", "projections"),
    "cluster_on": ("joint", "image", "text"),
    "precision": ("fp32", "bf16"),
}


@dataclass(frozen=True)
class Loading:
    """Which encoders are trained, where their weights come from, and where they compute."""

    towers: Any
    image_tower: str
    image_size: int
    patch_size: int
    width: int
    image_layers: int
    text_layers: int
    embed_dim: int
    dropout: float
    vocabulary_size: int
    weights_dir: Any
    local_files_only: bool
    device: Any

    def small(self):
        """Return what `small_config` needs beside the captions."""
        return {**self._sizes(), **FIXED}

    def made_with(self):
        """Return the parameters that encoders are made with, and cannot be trained without."""
        return {"towers": self.towers, **self._sizes()}

    def _sizes(self):
        return {name: getattr(self, name) for name in SMALL}


SMALL = (
    *("image_tower", "image_size", "patch_size", "width", "image_layers", "text_layers"),
    *("embed_dim", "dropout", "vocabulary_size"),
)
FIXED = {"heads": 2, "context_length": 64}  # of small encoders, not parameters of the featurizer


@dataclass(frozen=True)
class Stages:
    """The stages of training: epochs, learning rates, trained part, and weights of the losses."""

    align_epochs: int
    unimodal_epochs: int
    joint_epochs: int
    round_epochs: int
    n_rounds: int
    train: str
    learning_rate: float
    align_learning_rate: float | None
    clustered_learning_rate: float | None
    image_weight: float
    text_weight: float


@dataclass(frozen=True)
class Losses:
    """The three losses: temperatures, heads, and which rows are no negatives."""

    image_temperature: float
    text_temperature: float
    image_head: str | None
    text_head: str | None
    mask_threshold: float | None


@dataclass(frozen=True)
class Positives:
    """How the second image and the second text of a row are made."""

    augment: str
    cross_view: str
    text_positive: str


@dataclass(frozen=True)
class Batching:
    """Which rows share a batch."""

    batch_size: int
    cluster_on: str
    n_clusters: int | None
    group_size: int
    hard_fraction: float


@dataclass(frozen=True)
class Optimization:
    """How weights follow from gradients."""

    weight_decay: float
    warmup: float
    max_grad_norm: float
    accumulation: int
    precision: str
    gradient_checkpointing: bool


@dataclass(frozen=True)
class Stopping:
    """When training ends early."""

    early_stopping: bool
    validation_fraction: float
    n_iter_no_change: int
    tol: float


@dataclass(frozen=True)
class Parameters:
    """The values of all parameters that training needs, by group."""

    loading: Loading
    stages: Stages
    losses: Losses
    positives: Positives
    batching: Batching
    optimization: Optimization
    stopping: Stopping


def read_parameters(featurizer):
    """Read the parameters of a ContrastiveFeaturizer into groups of values."""

    def group(kind):
        return kind(**{field.name: getattr(featurizer, field.name) for field in fields(kind)})

    kinds = (Loading, Stages, Losses, Positives, Batching, Optimization, Stopping)
    return Parameters(*map(group, kinds))


def check_parameters(featurizer):
    """Raise an error if a parameter of a ContrastiveFeaturizer is out of range."""
    parameters = featurizer.get_params(deep=False)
    for name in _COUNTS.keys() & parameters.keys():
        check_parameter(featurizer, name, check_integer, _COUNTS[name])
    for name, interval in _REALS.items():
        check_parameter(featurizer, name, check_real, interval)
    for name, check in _OPTIONAL.items():
        check_parameter(featurizer, name, *check, optional=True)
    for name in _FLAGS:
        check_flag(parameters[name], name)
    for name, choices in _CHOICES.items():
        check_choice(parameters[name], name, choices)
    check_device(featurizer.device)
    check_seed(featurizer.random_state)
    check_verbose(featurizer.verbose)
