"""Pixels and words to vectors.

A featurizer turns raw images and texts into the columns ``image__*`` and ``text__*`` that the
hashers learn from. Importing this module loads neither torch, nor open_clip, nor Pillow: they are
imported by the first call that needs them.
"""

from ._bow import BoWTextFeaturizer
from ._cache.folders import clear_features, list_features
from ._clip.featurizer import CLIPFeaturizer
from ._contrastive.featurizer import ContrastiveFeaturizer
from ._crossmodal import CrossModalFeaturizer
from ._dask import transform_partitions
from ._patches import PatchFeaturizer

__all__ = [
    "BoWTextFeaturizer",
    "CLIPFeaturizer",
    "ContrastiveFeaturizer",
    "CrossModalFeaturizer",
    "PatchFeaturizer",
    "clear_features",
    "list_features",
    "transform_partitions",
]
