"""Neighbours to numbers: how good a ranking by codes is."""

from .._scorer import RetrievalScorer
from ._average_precision import average_precision, mean_average_precision

__all__ = ["RetrievalScorer", "average_precision", "mean_average_precision"]
