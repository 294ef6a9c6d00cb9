"""Describe what a study's gates learned: one file per table."""
