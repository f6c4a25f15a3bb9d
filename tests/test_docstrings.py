"""The docstrings of everything public, found in the ``__all__`` of the modules."""

import ast
import inspect
import re
from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest
from numpydoc.docscrape import ClassDoc
from numpydoc.validate import validate
from sklearn.base import BaseEstimator
from sklearn.utils._repr_html.common import get_docstring

import skhash

PACKAGE = Path(skhash.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
PUBLIC_MODULES = (
    *("codes", "datasets", "features", "hashing", "hashing.supervised", "metrics", "retrieval"),
)
# Errors of numpydoc that are let pass, each for a reason.
LET_PASS = {
    "ES01",  # a one-line summary can be enough
    "GL01",  # the summary stands on the line of the quotes
    "SA01",  # there is not always something else to see
    "SA04",
    "EX01",  # an example is asked of functions and classes below, not of each method
    "RT02",  # "self : object" names a value, as in scikit-learn
}

FEW = 15  # parameters that need no titles of groups


def public_objects():
    for name in ("make_table", "show_versions", "split_towers"):
        yield f"skhash.{name}", getattr(skhash, name)
    for part in PUBLIC_MODULES:
        module = attrgetter(part)(skhash)
        for name in (*module.__all__, *getattr(module, "_BASES", ())):
            yield f"skhash.{part}.{name}", getattr(module, name)


def public_callables():
    for path, value in public_objects():
        yield path
        if inspect.isclass(value):
            for name, method in inspect.getmembers(value, inspect.isfunction):
                ours = method.__module__.startswith("skhash")
                if ours and not name.startswith("_") and "metadata_requests" not in str(method):
                    yield f"{path}.{name}"


PUBLIC = dict(public_objects())
CLASSES = [path for path, value in PUBLIC.items() if inspect.isclass(value)]
DISPLAYS = [path for path in CLASSES if hasattr(PUBLIC[path], "plot")]
MADE_FROM = {"HasherSearchDisplay": ("from_search",)}


def is_title(name):
    """Say whether an entry of a list of parameters is the title of a group of them."""
    return re.fullmatch(r"\*\*[^*]+\*\*", name) is not None


def is_let_pass(code, text):
    quoted = re.findall(r"""["']([^"']+)["']""", text)
    return code in LET_PASS or (code in ("PR02", "PR07") and all(map(is_title, quoted)))


@pytest.mark.parametrize("path", list(public_callables()))
def test_docstring_is_valid_numpydoc(path):
    errors = [
        (code, text) for code, text in validate(path)["errors"] if not is_let_pass(code, text)
    ]
    assert not errors


@pytest.mark.parametrize("path", CLASSES)
def test_many_parameters_are_in_groups_with_titles(path):
    """So many in a group at most that it fits on a screen."""
    entries = [entry.name for entry in ClassDoc(PUBLIC[path])["Parameters"]]
    titles = [number for number, name in enumerate(entries) if is_title(name)]
    if len(inspect.signature(PUBLIC[path]).parameters) <= FEW:
        assert not titles
        return
    assert len(titles) > 2
    assert titles[0] == 0
    sizes = np.diff([*titles, len(entries)]) - 1
    assert 1 <= sizes.min() <= sizes.max() <= 12


@pytest.mark.parametrize("path", CLASSES)
def test_parameters_are_documented_in_the_order_of_the_signature(path):
    entries = [entry.name for entry in ClassDoc(PUBLIC[path])["Parameters"]]
    names = [name for entry in entries if not is_title(entry) for name in entry.split(", ")]
    assert names == list(inspect.signature(PUBLIC[path]).parameters)


@pytest.mark.parametrize("path", CLASSES)
def test_defaults_are_no_attributes_of_a_class(path):
    """The help of a class does not list its parameters a second time."""
    assert not set(inspect.signature(PUBLIC[path]).parameters) & set(dir(PUBLIC[path]))
    assert not hasattr(PUBLIC[path], "__match_args__")


@pytest.mark.parametrize("path", CLASSES)
def test_a_parameter_that_an_older_pickle_lacks_has_its_default(path):
    if not hasattr(PUBLIC[path], "__dataclass_fields__"):
        pytest.skip("a constructor written by hand")
    given = PUBLIC[path]()
    defaults = given.get_params(deep=False)
    for name in defaults:
        del given.__dict__[name]
    assert {name: getattr(given, name) for name in defaults} == defaults
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = given.nothing


def test_diagrams_describe_parameters_in_groups():
    """The HTML diagram of scikit-learn finds the descriptions, without the titles of groups."""
    found = get_docstring(PUBLIC["skhash.hashing.CFRHHasher"], "Parameters", "center")
    assert "CLIP embeddings" in found
    assert "**" not in found


@pytest.mark.parametrize("path", list(PUBLIC))
def test_docstring_has_an_example(path):
    assert ">>> " in (inspect.getdoc(PUBLIC[path]) or "")


@pytest.mark.parametrize("path", CLASSES)
def test_every_parameter_is_stored_as_it_is_given(path):
    parameters = inspect.signature(PUBLIC[path]).parameters
    assert all(p.kind is not p.VAR_KEYWORD for p in parameters.values())
    markers = {name: object() for name in parameters}
    stored = PUBLIC[path](**markers)
    assert {name: getattr(stored, name) for name in parameters} == markers


@pytest.mark.parametrize("path", [path for path in CLASSES if path not in DISPLAYS])
def test_every_class_that_draws_nothing_is_an_estimator(path):
    assert issubclass(PUBLIC[path], BaseEstimator)
    assert set(PUBLIC[path]().get_params(deep=False)) == set(
        inspect.signature(PUBLIC[path]).parameters
    )


@pytest.mark.parametrize("path", DISPLAYS)
def test_every_display_has_constructors_by_name_and_is_plotted_on_axes(path):
    display = PUBLIC[path]
    assert path.endswith("Display")
    for name in MADE_FROM.get(display.__name__, ("from_codes", "from_estimator")):
        assert inspect.ismethod(getattr(display, name)), f"{name} is no class method"
    parameters = inspect.signature(display.plot).parameters
    assert list(parameters)[:2] == ["self", "ax"]
    assert parameters["ax"].default is parameters["name"].default is None


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_messages_are_in_plain_english(path):
    """No word that means something else, or nothing, to those who do not know this package."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    raised = [
        node for node in ast.walk(tree) if isinstance(node, (ast.Raise, ast.Call, ast.Return))
    ]
    texts = {
        text.value
        for node in raised
        for text in ast.walk(node)
        if isinstance(text, ast.Constant) and isinstance(text.value, str)
    }
    words = re.compile(r"\b(mend|manners?|kin|rooms?|sees|story|stories)\b", re.IGNORECASE)
    assert not [text for text in texts if words.search(text)]
