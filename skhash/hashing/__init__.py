"""Vectors to bits: estimators that learn short binary codes of images and texts from pairs."""

from ._cfrh import CFRHHasher

__all__ = ["CFRHHasher"]
