"""Commands for people: what no rule of the workflow calls."""
