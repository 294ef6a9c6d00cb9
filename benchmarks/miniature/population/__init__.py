"""A population of triples: bases, and of each base several kinds of V and of R."""
