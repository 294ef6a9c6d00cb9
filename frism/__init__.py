"""Reasoning injection: merge a text-only reasoning model into the vision-language model of the same base."""

__version__ = "0.1.0"
