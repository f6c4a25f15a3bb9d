"""What estimators share: whole fits, links, splitting by modality, the types that files name."""

import os
from contextlib import contextmanager
from dataclasses import MISSING, fields
from importlib import import_module
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils import Bunch
from sklearn.utils.validation import check_is_fitted

from ._blocks import BLOCKS

_PUBLIC = ("features", "hashing", "hashing.supervised", "retrieval", "metrics")
_HELD = ("retrieval._ids.Ids",)  # what fitted estimators hold beside arrays


class Documented:
    """Estimators whose HTML diagram, drawn by scikit-learn, links to their page of this library.

    The pages are at the first of: the address in the environment variable ``SKHASH_DOCS``, the
    ``Documentation`` address of the installed distribution, and the pages that ``make docs`` built
    in a checkout. Where there is none, and for a class that is not public, there is no link.
    """

    _doc_link_module = "skhash"

    @property
    def _doc_link_template(self):
        cls, address = type(self), _documentation()
        for home in _PUBLIC if address else ():
            if getattr(import_module(f"skhash.{home}"), cls.__name__, None) is cls:
                return f"{address}/api/generated/skhash.{home}.{cls.__name__}.html"
        return ""


def _documentation():
    """Return the address of the documentation without a slash at its end, or an empty string."""
    if address := os.environ.get("SKHASH_DOCS"):
        return address.rstrip("/")
    try:
        urls = metadata("scikit-hash").get_all("Project-URL") or []
    except PackageNotFoundError:
        urls = []
    for label, _, url in (url.partition(", ") for url in urls):
        if label == "Documentation":
            return url.rstrip("/")
    built = Path(__file__).resolve().parents[1] / "docs/_build/html"
    return built.as_uri() if (built / "index.html").is_file() else ""


@contextmanager
def fitting(estimator):
    """Give a copy of an estimator to fit; at the end, the estimator takes over its attributes.

    All attributes change together, by one assignment. After an error or Ctrl-C, the estimator is
    unchanged, and other threads never use a partly fitted one. Replace attributes of the copy
    instead of changing them in place: both estimators refer to the same objects.

    Parameters
    ----------
    estimator : estimator
        The estimator to fit.

    Yields
    ------
    estimator
        A shallow copy.

    Examples
    --------
    >>> from sklearn.base import BaseEstimator
    >>> class Mean(BaseEstimator):
    ...     def fit(self, X):
    ...         with fitting(self) as new:
    ...             new.total_ = sum(X)
    ...             new.mean_ = new.total_ / len(X)
    ...         return self
    >>> mean = Mean().fit([1, 3])
    >>> mean.fit([])
    Traceback (most recent call last):
        ...
    ZeroDivisionError: division by zero
    >>> mean.total_, mean.mean_
    (4, 2.0)
    """
    new = object.__new__(type(estimator))
    vars(new).update(vars(estimator))
    yield new
    estimator.__dict__ = vars(new)


def without_class_defaults(cls):
    """Remove from a dataclass the attributes that hold the defaults of its fields.

    The constructor has the defaults. As attributes of the class, ``help`` would list each parameter
    once more. An object that lacks a parameter still has its default: one that an older release
    pickled, or whose class has a constructor of its own.

    Parameters
    ----------
    cls : type
        The dataclass.

    Returns
    -------
    type
        The same class.
    """
    for field in fields(cls):
        if field.name in vars(cls):
            delattr(cls, field.name)
    cls.__getattr__ = _default
    return cls


def _default(self, name):
    field = type(self).__dataclass_fields__.get(name)
    if field is None or field.default is MISSING:
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
    return field.default


class ModalityStep(TransformerMixin, BaseEstimator):
    """One modality of a fitted step.

    Parameters
    ----------
    estimator : estimator
        An estimator with the methods ``encode_image`` and ``encode_text``. It is frozen, so that
        neither ``fit`` nor ``clone`` of the pipeline changes it.
    modality : {"image", "text"}
        Which of the two ``transform`` calls.
    """

    def __init__(self, estimator, modality):
        self.estimator = estimator
        self.modality = modality

    def fit(self, X, y=None):
        """Do nothing: the step is fitted."""
        return self

    def transform(self, X):
        """Encode samples of the modality."""
        return getattr(self.estimator, f"encode_{self.modality}")(X)

    def __sklearn_is_fitted__(self):
        return True


