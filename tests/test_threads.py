"""What threads share: generators, filters of warnings and settings belong to the caller."""

import inspect
import json
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
from sklearn.base import BaseEstimator, clone

import skhash
from skhash import make_table
from skhash.datasets import make_scenes

from .hashers import HASHERS, labels_for

ESTIMATORS = [
    value
    for module in ("features", "retrieval")
    for name in getattr(skhash, module).__all__
    if inspect.isclass(value := getattr(getattr(skhash, module), name))
    and issubclass(value, BaseEstimator)
] + list(HASHERS.values())
# Parameters, where an estimator has them, that make it small and its draws repeatable.
SMALL = {
    **{"random_state": 0, "batch_size": 8, "max_iter": 2, "n_bits": 8, "device": "cpu"},
    **{"space": "image", "graph_iter": 2, "graph_units": 8, "n_iter": 3},
    **{"pretrained": None, "image_tower": "vit", "image_size": 16, "patch_size": 8, "width": 16},
    **{"image_layers": 1, "text_layers": 1, "embed_dim": 8, "joint_epochs": 2, "n_rounds": 0},
    **{"n_neighbors": 3, "sparse_output": False, "n_patterns": 4, "n_patches": 100},
}
TINY = {
    "embed_dim": 8,
    "vision_cfg": {"image_size": 16, "layers": 1, "width": 16, "head_width": 8, "patch_size": 8},
    "text_cfg": {"context_length": 8, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 1},
}


@pytest.fixture(scope="module")
def model_name(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    config = {"model_cfg": TINY, "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return f"local-dir:{folder}"


@pytest.fixture(scope="module")
def candidates():
    """Inputs of all kinds; an estimator is run on the first that it takes."""
    scenes = make_scenes(16, image_size=16, random_state=0).frame
    features = np.random.default_rng(0).random((32, 8), dtype=np.float32)
    tables = [make_table(image=features, text=features[:, :5]), scenes]
    return [*tables, list(scenes["image"]), list(scenes["text"]), features > 0.5]


def small(estimator, model_name):
    parameters = estimator().get_params(deep=False)
    wanted = {**SMALL, "model_name": model_name}
    return estimator(**{name: value for name, value in wanted.items() if name in parameters})


def answers(estimator, X):
    """Fit an estimator and return what it says of the same rows."""
    estimator.fit(X, labels_for(estimator, X) if type(estimator) in HASHERS.values() else None)
    says = estimator.transform if hasattr(estimator, "transform") else estimator.kneighbors
    result = says(X)
    parts = result if isinstance(result, tuple) else [result]
    return [np.asarray(part) for part in parts]


def first_that_fits(estimator, model_name, candidates):
    """Return the first input that an estimator takes, and its answers."""
    for X in candidates:
        try:
            return X, answers(small(estimator, model_name), X)
        except (TypeError, ValueError):
            continue
    return pytest.fail(f"{estimator.__name__} takes none of the inputs: add one that it takes")


def in_threads(n, function):
    """Call a function in n threads at once; return its results."""
    barrier = Barrier(n)

    def run(_):
        barrier.wait()
        return function()

    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(run, range(n)))


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
def test_estimators_change_nothing_that_threads_share(estimator, model_name, candidates):
    X, expected = first_that_fits(estimator, model_name, candidates)
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
