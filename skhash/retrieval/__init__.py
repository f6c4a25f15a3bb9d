"""From codes to neighbours: exact search in Hamming space."""

from ._hamming import HammingRetriever
from ._milvus import from_milvus, to_milvus

__all__ = ["HammingRetriever", "from_milvus", "to_milvus"]