def split_towers(estimator):
    """Split a fitted pipeline for pairs into an image pipeline and a text pipeline.

    Each step that has the methods ``encode_image`` and ``encode_text`` becomes a fitted transformer
    that calls one of them. A last step without ``transform``, such as a retriever, is left out.

    Parameters
    ----------
    estimator : Pipeline, search or estimator
        A fitted pipeline, or a single fitted estimator with ``encode_image`` and ``encode_text``.
        If it, or a step, is a search such as :class:`~sklearn.model_selection.GridSearchCV`, its
        best estimator is used.

    Returns
    -------
    Bunch
        ``image`` and ``text``: two fitted :class:`~sklearn.pipeline.Pipeline`, each for samples of
        one modality.

    Raises
    ------
    ValueError
        If a step works on both modalities at once, no step has these methods, or a search has no
        best estimator because of ``refit=False``.

    Examples
    --------
    >>> from sklearn.base import BaseEstimator
    >>> from skhash import split_towers
    >>> class Lengths(BaseEstimator):
    ...     def fit(self, X, y=None):
    ...         self.fitted_ = True
    ...         return self
    ...     def encode_image(self, images):
    ...         return [[image.size] for image in images]
    ...     def encode_text(self, texts):
    ...         return [[len(text)] for text in texts]
    >>> split_towers(Lengths().fit(None)).text.transform(["two dogs"])
    [[8]]
    """
    check_is_fitted(estimator)
    estimator = _unwrap(estimator)
    steps = estimator.steps if isinstance(estimator, Pipeline) else [("encode", estimator)]
    steps = [(name, _unwrap(step)) for name, step in steps]
    last = steps[-1][1]
    if not (_passes(last) or _encodes(last) or hasattr(last, "transform")):
        steps = steps[:-1]
    for name, step in steps:
        if not (_passes(step) or _encodes(step)):
            raise ValueError(
                f"step {name!r} ({type(step).__name__}) works on both modalities at once and "
                "cannot be split: put it inside the image or the text branch of the featurizer."
            )
    if not any(_encodes(step) for _, step in steps):
        raise ValueError(
            f"{type(estimator).__name__} has nothing to split: at least one step must have the "
            "methods encode_image and encode_text."
        )
    pipelines = {
        block: Pipeline([(name, _modality_step(step, block)) for name, step in steps])
        for block in BLOCKS
    }
    return Bunch(**pipelines)


def _unwrap(estimator):
    """Return the estimator that a search has chosen or that is frozen; any other as it is."""
    while True:
        if isinstance(estimator, FrozenEstimator):
            estimator = estimator.estimator
        elif hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        elif hasattr(estimator, "cv_results_"):
            raise ValueError(
                f"{type(estimator).__name__} has no best estimator to split, because refit=False: "
                "fit it with refit=True, or give a fitted pipeline."
            )
        else:
            return estimator


def _passes(step):
    return step is None or step == "passthrough"


def _encodes(step):
    return hasattr(step, "encode_image") and hasattr(step, "encode_text")


def _modality_step(step, block):
    return "passthrough" if _passes(step) else ModalityStep(FrozenEstimator(step), block)


def trusted_types():
    """Name the types of this library that a file of skops may contain.

    These are the public estimators and scorers, the steps of :func:`split_towers`, and the ids of
    an index, by the names that ``skops.io.get_untrusted_types`` gives them. There is no function
    among them. Arrays, numbers, and scikit-learn's own estimators are trusted by skops itself.

    Returns
    -------
    list of str
        The names, sorted.

    Examples
    --------
    >>> from skhash import trusted_types
    >>> for name in trusted_types():
    ...     if "BoW" in name or "Retriever" in name:
    ...         print(name)
    skhash.features._bow.BoWTextFeaturizer
    skhash.retrieval._hamming.HammingRetriever

    A file is loaded by ``skops.io.load("model.skops", trusted=trusted_types())``.
    """
    found = [ModalityStep]
    for part in _PUBLIC:
        module = import_module(f".{part}", __package__)
        found += [getattr(module, name) for name in module.__all__]
    types = [value for value in found if isinstance(value, type)]
    names = [f"{t.__module__}.{t.__name__}" for t in types if issubclass(t, BaseEstimator)]
    return sorted([*names, *(f"{__package__}.{name}" for name in _HELD)])
