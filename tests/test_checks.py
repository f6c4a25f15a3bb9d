import pytest

from skhash._checks import check_choice


def test_a_choice_passes_and_anything_else_is_named():
    check_choice("a", "letter", {"a": 1, "b": 2})
    with pytest.raises(ValueError, match=r"letter must be one of 'a', 'b', got \['a'\]\."):
        check_choice(["a"], "letter", {"a": 1, "b": 2})
