"""Checks of the parameters of contrastive training."""

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
    **dict.fromkeys(("image_weight", "text_weight", "weight_decay"), "[0, inf)"),
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


def check_parameters(settings):
    """Raise an error if a parameter of a ContrastiveFeaturizer is out of range."""
    parameters = settings.get_params(deep=False)
    for name in _COUNTS.keys() & parameters.keys():
        check_parameter(settings, name, check_integer, _COUNTS[name])
    for name, interval in _REALS.items():
        check_parameter(settings, name, check_real, interval)
    for name, check in _OPTIONAL.items():
        check_parameter(settings, name, *check, optional=True)
    for name in _FLAGS:
        check_flag(parameters[name], name)
    for name, choices in _CHOICES.items():
        check_choice(parameters[name], name, choices)
    check_device(settings.device)
    check_seed(settings.random_state)
    check_verbose(settings.verbose)
