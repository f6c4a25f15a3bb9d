"""A fitted pipeline of pairs, taken apart into one pipeline a modality."""

from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils import Bunch
from sklearn.utils.validation import check_is_fitted

from ._blocks import BLOCKS


class TowerStep(TransformerMixin, BaseEstimator):
    """One modality of a fitted step.

    Parameters
    ----------
    estimator : estimator
        Has methods ``encode_image`` and ``encode_text``. Frozen, so that neither ``fit`` nor
        ``clone`` of the tower touches it.
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
    """Split a fitted pipeline of pairs into an image pipeline and a text pipeline.

    Each step that has the methods ``encode_image`` and ``encode_text`` becomes a fitted transformer
    that calls one of them. A last step without ``transform``, such as a retriever, is left out.

    Parameters
    ----------
    estimator : Pipeline or estimator
        Fitted; or a single fitted estimator with ``encode_image`` and ``encode_text``.

    Returns
    -------
    Bunch
        ``image`` and ``text``: two fitted :class:`~sklearn.pipeline.Pipeline`, each for samples of
        one modality.

    Raises
    ------
    ValueError
        If a step works on both modalities at once, or no step encodes.

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
    steps = estimator.steps if isinstance(estimator, Pipeline) else [("encode", estimator)]
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
    towers = {
        block: Pipeline([(name, _tower_step(step, block)) for name, step in steps])
        for block in BLOCKS
    }
    return Bunch(**towers)


def _passes(step):
    return step is None or step == "passthrough"


def _encodes(step):
    return hasattr(step, "encode_image") and hasattr(step, "encode_text")


def _tower_step(step, block):
    return "passthrough" if _passes(step) else TowerStep(FrozenEstimator(step), block)
