"""Engines: ways to turn a variant and items into predictions, with the interface of `benchmarks.engine`."""
