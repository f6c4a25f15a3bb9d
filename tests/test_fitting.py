"""A fit that is refused or interrupted leaves every public estimator as it was."""

import copy
import inspect
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.utils import get_tags

import skhash
from skhash import make_table
from skhash.datasets import make_scenes
from skhash.features import BoWTextFeaturizer, PatchFeaturizer

from .hashers import HASHERS, labels_for, needs_labels

PACKAGE = str(Path(skhash.__file__).parent)
ESTIMATORS = {
    name: value
    for module in ("features", "metrics", "retrieval")
    for name in getattr(skhash, module).__all__
    if isinstance(value := getattr(getattr(skhash, module), name), type)
    and issubclass(value, BaseEstimator)
    and hasattr(value, "fit")
} | HASHERS

rng = np.random.default_rng(0)
scenes = make_scenes(16, image_size=16, random_state=0).frame
# What each is fitted on first, and what then, of another width where it has one; parameters.
DATA = {
    "BoWTextFeaturizer": (list(scenes["text"]), ["other words", "for other texts"], {}),
    "CLIPFeaturizer": (list(scenes["text"]), ["other texts"], {"modality": "text"}),
    "ContrastiveFeaturizer": (
        scenes,
        scenes[::-1],
        {
            **{"image_tower": "vit", "image_size": 16, "patch_size": 8, "width": 16},
            **{"image_layers": 1, "text_layers": 1, "embed_dim": 8, "batch_size": 8},
            **{"joint_epochs": 2, "n_rounds": 0, "random_state": 0},
        },
    ),
    "CrossModalFeaturizer": (
        scenes,
        make_table(image=np.eye(5), text=list("bcdef")),
        {
            "image": PatchFeaturizer(4, image_size=16, n_patches=50, random_state=0),
            "text": BoWTextFeaturizer(token_pattern=r"\w+"),
        },
    ),
    "HammingRetriever": (
        rng.random((20, 16)) < 0.5,
        rng.random((12, 70)) < 0.5,
        {"n_neighbors": 2},
    ),
    "PatchFeaturizer": (
        list(scenes["image"]),
        list(scenes["image"][:3]),
        {"n_patterns": 4, "image_size": 16, "n_patches": 50, "random_state": 0},
    ),
}
# All hashers are fitted on the same pairs, with those of these parameters that they have.
PAIRS = (
    make_table(image=rng.normal(size=(12, 4)), text=rng.normal(size=(12, 5))),
    make_table(image=rng.normal(size=(10, 6)), text=rng.normal(size=(10, 3))),
)
SMALL = {
    **{"n_bits": 6, "max_iter": 2, "batch_size": 6, "hidden_units": 8, "random_state": 0},
    **{"graph_units": 8, "graph_iter": 2, "n_iter": 3, "space": "image"},
}
for hasher in HASHERS:
    known = inspect.signature(ESTIMATORS[hasher]).parameters
    DATA[hasher] = (*PAIRS, {name: SMALL[name] for name in SMALL if name in known})
DATA["SignHasher"][2]["n_bits"] = 3  # no more than there are features
STATEFUL = [name for name in ESTIMATORS if get_tags(ESTIMATORS[name]()).requires_fit]


def made(name):
    return ESTIMATORS[name](**DATA[name][2])


def labels_of(name, X):
    if name == "HammingRetriever":
        return np.arange(len(X))
    return labels_for(HASHERS[name], X) if name in HASHERS else None


def fitted(name):
    X = DATA[name][0]
    return made(name).fit(X, labels_of(name, X))


def copied(estimator):
    return pickle.loads(pickle.dumps(estimator))


def answers(estimator, X):
    """Return all that an estimator answers, in a form that compares bit for bit."""
    found = {}
    for method in ("transform", "kneighbors", "predict"):
        if hasattr(estimator, method):
            result = getattr(estimator, method)(X)
            result = np.asarray(result.toarray() if hasattr(result, "toarray") else result)
            found[method] = result.dtype, result.shape, result.tobytes()
    return found


def assert_unchanged(estimator, before, attributes, X):
    """Check answers, of the live estimator and of a pickled one, and that no attribute was set."""
    after = vars(estimator)
    assert set(after) == set(attributes)
    assert all(after[name] is value for name, value in attributes.items())
    assert answers(estimator, X) == before
    assert answers(copied(estimator), X) == before


def assert_unfitted(estimator, X):
    with pytest.raises(NotFittedError):
        answers(estimator, X)


def broken(X):
    """Return data whose last row cannot be read."""
    X = copy.deepcopy(X)
    if isinstance(X, list):
        return [*X[:-1], None]
    if isinstance(X, np.ndarray):
        X = X.astype(float)
        X[-1] = np.nan
        return X
    X.iloc[-1, -1] = None
    return X


