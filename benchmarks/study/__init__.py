"""Describe a study: its config as typed models, and the files that its stages leave."""
