"""Checks of the parameters that all hashers share."""

import math
import numbers

from sklearn.utils import check_scalar

from .._checks import check_choice
from ..codes import FORMATS

_COUNTS = ("n_bits", "hidden_units", "max_iter", "batch_size", "n_iter_no_change")
_POSITIVE = {"learning_rate": math.inf, "validation_fraction": 1}
_NOT_NEGATIVE = ("weight_decay", "momentum", "tol")


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
    parameters = hasher.get_params(deep=False)
    for name in _COUNTS:
        check_scalar(parameters[name], name, numbers.Integral, min_val=1)
    for name, bound in _POSITIVE.items():
        check_positive(parameters[name], name, bound)
    for name, value in parameters.items():
        if name.endswith("_weight") or name in _NOT_NEGATIVE:
            check_scalar(value, name, numbers.Real, min_val=0)
            if not math.isfinite(value):
                raise ValueError(f"{name} must be finite, got {value}.")
    if hasher.alpha != "sqrt":
        if isinstance(hasher.alpha, str):
            raise ValueError(f"alpha must be 'sqrt' or a positive number, got {hasher.alpha!r}.")
        check_positive(hasher.alpha, "alpha")
    check_choice(hasher.optimizer, "optimizer", ("adam", "sgd"))
    check_choice(hasher.output, "output", tuple(FORMATS))


def check_positive(value, name, bound=math.inf):
    """Check that a number lies strictly between 0 and a bound."""
    check_scalar(value, name, numbers.Real, min_val=0, max_val=bound, include_boundaries="neither")
