"""Triples of B, V and R: architectures, how their tensors correspond, whether they belong together."""
