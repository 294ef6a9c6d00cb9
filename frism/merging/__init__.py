"""Merged tensors, piece by piece, and the checkpoint folders that they are written to."""
