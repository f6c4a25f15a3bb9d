"""Declaring a hasher: parameters are fields, and shared documentation is written once."""

import inspect
import re
from dataclasses import dataclass
from typing import dataclass_transform

_HEADER = re.compile(r"^(\w[\w ]*)\n-+\n", re.MULTILINE)
_DEFAULT = re.compile(r"default=[^,\n]+")


@dataclass_transform(eq_default=False, kw_only_default=True)
def hasher(cls):
    """Make the annotated fields of a class keyword parameters, and complete its docstring.

    The docstring describes what is the class's own. The parameters and attributes that its bases
    describe are added to it: own entries take precedence, and parameters are listed in the order of
    the signature, with the defaults that the class has.

    Parameters
    ----------
    cls : type
        The class.

    Returns
    -------
    type
        The same class.
    """
    cls = dataclass(eq=False, repr=False, kw_only=True)(cls)
    cls._own_doc = cls.__doc__
    if cls.__doc__:  # Python may run without docstrings
        _complete(cls)
    return cls


def _complete(cls):
    sections = _split(cls)
    inherited = [_split(base) for base in cls.__mro__[1:] if vars(base).get("_own_doc")]
    fields = inspect.signature(cls).parameters
    for title in ("Parameters", "Attributes"):
        entries = {}
        for part in [*reversed(inherited), sections]:  # the furthest base first
            entries.update(_entries(part.get(title, "")))
        if title == "Parameters":
            entries = {
                name: _with_default(entries[name], field.default)
                for name, field in fields.items()
                if name in entries
            }
        sections[title] = "\n".join(entries.values()) + "\n\n"
    order = ["", "Parameters", "Attributes"]
    titles = order + [title for title in sections if title not in order]
    cls.__doc__ = "".join(
        f"{title}\n{'-' * len(title)}\n{sections[title]}" if title else sections[title]
        for title in titles
    )


def _split(cls):
    """Return the sections of a class's own docstring by title; the text before them is ``""``."""
    text = inspect.cleandoc(cls._own_doc) + "\n"
    pieces = _HEADER.split(text)
    return {"": pieces[0], **dict(zip(pieces[1::2], pieces[2::2], strict=True))}


def _entries(section):
    """Split a section of parameters or attributes into its entries by name."""
    entries = re.split(r"\n(?=\S)", section.strip("\n"))
    return {entry.partition(" :")[0]: entry for entry in entries if entry}


def _with_default(entry, default):
    """State the default that the class has."""
    head, newline, rest = entry.partition("\n")
    shown = f'"{default}"' if isinstance(default, str) else repr(default)
    return _DEFAULT.sub(lambda _: f"default={shown}", head) + newline + rest
