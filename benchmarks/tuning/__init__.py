"""Choose a variant's coefficients on dev: its grid, its fits, their scores."""
