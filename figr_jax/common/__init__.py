"""Helpers that all parts use; none is about the algorithm."""