def refusals():
    for name in STATEFUL:
        X, other, _ = DATA[name]
        parameters = inspect.signature(ESTIMATORS[name].fit).parameters
        first = next(iter(inspect.signature(ESTIMATORS[name]).parameters))
        y, y_other = (labels_of(name, rows) for rows in (X, other))
        yield name, "a parameter", {first: object()}, (X, y), {}
        yield name, "a row", {}, (broken(other), y_other), {}
        yield name, "a row of the same width", {}, (broken(X), y), {}
        if "groups" in parameters and parameters["groups"].kind is inspect.Parameter.KEYWORD_ONLY:
            yield name, "groups", {}, (other, y_other), {"groups": [None] * len(other)}
        if name in HASHERS and needs_labels(ESTIMATORS[name]):
            yield name, "no labels", {}, (X,), {}
            yield name, "labels", {}, (X, y[:-1]), {}
    X, other, _ = DATA["HammingRetriever"]
    yield "HammingRetriever", "labels", {}, (other, np.arange(len(other) - 1)), {}
    yield "HammingRetriever", "labels of the same width", {}, (X, np.arange(len(X) - 1)), {}


def refused(*methods):
    return pytest.mark.parametrize(
        ("name", "method", "parameters", "arguments", "options"),
        [
            pytest.param(name, method, *case, id=f"{name}-{method}-{what}")
            for name, what, *case in refusals()
            for method in methods
            if hasattr(ESTIMATORS[name], method)
        ],
    )


def test_every_public_estimator_has_data():
    assert set(DATA) == set(ESTIMATORS)


@refused("fit", "partial_fit", "fit_transform")
def test_a_refused_fit_leaves_an_estimator_as_it_was(name, method, parameters, arguments, options):
    estimator, X = fitted(name), DATA[name][0]
    before, attributes = answers(estimator, X), dict(vars(estimator))
    good = {parameter: getattr(estimator, parameter) for parameter in parameters}
    estimator.set_params(**parameters)
    with pytest.raises((ValueError, TypeError)):
        getattr(estimator, method)(*arguments, **options)
    estimator.set_params(**good)
    assert_unchanged(estimator, before, attributes, X)


@refused("fit", "partial_fit")
def test_a_refused_first_fit_leaves_an_estimator_unfitted(
    name, method, parameters, arguments, options
):
    estimator = made(name).set_params(**parameters)
    with pytest.raises((ValueError, TypeError)):
        getattr(estimator, method)(*arguments, **options)
    assert_unfitted(estimator, DATA[name][0])


class Stop:
    """Raise an error at the n-th call of a function of the package."""

    def __init__(self, at=None, error=None):
        self.at, self.error, self.calls = at, error, 0

    def __enter__(self):
        self.before = sys.getprofile()
        sys.setprofile(self._look)
        return self

    def __exit__(self, *_):
        sys.setprofile(self.before)

    def _look(self, frame, event, _):
        code = frame.f_code
        # What a finalizer of a generator raises is lost.
        if (
            event == "call"
            and code.co_filename.startswith(PACKAGE)
            and not code.co_flags & inspect.CO_GENERATOR
        ):
            self.calls += 1
            if self.calls - 1 == self.at:
                raise self.error


def stages(make, method, *arguments, n):
    """Return calls at which to stop, from the first to the last of a fit."""
    for _ in range(2):  # at first much is made once, such as compiled code
        estimator = make()
        with Stop() as counted:
            getattr(estimator, method)(*arguments)
    return np.unique(np.linspace(0, counted.calls - 1, n).astype(int))


WAYS = [
    pytest.param(name, method, warm, id=f"{name}-{method}{'-warm' * warm}")
    for name in STATEFUL
    for method, warm in (
        ("fit", False),
        ("fit", True),
        ("partial_fit", False),
        ("fit_transform", False),
    )
    # That of scikit-learn is a fit, then a transform.
    if (
        method in vars(ESTIMATORS[name])
        if method == "fit_transform"
        else hasattr(ESTIMATORS[name], method)
    )
    and (not warm or "warm_start" in inspect.signature(ESTIMATORS[name]).parameters)
]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("name", "method", "warm"), WAYS)
def test_a_fit_that_is_stopped_anywhere_leaves_an_estimator_as_it_was(name, method, warm):
    X, other, _ = DATA[name]
    if warm or method == "partial_fit":
        other = X[::-1]
    y = labels_of(name, other)

    def begin():
        estimator = fitted(name).set_params(**({"warm_start": True} if warm else {}))
        return estimator, answers(estimator, X), dict(vars(estimator))

    estimator, before, attributes = begin()
    n_stopped = 0
    for turn, at in enumerate(stages(lambda: begin()[0], method, other, y, n=14)):
        error = MemoryError() if turn % 2 else KeyboardInterrupt()
        stop, raised = Stop(at, error), None
        try:
            with stop:
                getattr(estimator, method)(other, y)
        except BaseException as caught:
            raised = caught
        if raised is not None:
            # A picture that finds no memory cannot be read.
            assert raised is error or "MemoryError" in str(raised)
            assert_unchanged(estimator, before, attributes, X)
            n_stopped += 1
        else:  # Ctrl-C after a whole epoch keeps what is learned
            assert stop.calls <= at or isinstance(error, KeyboardInterrupt)
            estimator, before, attributes = begin()
    assert n_stopped > 3


@pytest.mark.parametrize("name", STATEFUL)
def test_a_first_fit_that_is_stopped_leaves_an_estimator_unfitted(name):
    X = DATA[name][0]
    y = labels_of(name, X)
    for at in stages(lambda: made(name), "fit", X, y, n=8):
        estimator = made(name)
        with (
            pytest.raises((MemoryError, ValueError), match=r"MemoryError|^$"),
            Stop(at, MemoryError()),
        ):
            estimator.fit(X, y)
        assert_unfitted(estimator, X)
