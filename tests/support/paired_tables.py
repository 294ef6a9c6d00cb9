"""Paired 0/1 scores from counts or from hypothesis: what the tests of statistics share."""

import numpy as np
from hypothesis import strategies as st

binary = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=80).map(
    lambda pairs: np.array(pairs, float).T
)


def table(both, only_a, only_b, neither):
    """Paired 0/1 scores with these four counts."""
    a = [1] * both + [1] * only_a + [0] * only_b + [0] * neither
    b = [1] * both + [0] * only_a + [1] * only_b + [0] * neither
    return np.array(a, float), np.array(b, float)
