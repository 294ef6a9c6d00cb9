"""Intervals and paired tests on per-question scores."""
