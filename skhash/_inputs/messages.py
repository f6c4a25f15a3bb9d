"""Values as messages quote them, on one line and shortened; warnings that point at the caller."""

import re
import reprlib
import sys
import warnings
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

# Between the caller and this library stand also decorators and context managers of these.
_WITHIN = {"skhash", "sklearn", "joblib", "torch", "contextlib"}

MANY = 16  # rows that are not equal by chance
UNKNOWN_WORDS = "unknown words"  # texts hold no word that an encoder knows
DROPPED_ROWS = "dropped rows"  # rows of a table lack their caption or their picture
# What warnings are about, and the list that their messages are put into.
_gathered: ContextVar[Any] = ContextVar("gathered", default=None)


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


def name_rows(rows):
    """Return the numbers of rows, the first five if there are more.

    >>> name_rows([3]), name_rows([0, 1, 2, 3, 4, 5])
    ('row 3', 'rows 0, 1, 2, 3, 4, ...')
    """
    shown = ", ".join(map(str, rows[:5])) + (", ..." if len(rows) > 5 else "")
    return f"row{'s' if len(rows) > 1 else ''} {shown}"


def warn(message, category=UserWarning, *, about=None):
    """Warn, naming as the source the line that called this library, directly or by scikit-learn.

    Parameters
    ----------
    message : str
        The message.
    category : type, default=UserWarning
        Class of the warning.
    about : str, default=None
        What it is about, for `gathering`.
    """
    gathered = _gathered.get()
    if gathered is not None and about == gathered[0]:
        gathered[1].append(message)
        return
    frame, level = sys._getframe(1), 2
    while (
        frame.f_back is not None
        and frame.f_globals.get("__name__", "").partition(".")[0] in _WITHIN
    ):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


@contextmanager
def gathering(about):
    """Put the messages of this library's warnings about something into a list, instead of warning.

    That holds for the thread that enters, and changes no filter.

    Parameters
    ----------
    about : str
        What they are about.

    Yields
    ------
    list of str
        The messages.
    """
    messages = []
    token = _gathered.set((about, messages))
    try:
        yield messages
    finally:
        _gathered.reset(token)
