"""Neighbours to numbers: how good a ranking by codes is."""

from skhash._scorer import RetrievalScorer
from skhash.metrics._average_precision import average_precision, mean_average_precision

__all__ = ["RetrievalScorer", "average_precision", "mean_average_precision"]
