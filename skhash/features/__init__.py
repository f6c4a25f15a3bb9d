"""Pixels and words to vectors.

A featurizer turns raw images and texts into the columns ``image__*`` and ``text__*`` that the
hashers learn from. Importing this module loads neither torch, nor open_clip, nor Pillow: they are
imported by the first call that needs them.
"""

from skhash.features._bow import BoWTextFeaturizer
from skhash.features._clip import CLIPFeaturizer
from skhash.features._crossmodal import CrossModalFeaturizer
from skhash.features._patches import PatchFeaturizer

__all__ = ["BoWTextFeaturizer", "CLIPFeaturizer", "CrossModalFeaturizer", "PatchFeaturizer"]
