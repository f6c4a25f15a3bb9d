"""Checks of the parameters that all hashers share."""

from .._checks import (
    check_choice,
    check_flag,
    check_integer,
    check_parameter,
    check_real,
    check_verbose,
    shown,
)
from .._device import check_device
from .._seed import check_seed
from ..codes import FORMATS

_COUNTS = ("n_bits", "hidden_units", "max_iter", "batch_size", "n_iter_no_change")
_REALS = {
    "learning_rate": "(0, inf)",
    "validation_fraction": "(0, 1)",
    **dict.fromkeys(("weight_decay", "momentum", "tol"), "[0, inf)"),
}
_FLAGS = ("center", "early_stopping", "warm_start")


def check_parameters(hasher):
    """Check the parameters that all hashers share, and every weight.

    Parameters
    ----------
    hasher : AffinityHasher
        The hasher.

    Raises
    ------
    TypeError
        If a parameter has the wrong type.
    ValueError
        If a parameter is out of range.
    """
    for name in _COUNTS:
        check_parameter(hasher, name, check_integer)
    for name, interval in _REALS.items():
        check_parameter(hasher, name, check_real, interval)
    for name in hasher.get_params(deep=False):
        if name.endswith("_weight"):
            check_parameter(hasher, name, check_real, "[0, inf)")
    for name in _FLAGS:
        check_flag(getattr(hasher, name), name)
    if isinstance(hasher.alpha, str):
        if hasher.alpha != "sqrt":
            raise ValueError(
                f"alpha must be 'sqrt' or a positive number, got {shown(hasher.alpha)}."
            )
    else:
        check_parameter(hasher, "alpha", check_real, "(0, inf)")
    check_choice(hasher.optimizer, "optimizer", ("adam", "sgd"))
    check_choice(hasher.output, "output", tuple(FORMATS))
    check_device(hasher.device)
    check_seed(hasher.random_state)
    check_verbose(hasher.verbose)
