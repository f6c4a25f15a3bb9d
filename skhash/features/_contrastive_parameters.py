"""Checks of the parameters of contrastive training."""

import math
import numbers

from sklearn.utils import check_scalar

from .._checks import check_choice

_COUNTS = {
    **dict.fromkeys(("align_epochs", "unimodal_epochs", "joint_epochs", "round_epochs"), 0),
    "n_rounds": 0,
    **dict.fromkeys(("group_size", "batch_size"), 2),
    **dict.fromkeys(("accumulation", "n_iter_no_change"), 1),
}
_POSITIVE = (
    *("image_temperature", "text_temperature", "learning_rate", "max_grad_norm"),
    *("align_learning_rate", "clustered_learning_rate"),
)
_NOT_NEGATIVE = ("image_weight", "text_weight", "weight_decay")
_CHOICES = {
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
    for name, least in _COUNTS.items():
        check_scalar(parameters[name], name, numbers.Integral, min_val=least)
    for name in _POSITIVE:
        if parameters[name] is not None:
            _check_real(parameters[name], name, 0, math.inf, "neither")
    for name in _NOT_NEGATIVE:
        _check_real(parameters[name], name, 0, math.inf, "left")
    _check_real(settings.hard_fraction, "hard_fraction", 0, 1, "both")
    _check_real(settings.warmup, "warmup", 0, 1, "left")
    _check_real(settings.validation_fraction, "validation_fraction", 0, 1, "neither")
    if settings.mask_threshold is not None:
        _check_real(settings.mask_threshold, "mask_threshold", -1, 1, "both")
    if settings.n_clusters is not None:
        check_scalar(settings.n_clusters, "n_clusters", numbers.Integral, min_val=2)
    for name, choices in _CHOICES.items():
        check_choice(parameters[name], name, choices)


def _check_real(value, name, low, high, boundaries):
    check_scalar(
        value, name, numbers.Real, min_val=low, max_val=high, include_boundaries=boundaries
    )
