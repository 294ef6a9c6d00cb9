"""Compute intervals and paired tests on per-question scores."""
