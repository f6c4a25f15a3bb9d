"""Parameters and seeds of a hasher, shown on CFRH."""

import numpy as np
import pytest
import torch


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(hasher, pairs):
    codes = hasher().fit_transform(pairs)
    np.testing.assert_array_equal(codes, hasher().fit_transform(pairs))
    assert not np.array_equal(codes, hasher(random_state=1).fit_transform(pairs))


@pytest.mark.parametrize("make", [np.random.RandomState, np.random.default_rng])
def test_generators_are_accepted_and_advanced(hasher, pairs, make):
    first = hasher(random_state=make(3)).fit_transform(pairs)
    np.testing.assert_array_equal(first, hasher(random_state=make(3)).fit_transform(pairs))
    shared = make(3)
    hasher(random_state=shared).fit(pairs)
    assert not np.array_equal(first, hasher(random_state=shared).fit_transform(pairs))


def test_the_largest_seed_of_scikit_learn_is_accepted(hasher, pairs):
    largest = hasher(random_state=2**32 - 1, early_stopping=True)
    np.testing.assert_array_equal(largest.fit_transform(pairs), largest.fit_transform(pairs))


@pytest.mark.parametrize("random_state", [None, 0])
def test_global_generators_are_left_alone(hasher, pairs, random_state):
    numpy_before, torch_before = np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    hasher(random_state=random_state, early_stopping=True).fit(pairs)
    numpy_after = np.random.get_state()  # noqa: NPY002
    assert all(np.array_equal(a, b) for a, b in zip(numpy_before, numpy_after, strict=True))
    assert torch.equal(torch_before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"n_bits": 0}, ValueError, "n_bits must be at least 1, got 0"),
        ({"n_bits": 16.0}, TypeError, "n_bits must be an integer"),
        ({"n_image_features": 15}, ValueError, "leaves no text block in a table of n_features=15"),
        ({"n_image_features": 0}, ValueError, "n_image_features must be at least 1, got 0"),
        ({"learning_rate": 0.0}, ValueError, "learning_rate must be a number in .*, got 0.0"),
        ({"alpha": "cube"}, ValueError, "alpha must be 'sqrt' or a positive number, got 'cube'"),
        ({"optimizer": "lbfgs"}, ValueError, "optimizer must be one of 'adam', 'sgd'"),
        ({"output": "hex"}, ValueError, "output must be one of 'bits'"),
        ({"device": "abacus"}, ValueError, "device must be 'auto' or a device .* got 'abacus'"),
        ({"random_state": -1}, ValueError, "random_state must be at least 0, got -1"),
        (
            {"validation_fraction": 1.0},
            ValueError,
            "validation_fraction must be a number in .*, got 1.0",
        ),
    ],
)
def test_a_parameter_out_of_range_is_named(hasher, pairs, parameters, error, message):
    with pytest.raises(error, match=message):
        hasher(**parameters).fit(pairs)
