"""Table cells that hold a picture or a text."""

import os
from collections.abc import Mapping


def unwrap_image(cell):
    """Return the picture of a cell, which Arrow files store as ``{"bytes": ..., "path": ...}``.

    >>> unwrap_image({"bytes": None, "path": "7.jpg"})
    '7.jpg'
    """
    if isinstance(cell, Mapping) and cell and not cell.keys() - {"bytes", "path"}:
        content = cell.get("bytes")
        return cell.get("path") if content is None else content
    return cell


def lone_surrogate(text):
    r"""Return the position of the first lone surrogate of a text, which cannot be encoded, or None.

    >>> lone_surrogate("a dog"), lone_surrogate("a \ud83d")
    (None, 2)
    """
    try:
        if not text.isascii():
            text.encode()
    except UnicodeEncodeError as error:
        return error.start
    return None


def is_path(path):
    r"""Say whether the file system can hold a path at all: no NUL, no lone surrogate of a text.

    >>> is_path("7.jpg"), is_path("7\0.jpg")
    (True, False)
    """
    try:
        return b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False
