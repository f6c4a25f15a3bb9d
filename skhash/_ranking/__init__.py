"""Ranking by distance, with ties, and the scores of a ranking."""
