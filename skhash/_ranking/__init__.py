"""Ranking by distance, with ties, and what is scored of it."""
