"""Bits to neighbours: exact search among codes."""

from skhash.retrieval._hamming import HammingRetriever

__all__ = ["HammingRetriever"]
