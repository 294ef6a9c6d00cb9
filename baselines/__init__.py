"""Merging methods to compare with: one file each, found by its name, its signature its parameters."""
