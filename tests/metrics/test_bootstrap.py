import numpy as np
import pytest

from skhash.metrics import _bootstrap, bootstrap_interval


def scores(n=300):
    return np.random.default_rng(0).random(n) ** 2


def test_it_is_close_to_the_normal_interval_of_a_mean():
    low, high = bootstrap_interval(scores(), n_resamples=4000, random_state=0)
    half_width = 1.96 * scores().std() / np.sqrt(300)
    assert low == pytest.approx(scores().mean() - half_width, abs=0.1 * half_width)
    assert high == pytest.approx(scores().mean() + half_width, abs=0.1 * half_width)


def test_more_confidence_is_wider():
    narrow = bootstrap_interval(scores(), confidence_level=0.5, random_state=0)
    wide = bootstrap_interval(scores(), confidence_level=0.99, random_state=0)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_a_seed_decides_the_draws_and_the_global_generator_is_left_alone():
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    first = bootstrap_interval(scores(), random_state=3)
    assert first == bootstrap_interval(scores(), random_state=3)
    assert first != bootstrap_interval(scores(), random_state=4)
    bootstrap_interval(scores())
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_drawing_in_batches_does_not_change_the_interval(monkeypatch):
    whole = bootstrap_interval(scores(), random_state=0)
    monkeypatch.setattr(_bootstrap, "_DRAWS", 1000)
    assert bootstrap_interval(scores(), random_state=0) == whole


@pytest.mark.parametrize("constant", [[0.3] * 7, [0.25], [0, 0, 0]])
def test_constant_scores_give_their_mean(constant):
    assert bootstrap_interval(constant) == (constant[0], constant[0])


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ([], {}, "minimum of 1 is required"),
        ([[0.1, 0.2]], {}, "one dimension, one per query, got 2"),
        ([0.1, np.nan], {}, "scores contains NaN"),
        ([0.1, 0.2], {"confidence_level": 1}, "confidence_level must be a number in .*, got 1"),
        ([0.1, 0.2], {"n_resamples": 0}, "n_resamples must be at least 1, got 0"),
    ],
)
def test_bad_input_is_named(values, options, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_interval(values, **options)
