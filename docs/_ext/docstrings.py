"""Repair what Sphinx would misread in docstrings that read well in the source."""

import re

REFERENCE = re.compile(r":(?:ref|term):`~?([^`<]*?)\s*(?:<[^`>]*>)?`")
FITTED = re.compile(r"(?<=\w)_(?=[,)])")


def repair(app, what, name, obj, options, lines):
    """Change the lines of a docstring in place."""
    for number, line in enumerate(lines):
        if " shape (" in line:  # (n_features_in_,) is no link
            lines[number] = FITTED.sub(r"\\_", line)
    # Methods inherited from scikit-learn refer to labels and terms that only its own pages have.
    if (getattr(obj, "__module__", "") or "").startswith("sklearn."):
        lines[:] = REFERENCE.sub(r"\1", "\n".join(lines)).split("\n")


def setup(app):
    """Connect to autodoc."""
    app.connect("autodoc-process-docstring", repair, priority=100)  # before numpydoc
    return {"parallel_read_safe": True, "parallel_write_safe": True}
