"""The documentation names everything public, and every page can be reached."""

import re
import tomllib
from inspect import ismodule
from pathlib import Path

import pytest

import skhash

DOCS = Path(__file__).parent.parent / "docs"
MODULES = {
    name: getattr(skhash, name) for name in skhash.__all__ if ismodule(getattr(skhash, name))
}
MODULES["supervised"] = skhash.hashing.supervised
PUBLIC = [(part, name) for part, module in MODULES.items() for name in module.__all__]
PUBLIC += [("hashing", name) for name in skhash.hashing._BASES]
PUBLIC += [("skhash", name) for name in skhash.__all__ if name not in MODULES]


def entries(page, directive):
    """Return the entries of a directive in a page, one a line."""
    blocks = re.findall(rf"^\.\. {directive}::[^\n]*\n((?:[ ]+[^\n]*\n|\n)*)", page, re.MULTILINE)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    named = [re.sub(r"^.*<(.+)>$", r"\1", line) for line in lines]
    return [line for line in named if line and not line.startswith(":")]


@pytest.mark.parametrize(("module", "name"), PUBLIC, ids=lambda value: value)
def test_api_names_every_public_object(module, name):
    page = (DOCS / "api" / f"{module}.rst").read_text(encoding="utf-8")
    assert name in entries(page, "autosummary")


@pytest.mark.parametrize("module", [*MODULES, "skhash"])
def test_api_names_nothing_that_is_not_public(module):
    page = (DOCS / "api" / f"{module}.rst").read_text(encoding="utf-8")
    assert set(entries(page, "autosummary")) == {name for where, name in PUBLIC if where == module}


@pytest.mark.parametrize("folder", [".", "guide", "howto", "api"])
def test_every_page_is_in_a_toctree(folder):
    pages = {path.stem for path in (DOCS / folder).glob("*.rst")} - {"index"}
    pages -= {"sg_execution_times"}  # written by a build
    reached = entries((DOCS / folder / "index.rst").read_text(encoding="utf-8"), "toctree")
    assert pages
    assert pages <= set(reached)


def test_every_extra_is_listed():
    project = tomllib.loads((DOCS.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    page = (DOCS / "getting_started.rst").read_text(encoding="utf-8")
    listed = re.findall(r"^``(\w+)``  +\w", page, re.MULTILINE)
    assert sorted(listed) == sorted(project["optional-dependencies"])


def test_the_front_page_counts_the_hashers():
    page = (DOCS / "index.rst").read_text(encoding="utf-8")
    assert f"{len(skhash.hashing.__all__)} hashers" in page
