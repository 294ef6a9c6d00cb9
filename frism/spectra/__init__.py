"""Spectra of a task vector: singular directions per matrix, how they are computed and stored."""
