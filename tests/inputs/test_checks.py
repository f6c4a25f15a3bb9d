import numpy as np
import pytest

from skhash._inputs.checks import (
    check_choice,
    check_flag,
    check_integer,
    check_n_jobs,
    check_real,
    check_verbose,
)


@pytest.mark.parametrize("value", [8, np.int8(8), np.uint64(8)])
def test_an_integer_is_a_python_integer(value):
    assert check_integer(value, "n", 8, 8) == 8
    assert type(check_integer(value, "n")) is int


@pytest.mark.parametrize("value", [True, np.True_, 8.0, "8", None, [8], np.array(8), 8 + 0j])
def test_what_is_no_integer_is_named(value):
    with pytest.raises(TypeError, match="n must be an integer, got "):
        check_integer(value, "n")


def test_an_integer_out_of_range_is_named():
    with pytest.raises(ValueError, match=r"n must be at least 2, got 1\."):
        check_integer(1, "n", 2)
    with pytest.raises(ValueError, match=r"n must be at most 2147483647, got 2147483648\."):
        check_integer(2**31, "n")
    assert check_integer(2**40, "n", high=2**50) == 2**40


@pytest.mark.parametrize("value", [1, 1.0, np.float32(1), np.int8(1), np.float16(1)])
def test_a_number_is_a_python_float(value):
    assert check_real(value, "x") == 1.0
    assert type(check_real(value, "x")) is float


@pytest.mark.parametrize("value", [True, "1", None, [1.0], np.array(1.0), 1 + 0j])
def test_what_is_no_number_is_named(value):
    with pytest.raises(TypeError, match="x must be a number, got "):
        check_real(value, "x")


@pytest.mark.parametrize("interval", ["(0, 1)", "[0, 1)", "(0, 1]", "[0, 1]", "[0, inf]"])
def test_an_interval_says_whether_its_ends_belong_to_it(interval):
    low, high = (float(end) for end in interval[1:-1].split(","))
    for end, belongs in ((low, interval[0] == "["), (high, interval[-1] == "]")):
        if belongs:
            assert check_real(end, "x", interval) == end
        else:
            with pytest.raises(ValueError, match=r"x must be a number in .0, 1.?, got "):
                check_real(end, "x", interval)


@pytest.mark.parametrize("value", [np.nan, np.float32("nan"), np.inf, -np.inf, 10**400, -(10**400)])
def test_numbers_that_are_not_finite_are_in_no_interval_by_default(value):
    with pytest.raises(ValueError, match=r"x must be a number in \(-inf, inf\), got "):
        check_real(value, "x")


def test_integers_beyond_any_float_have_a_sign():
    assert check_real(10**400, "x", "[0, inf]") == np.inf
    with pytest.raises(ValueError, match="x must be a number in"):
        check_real(-(10**400), "x", "[0, inf]")


def test_nan_is_in_no_interval():
    with pytest.raises(ValueError, match=r"x must be a number in .* got nan"):
        check_real(np.nan, "x", "[-inf, inf]")


@pytest.mark.parametrize("value", [True, np.False_])
def test_a_flag_is_a_python_bool(value):
    assert check_flag(value, "flag") is bool(value)


@pytest.mark.parametrize("value", [0, 1.0, "no", None, [], np.array([True, False])])
def test_what_is_no_flag_is_named(value):
    with pytest.raises(TypeError, match="flag must be True or False, got "):
        check_flag(value, "flag")


@pytest.mark.parametrize("value", ["a", np.str_("b"), None])
def test_a_choice_passes(value):
    check_choice(value, "letter", ("a", "b", None))


@pytest.mark.parametrize("value", [["a"], "c", np.array(["a", "b"]), np.nan, True, {}])
def test_what_is_no_choice_is_named(value):
    with pytest.raises(ValueError, match=r"letter must be one of 'a', 'b', got "):
        check_choice(value, "letter", {"a": 1, "b": 2})


def test_one_is_not_true():
    with pytest.raises(ValueError, match="answer must be one of True, None, got 1"):
        check_choice(1, "answer", (True, None))


@pytest.mark.parametrize("value", [True, 0, 2, np.int8(1)])
def test_a_level_of_verbosity_passes(value):
    check_verbose(value)


@pytest.mark.parametrize("value", [-1, "yes", None, 0.5])
def test_what_is_no_level_of_verbosity_is_named(value):
    with pytest.raises((TypeError, ValueError), match="verbose must be "):
        check_verbose(value)


@pytest.mark.parametrize("n_jobs", [None, 1, -1, np.int8(2)])
def test_a_number_of_threads_is_that_of_joblib(n_jobs):
    assert check_n_jobs(n_jobs) >= 1
    assert check_n_jobs(1) == check_n_jobs(None) == 1


@pytest.mark.parametrize("n_jobs", [100_000, 10**9])
def test_threads_are_never_many_more_than_cores(n_jobs, monkeypatch):
    monkeypatch.setattr("skhash._inputs.checks.cpu_count", lambda: 3)
    assert check_n_jobs(n_jobs) == 12


@pytest.mark.parametrize("n_jobs", [0, "2", 1.5, True, np.array([1, 2]), 2**70, -(2**70)])
def test_what_is_no_number_of_threads_is_named(n_jobs):
    with pytest.raises((TypeError, ValueError), match="n_jobs must be "):
        check_n_jobs(n_jobs)
