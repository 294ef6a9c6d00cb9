"""Checkpoint folders: find or download them, read their tensors, digest their content."""
