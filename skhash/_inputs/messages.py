"""Values as error messages quote them: on one line and shortened."""

import re
import reprlib


class _Short(reprlib.Repr):
    def repr_bytes(self, x, level):
        return repr(x[: self.maxstring]) + ("..." if len(x) > self.maxstring else "")

    repr_bytearray = repr_bytes


_SHORT = _Short()
_SHORT.maxstring = _SHORT.maxother = 200


def shorten(value, width=100):
    """Return the `repr` of a value on one line, cut to a width; a longer one is never built.

    >>> shorten("a" * 8_000_000, 10)
    "'aaaaaa..."
    """
    try:
        # reprlib removes the middle of a str, where a path is most informative.
        text = repr(value[:width]) if isinstance(value, str) else _SHORT.repr(value)
    except ValueError:  # Python refuses to write integers of thousands of digits
        return f"a huge {type(value).__name__}"
    return cut(re.sub(r"\s*\n\s*", " ", text), width)


def cut(text, width=300):
    """Return a text, such as the message of another library, cut to a width."""
    text = str(text)[: width + 1].encode(errors="backslashreplace").decode()
    return text if len(text) <= width else f"{text[: width - 3]}..."
