"""Make tables of what analyses scored: losses by block, their depth, and the papers' claims as tests."""
