"""All public estimators, made small, and inputs of all kinds."""

import inspect
import json

import numpy as np
import pytest
from sklearn.base import BaseEstimator

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


def tiny_model(folder):
    """Write the configuration of a small CLIP model; return its name."""
    config = {"model_cfg": TINY, "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return f"local-dir:{folder}"


def inputs():
    """Return inputs of all kinds; an estimator is run on the first that it takes."""
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
    return ask(estimator, X)


def ask(estimator, X):
    """Return what a fitted estimator says of rows."""
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
