"""Declaring the parameters of hashers: a default, and what values are valid."""

from dataclasses import field, fields
from typing import Any

from .._inputs.checks import (
    check_choice,
    check_flag,
    check_integer,
    check_n_jobs,
    check_parameter,
    check_real,
)
from .._inputs.seed import check_seed


def parameter(default, check, *arguments, none=False, **options) -> Any:
    """Declare a parameter that ``check(value, name, *arguments)`` checks, or None if `none`."""
    metadata = {"check": (check, *arguments), "none": none}
    return field(default=default, metadata=metadata, **options)


def count(default, *, none=False, **options) -> Any:
    """Declare a parameter that is a positive integer, or None if `none`."""
    return parameter(default, check_integer, none=none, **options)


def positive(default, *, below="inf", none=False) -> Any:
    """Declare a parameter that is a number strictly between 0 and a bound, or None if `none`."""
    return parameter(default, check_real, f"(0, {below})", none=none)


def not_negative(default) -> Any:
    """Declare a parameter that is a finite number of at least 0."""
    return parameter(default, check_real, "[0, inf)")


def share(default) -> Any:
    """Declare a parameter that is a number from 0 to 1."""
    return parameter(default, check_real, "[0, 1]")


def switch(default) -> Any:
    """Declare a parameter that is True or False."""
    return parameter(default, check_flag)


def choice(default, *choices) -> Any:
    """Declare a parameter that is one of the choices."""
    return parameter(default, check_choice, choices)


def jobs() -> Any:
    """Declare a number of jobs, or None for 1."""
    return parameter(None, _check_jobs)


def _check_jobs(value, name):
    check_n_jobs(value)
    return value


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
            check, none = declared.metadata["check"], declared.metadata["none"]
            check_parameter(hasher, declared.name, *check, optional=none)
    check_seed(hasher.random_state)
