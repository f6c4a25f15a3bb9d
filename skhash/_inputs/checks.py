"""One checker for each kind of parameter. Each raises an error that names the parameter."""

from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any

import numpy as np
from joblib import cpu_count, effective_n_jobs

from .messages import shorten

LARGEST = 2**31 - 1  # the largest size or count that all libraries used here accept


def check_integer(value, name, low=1, high=LARGEST):
    """Check an integer, with both ends of its range allowed; return an int."""
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(f"{name} must be an integer, got {shorten(value)}.")
    value = int(value)  # so that arithmetic cannot overflow, as with np.int8
    if value < low:
        raise ValueError(f"{name} must be at least {low}, got {shorten(value)}.")
    if value > high:
        raise ValueError(f"{name} must be at most {high}, got {shorten(value)}.")
    return value


def check_real(value: Any, name, interval="(-inf, inf)"):
    """Check a number; return a float.

    Parameters
    ----------
    value : object
        What was given.
    name : str
        Name of the parameter.
    interval : str
        As in mathematics: ``"[0, 1)"`` holds 0 and not 1, ``"[0, inf]"`` holds infinity. NaN is in
        no interval.

    Returns
    -------
    float
        The number.
    """
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number, got {shorten(value)}.")
    low, high = map(float, interval[1:-1].split(","))
    try:
        number = float(value)
    except OverflowError:  # a Python integer may be larger than any float
        number = np.inf if value > 0 else -np.inf  # pyright: ignore[reportOperatorIssue]
    inside = low < number < high
    at_end = (interval[0] == "[" and number == low) or (interval[-1] == "]" and number == high)
    if not (inside or at_end):
        raise ValueError(f"{name} must be a number in {interval}, got {shorten(value)}.")
    return number


def check_flag(value, name):
    """Check that a value is True or False; return a bool."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {shorten(value)}.")
    return bool(value)


def check_choice(value, name, choices):
    """Check that a value is one of the choices; return it."""
    # Types first: comparing an array gives an array, and True equals 1.
    if not any(isinstance(value, type(choice)) and value == choice for choice in choices):
        raise ValueError(
            f"{name} must be one of {', '.join(map(repr, choices))}, got {shorten(value)}."
        )
    return value


def check_verbose(value, name="verbose"):
    """Check a level of verbosity, a flag or an integer from 0 on; return it."""
    return value if isinstance(value, bool | np.bool_) else check_integer(value, name, 0)


def check_n_jobs(n_jobs):
    """Check a number of threads, as joblib counts them; return how many to start.

    At most four times the number of cores: more only wait for each other.
    """
    wanted: Any = None if n_jobs is None else check_integer(n_jobs, "n_jobs", -LARGEST)
    if wanted == 0:
        raise ValueError("n_jobs must be None, a number of threads or -1 for all cores, got 0.")
    n_threads = effective_n_jobs(wanted)
    # Counting cores takes longer than a small search.
    return n_threads if n_threads <= 4 else min(n_threads, 4 * cpu_count())


def check_parameter(estimator, name, check, *args, optional=False):
    """Check a parameter of an estimator, with one of the checkers above.

    A number of NumPy, or one beyond 32 bits, is replaced by an equal int or float of Python:
    training computes with parameters, and ``200 // np.int8(8)`` and ``2**70 * tensor`` overflow.

    Parameters
    ----------
    estimator : estimator
        The estimator.
    name : str
        Name of the parameter.
    check : callable
        ``check(value, name, *args)``.
    *args : object
        What else `check` takes.
    optional : bool, default=False
        Whether the parameter may be None.
    """
    value = getattr(estimator, name)
    if value is None and optional:
        return
    checked = check(value, name, *args)
    if type(value) not in (int, float) or abs(checked) > LARGEST:
        setattr(estimator, name, checked)


@contextmanager
def casting_features():
    """Raise an error if a cast of features overflows float32; the cast itself detects it."""
    try:
        with np.errstate(over="raise"):
            yield
    except FloatingPointError:
        raise ValueError(
            f"the features hold values beyond those of float32, {np.finfo(np.float32).max:.2g}: "
            "scale them first, for example with sklearn.preprocessing.StandardScaler."
        ) from None
