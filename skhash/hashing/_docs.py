"""Declaring a hasher: parameters are fields, and shared documentation is written once."""

import inspect
import re
from dataclasses import dataclass
from typing import dataclass_transform

from .._estimators import without_class_defaults

_HEADER = re.compile(r"^(\w[\w ]*)\n-+\n", re.MULTILINE)
_DEFAULT = re.compile(r"default=[^,\n]+")
_GROUP = re.compile(r"\*\*(.+)\*\*")
_FEW = 15  # parameters that need no titles of groups
_UNTITLED = "Method"  # group of what a class adds without a title, where there are titles


@dataclass_transform(eq_default=False, kw_only_default=True)
def hasher(cls):
    """Make the annotated fields of a class keyword parameters, and complete its docstring.

    The docstring describes the class's own parameters and attributes. Those that its bases describe
    are added; where both describe one, the description of the class is used. The stated defaults
    are those of the class.

    A line ``**Title**`` among the parameters begins a group of them. A class with more than 15
    parameters lists them by group, in its docstring and its signature: the first group of the base,
    the groups that the class adds, then the other groups of the base. A class with fewer parameters
    lists them in the order of its fields, without titles.

    Parameters
    ----------
    cls : type
        The class.

    Returns
    -------
    type
        The same class.
    """
    make = dataclass(eq=False, repr=False, kw_only=True, match_args=False)
    cls = without_class_defaults(make(cls))
    cls._own_doc = cls.__doc__
    if cls.__doc__:  # Python may run without docstrings
        _complete(cls)
    return cls


def _complete(cls):
    sections = _split(cls)
    inherited = [_split(base) for base in cls.__mro__[1:] if vars(base).get("_own_doc")]
    parts = [*reversed(inherited), sections]  # the furthest base first
    sections["Parameters"] = _parameters(cls, [part.get("Parameters", "") for part in parts])
    attributes = {}
    for part in parts:
        attributes.update(_entries(part.get("Attributes", ""))[0])
    sections["Attributes"] = "\n".join(attributes.values()) + "\n\n"
    order = ["", "Parameters", "Attributes"]
    titles = order + [title for title in sections if title not in order]
    cls.__doc__ = "".join(
        f"{title}\n{'-' * len(title)}\n{sections[title]}" if title else sections[title]
        for title in titles
    )


def _parameters(cls, parts):
    """Return the section of the parameters; order the signature by its groups, if it has any."""
    entries, groups, order = {}, {}, []
    for part in parts:
        own, titles = _entries(part)
        entries.update(own)
        for name, title in titles.items():
            groups[name] = title or groups.get(name, _UNTITLED)
        order[1:1] = [title for title in dict.fromkeys(groups.values()) if title not in order]
    signature = inspect.signature(cls.__init__)
    declared = {name: signature.parameters[name] for name in list(signature.parameters)[1:]}
    entries = {
        name: _with_default(entry, declared[name].default)
        for name, entry in entries.items()
        if name in declared
    }
    if len(declared) <= _FEW:
        return "\n".join(entries[name] for name in declared if name in entries) + "\n\n"
    members = {title: [name for name in entries if groups[name] == title] for title in order}
    names = [name for title in order for name in members[title]]
    names += [name for name in declared if name not in names]
    # Of the constructor, not of the class: a subclass with a constructor of its own has another.
    cls.__init__.__signature__ = signature.replace(
        parameters=[signature.parameters["self"], *(declared[name] for name in names)]
    )
    return "".join(
        "\n".join([f"**{title}**\n", *(entries[name] for name in members[title]), "\n"])
        for title in order
        if members[title]
    )


def _split(cls):
    """Return the sections of a class's own docstring by title; the text before them is ``""``."""
    text = inspect.cleandoc(cls._own_doc) + "\n"
    pieces = _HEADER.split(text)
    return {"": pieces[0], **dict(zip(pieces[1::2], pieces[2::2], strict=True))}


def _entries(section):
    """Split a section into its entries by name; return also the title of the group of each."""
    entries, titles, title = {}, {}, ""
    for entry in re.split(r"\n(?=\S)", section.strip("\n")):
        if begun := _GROUP.fullmatch(entry.strip()):
            title = begun[1]
        elif entry:
            name = entry.partition(" :")[0]
            entries[name], titles[name] = entry.rstrip("\n"), title
    return entries, titles


def _with_default(entry, default):
    """State the default that the class has."""
    head, newline, rest = entry.partition("\n")
    shown = f'"{default}"' if isinstance(default, str) else repr(default)
    return _DEFAULT.sub(lambda _: f"default={shown}", head) + newline + rest
