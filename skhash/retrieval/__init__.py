"""From codes to neighbours: exact search in Hamming space."""

from ._hamming import HammingRetriever

__all__ = ["HammingRetriever"]
