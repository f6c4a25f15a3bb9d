"""Metrics of retrieval by codes."""

from .._ranking.scorer import RetrievalScorer
from ._average_precision import average_precision, mean_average_precision
from ._bootstrap import bootstrap_interval
from ._curves import precision_recall_by_radius, precision_recall_by_rank, precision_within_radius
from ._display_code import CodeDisplay
from ._display_curve import RetrievalCurveDisplay
from ._display_retrieval import RetrievalDisplay
from ._display_search import HasherSearchDisplay
from ._hits import hit_rate_at_k, precision_at_k, recall_at_k
from ._ndcg import ndcg_at_k
from ._report import retrieval_report

__all__ = [
    "CodeDisplay",
    "HasherSearchDisplay",
    "RetrievalCurveDisplay",
    "RetrievalDisplay",
    "RetrievalScorer",
    "average_precision",
    "bootstrap_interval",
    "hit_rate_at_k",
    "mean_average_precision",
    "ndcg_at_k",
    "precision_at_k",
    "precision_recall_by_radius",
    "precision_recall_by_rank",
    "precision_within_radius",
    "recall_at_k",
    "retrieval_report",
]
