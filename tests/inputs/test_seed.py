import numpy as np
import pytest

from skhash._inputs.seed import draw_seed, own_generator


@pytest.mark.parametrize("seed", [0, 7, np.int64(7), 2**32 - 1])
def test_a_number_is_the_seed(seed):
    assert draw_seed(seed) == seed
    assert type(draw_seed(seed)) is int


@pytest.mark.parametrize("make", [np.random.RandomState, np.random.default_rng])
def test_a_generator_is_drawn_from_and_advanced(make):
    generator = make(3)
    first, second = draw_seed(generator), draw_seed(generator)
    assert first != second
    assert first == draw_seed(make(3))
    assert all(0 <= seed < 2**31 for seed in (first, second))


def test_none_gives_a_new_seed_each_time_and_leaves_the_global_generator_alone():
    before = np.random.get_state()[1]  # noqa: NPY002
    assert len({draw_seed(None) for _ in range(3)}) > 1
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize(
    ("random_state", "error", "message"),
    [
        (-1, ValueError, "random_state must be at least 0, got -1"),
        (2**32, ValueError, "random_state must be at most 4294967295, got 4294967296"),
        (
            0.5,
            TypeError,
            "random_state must be None, an integer, a RandomState or a Generator, got 0.5",
        ),
        (True, TypeError, "random_state must be an integer, got True"),
    ],
)
def test_what_is_no_seed_is_named(random_state, error, message):
    with pytest.raises(error, match=message):
        draw_seed(random_state)


def test_a_generator_of_ones_own_is_seeded_or_the_one_that_was_given():
    given = np.random.RandomState(3)
    assert own_generator(given) is given
    assert own_generator(5).randint(1000) == np.random.RandomState(5).randint(1000)
    first, again = (own_generator(np.random.default_rng(5)).randint(1000) for _ in range(2))
    assert first == again
    assert own_generator(None) is not own_generator(None)
