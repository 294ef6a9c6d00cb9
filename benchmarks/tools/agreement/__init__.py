"""Measure how far our scores agree with reference judgements of recorded outputs."""
