"""Checkpoint folders: where they come from, what is in them, and digests of their content."""
