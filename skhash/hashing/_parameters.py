"""Declaring the parameters of hashers: a default, and what values are valid."""

import math
import numbers
from dataclasses import field, fields
from functools import partial
from typing import Any

from sklearn.utils import check_scalar

from .._checks import check_choice


def parameter(default, check, **options) -> Any:
    """Declare a parameter whose value is passed to `check` with its name."""
    return field(default=default, metadata={"check": check}, **options)


def count(default, *, none=False, **options) -> Any:
    """Declare a parameter that is a positive integer, or None if `none`."""
    check = partial(check_scalar, target_type=numbers.Integral, min_val=1)
    return parameter(default, _or_none(check) if none else check, **options)


def positive(default, *, below=math.inf, none=False) -> Any:
    """Declare a parameter that is a number strictly between 0 and a bound, or None if `none`."""
    check = partial(check_positive, bound=below)
    return parameter(default, _or_none(check) if none else check)


def not_negative(default) -> Any:
    """Declare a parameter that is a finite number of at least 0."""
    return parameter(default, check_not_negative)


def share(default) -> Any:
    """Declare a parameter that is a number from 0 to 1."""
    return parameter(default, _check_share)


def choice(default, *choices) -> Any:
    """Declare a parameter that is one of the choices."""
    return parameter(default, partial(check_choice, choices=choices))


def check_parameters(hasher):
    """Check the parameters of a hasher as they were declared.

    Parameters
    ----------
    hasher : PairHasher
        The hasher.

    Raises
    ------
    TypeError
        If a parameter has the wrong type.
    ValueError
        If a parameter is out of range.
    """
    for declared in fields(hasher):
        if "check" in declared.metadata:
            declared.metadata["check"](getattr(hasher, declared.name), name=declared.name)


def check_positive(value, name, bound=math.inf):
    """Check that a number lies strictly between 0 and a bound."""
    check_scalar(value, name, numbers.Real, min_val=0, max_val=bound, include_boundaries="neither")


def check_not_negative(value, name):
    """Check that a number is finite and at least 0."""
    check_scalar(value, name, numbers.Real, min_val=0)
    if not math.isfinite(value):
        raise ValueError(f"{name} must be finite, got {value}.")


def _check_share(value, name):
    check_not_negative(value, name)
    check_scalar(value, name, numbers.Real, max_val=1)


def _or_none(check):
    def checked(value, name):
        if value is not None:
            check(value, name=name)

    return checked
