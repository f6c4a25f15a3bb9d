"""Checks of what users give, and its conversion into one form."""
