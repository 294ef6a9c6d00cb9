"""Define what a merging method is: its functions, its parameters, the recipe of a variant."""
