"""Pictograms."""
