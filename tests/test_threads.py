"""What threads share: generators, filters of warnings and settings belong to the caller."""

import random
import re
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
import torch
from sklearn.base import clone

import skhash
from skhash.datasets import make_scenes

from .estimators import ESTIMATORS, answers, first_that_fits, inputs, small, tiny_model


@pytest.fixture(scope="module")
def model_name(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def candidates():
    return inputs()


def in_threads(n, function):
    """Call a function in n threads at once; return its results."""
    barrier = Barrier(n)

    def run(_):
        barrier.wait()
        return function()

    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(run, range(n)))


def refuse(*args, **kwargs):
    raise AssertionError("a task of scikit-learn ran")


def shared_state():
    return (
        torch.get_rng_state().tolist(),
        repr(np.random.get_state()),  # noqa: NPY002
        random.getstate(),
        list(warnings.filters),
        torch.get_num_threads(),
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        np.geterr(),
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: estimator.__name__)
def test_estimators_change_nothing_that_threads_share(
    estimator, model_name, candidates, monkeypatch
):
    X, expected = first_that_fits(estimator, model_name, candidates)
    # scikit-learn's tasks set the filters of warnings of all threads for as long as they run.
    monkeypatch.setattr("sklearn.utils.parallel._FuncWrapper.__call__", refuse)
    before = shared_state()
    unseeded = small(estimator, model_name)
    if hasattr(unseeded, "random_state"):
        answers(unseeded.set_params(random_state=None), X)
        assert shared_state() == before
    for found in in_threads(2, lambda: answers(small(estimator, model_name), X)):
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)  # BLAS rounds otherwise
    assert shared_state() == before


def test_scenes_without_a_seed_leave_the_global_generator_alone():
    before = shared_state()
    make_scenes(2, image_size=16)
    assert shared_state() == before


@pytest.mark.filterwarnings("ignore:.*has random weights")
def test_eight_threads_build_one_model_with_the_same_random_weights(model_name, candidates):
    from skhash.features import CLIPFeaturizer
    from skhash.features._towers.models import load_model

    featurizer = CLIPFeaturizer(model_name, pretrained=None, device="cpu")
    images = candidates[2]
    load_model.cache_clear()
    expected = featurizer.transform(images)
    load_model.cache_clear()
    before = shared_state()
    for found in in_threads(8, lambda: featurizer.transform(images)):
        np.testing.assert_array_equal(found, expected)
    assert load_model.cache_info().misses == 1
    assert shared_state() == before


def test_eight_threads_may_import_a_library_first(model_name):
    code = (
        "import sys, warnings; import numpy as np\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from skhash.features import CLIPFeaturizer\n"
        "warnings.simplefilter('ignore')\n"
        "def embed(text):\n"
        "    featurizer = CLIPFeaturizer(sys.argv[1], pretrained=None, modality='text')\n"
        "    return featurizer.transform([text])\n"
        "with ThreadPoolExecutor(8) as pool:\n"
        "    vectors = list(pool.map(embed, ['a red ring'] * 8))\n"
        "assert np.array_equal(vectors[1:], vectors[:-1])\n"
    )
    root = Path(__file__).parents[1]
    subprocess.run([sys.executable, "-c", code, model_name], check=True, cwd=root)


def test_estimators_of_one_seed_may_be_trained_at_once_in_every_way(candidates):
    from skhash.features import ContrastiveFeaturizer

    options = [
        {"text_positive": "word_dropout", "cross_view": "augmented"},
        {"gradient_checkpointing": True, "n_rounds": 1, "round_epochs": 1, "n_clusters": 4},
    ]
    for each in options:
        base = small(ContrastiveFeaturizer, None).set_params(**each)

        def weights(base=base):
            return clone(base).fit(candidates[1]).state_

        expected, before = weights(), shared_state()
        for found in in_threads(2, weights):
            for name, array in expected.items():
                np.testing.assert_array_equal(found[name], array)
        assert shared_state() == before


def test_no_module_changes_the_filters_of_warnings():
    """They belong to the process: a thread that changes them changes those of all others."""
    package = Path(skhash.__file__).parent
    for module in package.rglob("*.py"):
        assert not re.search("catch_warnings|simplefilter|filterwarnings", module.read_text()), (
            module
        )
