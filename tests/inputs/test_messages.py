from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np
import pytest

from skhash._inputs.messages import UNKNOWN_WORDS, cut, gathering, shorten, warn

HUGE = 8_000_000


@pytest.mark.parametrize(
    "value",
    [
        "a" * HUGE,
        b"a" * HUGE,
        bytearray(HUGE),
        [b"a" * HUGE] * 9,
        {"bytes": b"a" * HUGE},
        {"a" * HUGE: ["b" * HUGE]},
        10**2000,
        np.zeros(HUGE),
    ],
    ids=lambda value: type(value).__name__,
)
def test_huge_values_are_quoted_short(value):
    assert len(shorten(value)) <= 100


@pytest.mark.parametrize("value", [3, None, "a dog", b"\xff", ["a", 3], {"bytes": None}, 0.5])
def test_short_values_are_quoted_whole(value):
    assert shorten(value) == repr(value)


def test_a_text_that_no_encoder_reads_can_be_printed():
    cut("a \ud800" * 500).encode()
    shorten("a \ud800" * 500).encode()


def test_a_value_stays_on_one_line():
    assert shorten("a\n  b") == r"'a\n  b'"
    assert shorten(np.zeros((2, 2))) == "array([[0., 0.], [0., 0.]])"


def test_an_integer_that_python_refuses_to_write_is_called_huge():
    assert shorten(10**5000) == "a huge int"
    assert shorten([10**5000]) == "a huge list"


def test_a_warning_names_the_line_that_called_the_library():
    namespace = {"__name__": "skhash.deep", "warn": warn}
    exec("def inner():\n warn('odd')\ndef outer():\n inner()", namespace)
    with pytest.warns(UserWarning, match="odd") as caught:
        namespace["outer"]()
    assert caught[0].filename == __file__


def test_decorators_and_context_managers_within_the_library_are_passed_over():
    namespace = {"__name__": "skhash.deep", "warn": warn, "ExitStack": ExitStack}
    exec("def outer():\n with ExitStack() as stack:\n  stack.callback(warn, 'odd')", namespace)
    with pytest.warns(UserWarning, match="odd") as caught:
        namespace["outer"]()
    assert caught[0].filename == __file__


def test_a_warning_of_a_thread_that_the_library_alone_runs_is_given_all_the_same():
    namespace = {"__name__": "skhash.deep", "warn": warn}
    with ThreadPoolExecutor(1) as pool, pytest.warns(RuntimeWarning, match="odd") as caught:
        pool.submit(eval, "warn('odd', RuntimeWarning)", namespace).result()
    assert len(caught) == 1


def test_warnings_about_one_thing_are_gathered_in_one_thread():
    with gathering(UNKNOWN_WORDS) as messages, ThreadPoolExecutor(1) as pool:
        warn("unknown", about=UNKNOWN_WORDS)
        with pytest.warns(UserWarning, match="other"):
            warn("other")
        with pytest.warns(UserWarning, match="elsewhere"):
            pool.submit(warn, "elsewhere", about=UNKNOWN_WORDS).result()
    assert messages == ["unknown"]
    with pytest.warns(UserWarning, match="after"):
        warn("after", about=UNKNOWN_WORDS)
