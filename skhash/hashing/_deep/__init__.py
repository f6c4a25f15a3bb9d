"""Hashers that train networks."""
