"""The docstring of every public hasher agrees with its signature and with what `fit` learns."""

import inspect
import re

import numpy as np
import pytest
from numpydoc.docscrape import ClassDoc

from skhash import hashing, make_table
from skhash.hashing._docs import hasher
from skhash.hashing._parameters import count, positive

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
        if entry.name.startswith("**"):  # the title of a group
            continue
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
        if entry.name.startswith("**"):  # the title of a group
            continue
        assert entry.type, f"{entry.name} has no type"
        assert "".join(entry.desc), f"{entry.name} is not described"


def test_sections_stand_in_the_order_of_numpydoc(cls):
    titles = re.findall(r"^(\w+)\n-+$", cls.__doc__, re.MULTILINE)
    assert titles == [title for title in SECTIONS if title in titles]
    assert {"Parameters", "Attributes", "Notes", "Examples"} <= set(titles)


class Titled(hashing.AffinityHasher):
    """A method.

    Parameters
    ----------
    max_iter : int, default=1
        Own description.
    first : float, default=1.0
        Without a title.

    **Loss**

    second : float, default=1.0
        In a new group.

    **Training**

    third : float, default=1.0
        In a group of the base.
    """

    max_iter: int = count(3)
    first: float = positive(2.0)
    second: float = positive(2.0)
    third: float = positive(2.0)


def test_a_class_adds_parameters_to_groups_of_its_base_and_new_groups_after_the_first():
    cls = hasher(type("Titled", Titled.__bases__, dict(vars(Titled))))
    groups, title = {}, None
    for entry in ClassDoc(cls)["Parameters"]:
        if entry.name.startswith("**"):
            title = entry.name.strip("*")
        else:
            groups.setdefault(title, []).append(entry.name)
    assert list(groups)[:5] == ["Codes", "Method", "Loss", "Networks", "Training"]
    assert groups["Method"] == ["first"]
    assert groups["Loss"] == ["second"]
    assert groups["Training"][0] == "max_iter"
    assert groups["Training"][-1] == "third"
    names = [name for group in groups.values() for name in group]
    assert names == list(inspect.signature(cls).parameters)
    assert "Own description." in cls.__doc__
    assert "max_iter : int, default=3" in cls.__doc__


def test_a_subclass_with_a_constructor_of_its_own_has_its_signature():
    class Short(hashing.CFRHHasher):
        def __init__(self, n_bits=8):
            super().__init__(n_bits)

    assert list(inspect.signature(Short).parameters) == ["n_bits"]
