"""Cells that hold a picture or a text, and values as messages quote them."""

import os
import reprlib
from collections.abc import Mapping


class _Short(reprlib.Repr):
    def repr_bytes(self, x, level):
        return repr(x[: self.maxstring]) + ("..." if len(x) > self.maxstring else "")

    repr_bytearray = repr_bytes


_SHORT = _Short()
_SHORT.maxstring = _SHORT.maxother = 200


def shorten(value, width=100):
    """Return the `repr` of a value, cut to a width, without building that of megabytes.

    >>> shorten("a" * 8_000_000, 10)
    "'aaaaaa..."
    """
    # reprlib cuts the middle out of a str, which is a path more often than not.
    return cut(repr(value[:width]) if isinstance(value, str) else _SHORT.repr(value), width)


def cut(text, width=300):
    """Return a text, such as the message of another library, cut to a width."""
    text = str(text)[: width + 1].encode(errors="backslashreplace").decode()
    return text if len(text) <= width else f"{text[: width - 3]}..."


def unwrap_image(cell):
    """Return the picture of a cell: of ``{"bytes": ..., "path": ...}``, as Arrow files hold, one.

    >>> unwrap_image({"bytes": None, "path": "7.jpg"})
    '7.jpg'
    """
    if isinstance(cell, Mapping) and cell and not cell.keys() - {"bytes", "path"}:
        content = cell.get("bytes")
        return cell.get("path") if content is None else content
    return cell


def lone_surrogate(text):
    r"""Return the position of the first lone surrogate of a text, which no encoder reads, or None.

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
