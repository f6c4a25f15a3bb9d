"""The docstring of every public hasher agrees with its signature and with what `fit` learns."""

import inspect
import re

import numpy as np
import pytest
from numpydoc.docscrape import ClassDoc

from skhash import make_table

from ..hashers import HASHERS, labels_for

SECTIONS = ("Parameters", "Attributes", "Notes", "References", "Examples")
# What makes a fit fast, where a hasher has such parameters.
FAST = {"batch_size": 10, "max_iter": 2, "graph_iter": 2, "hidden_units": 8, "graph_units": 8}


@pytest.fixture(params=HASHERS)
def cls(request):
    return HASHERS[request.param]


def documented(cls, section):
    """Return the types of the entries of a section by name, in order."""
    entries = {}
    for entry in ClassDoc(cls)[section]:
        entries |= dict.fromkeys(entry.name.split(", "), entry.type)
    return entries


def test_every_parameter_is_documented_in_the_order_of_the_signature(cls):
    assert list(documented(cls, "Parameters")) == list(inspect.signature(cls).parameters)


def test_every_documented_default_is_that_of_the_signature(cls):
    entries = documented(cls, "Parameters")
    for name, parameter in inspect.signature(cls).parameters.items():
        stated = re.fullmatch(r".+, default=(\S+)", entries[name])
        assert stated, f"{name} states no default"
        assert eval(stated[1]) == parameter.default, name


def test_the_documented_attributes_are_those_that_fit_sets(cls):
    values = np.random.default_rng(0).normal(size=(30, 12))
    pairs = make_table(image=values[:, :6], text=values[:, 6:])
    parameters = inspect.signature(cls).parameters
    fast = {name: value for name, value in FAST.items() if name in parameters}
    fitted = cls(4, random_state=0, **fast).fit(pairs, labels_for(cls, pairs))
    learned = {name for name in vars(fitted) if name.endswith("_") and not name.startswith("_")}
    assert learned == set(documented(cls, "Attributes"))


def test_every_parameter_and_attribute_has_a_type_and_a_description(cls):
    for entry in [*ClassDoc(cls)["Parameters"], *ClassDoc(cls)["Attributes"]]:
        assert entry.type, f"{entry.name} has no type"
        assert "".join(entry.desc), f"{entry.name} is not described"


def test_sections_stand_in_the_order_of_numpydoc(cls):
    titles = re.findall(r"^(\w+)\n-+$", cls.__doc__, re.MULTILINE)
    assert titles == [title for title in SECTIONS if title in titles]
    assert {"Parameters", "Attributes", "Notes", "Examples"} <= set(titles)
