"""Pixels and words to vectors.

A featurizer turns raw images and texts into the columns ``image__*`` and ``text__*`` that the
hashers learn from. Importing this module loads neither torch, nor open_clip, nor Pillow: they are
imported by the first call that needs them.
"""

from .._libraries import lazy_names

_MODULES = {
    "BoWTextFeaturizer": "_bow",
    "CLIPFeaturizer": "_clip.featurizer",
    "ContrastiveFeaturizer": "_contrastive.featurizer",
    "CrossModalFeaturizer": "_crossmodal",
    "PatchFeaturizer": "_patches",
    "clear_features": "_cache.folders",
    "list_features": "_cache.folders",
    "transform_partitions": "_dask",
}

__all__ = sorted(_MODULES)

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
