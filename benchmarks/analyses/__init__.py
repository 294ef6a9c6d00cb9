"""Analyses of why a merge works: one file each, found by name (`benchmarks.analyses.measuring.discovery`)."""
