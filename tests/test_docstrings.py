"""Manners of everything public, found in the rooms' ``__all__``."""

import inspect

import pytest
from numpydoc.validate import validate
from sklearn.base import BaseEstimator

import skhash

ROOMS = ("codes", "datasets", "features", "hashing", "metrics", "retrieval")
# Errors of numpydoc that are let pass, each for a reason.
LET_PASS = {
    "ES01",  # a one-line summary can be enough
    "GL01",  # the summary stands on the line of the quotes
    "SA01",  # there is not always something else to see
    "SA04",
    "EX01",  # an example is asked of functions and classes below, not of each method
    "RT02",  # "self : object" names a value, as in scikit-learn
}


def public_objects():
    for name in ("make_table", "split_towers"):
        yield f"skhash.{name}", getattr(skhash, name)
    for room in ROOMS:
        module = getattr(skhash, room)
        for name in module.__all__:
            yield f"skhash.{room}.{name}", getattr(module, name)


def public_callables():
    for path, value in public_objects():
        yield path
        if inspect.isclass(value):
            for name, method in inspect.getmembers(value, inspect.isfunction):
                ours = method.__module__.startswith("skhash")
                if ours and not name.startswith("_") and "metadata_requests" not in str(method):
                    yield f"{path}.{name}"


PUBLIC = dict(public_objects())


@pytest.mark.parametrize("path", list(public_callables()))
def test_docstring_is_valid_numpydoc(path):
    errors = [(code, text) for code, text in validate(path)["errors"] if code not in LET_PASS]
    assert not errors


@pytest.mark.parametrize("path", list(PUBLIC))
def test_docstring_has_an_example(path):
    assert ">>> " in (inspect.getdoc(PUBLIC[path]) or "")


@pytest.mark.parametrize("path", [path for path, value in PUBLIC.items() if inspect.isclass(value)])
def test_every_parameter_is_stored_as_it_is_given(path):
    parameters = inspect.signature(PUBLIC[path]).parameters
    assert issubclass(PUBLIC[path], BaseEstimator)
    assert all(p.kind is not p.VAR_KEYWORD for p in parameters.values())
    markers = {name: object() for name in parameters}
    estimator = PUBLIC[path](**markers)
    assert estimator.get_params(deep=False) == markers
