"""Bits to neighbours: exact search among codes."""

from ._hamming import HammingRetriever

__all__ = ["HammingRetriever"]
