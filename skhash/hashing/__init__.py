"""Vectors to bits: estimators that learn short binary codes of images and texts from pairs."""

from ._deep.cfrh import CFRHHasher

__all__ = ["CFRHHasher"]
