"""Repair what Sphinx or numpydoc misreads in docstrings that read well in a terminal."""

import re

REFERENCE = re.compile(r":(?:ref|term):`~?([^`<]*?)\s*(?:<[^`>]*>)?`")
# What numpydoc makes of ``**Title**``, a line between parameters that it takes for another one.
GROUP = re.compile(r"^( +)\*\*\\\*\\\*(.+)\*{4}\n +\.\.$", re.MULTILINE)
FITTED = re.compile(r"(?<=\w)_(?=[,)])")


def repair(app, what, name, obj, options, lines):
    """Change the lines of a docstring in place."""
    for number, line in enumerate(lines):
        if " shape (" in line:  # (n_features_in_,) is no link
            lines[number] = FITTED.sub(r"\\_", line)
    # Methods inherited from scikit-learn refer to labels and terms that only its own pages have.
    if (getattr(obj, "__module__", "") or "").startswith("sklearn."):
        lines[:] = REFERENCE.sub(r"\1", "\n".join(lines)).split("\n")


def title_groups(app, what, name, obj, options, lines):
    """Make subheadings of the titles of groups of parameters."""
    text = "\n".join(lines)
    lines[:] = GROUP.sub(r"\1.. rubric:: \2\n\1   :class: group", text).split("\n")


def setup(app):
    """Connect to autodoc."""
    app.connect("autodoc-process-docstring", repair, priority=100)  # before numpydoc
    app.connect("autodoc-process-docstring", title_groups, priority=900)  # after numpydoc
    return {"parallel_read_safe": True, "parallel_write_safe": True}
