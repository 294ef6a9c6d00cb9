"""Newcombe's interval of every pair at once is that of each pair."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.statistics.intervals import newcombe
from benchmarks.statistics.pair_intervals import newcombe_pairs

SCORES = st.integers(1, 4).flatmap(
    lambda v: st.lists(st.lists(st.integers(0, 1), min_size=v, max_size=v), min_size=1, max_size=40)
)


@given(SCORES, st.sampled_from([0.9, 0.95]))
def test_all_pairs_are_what_single_ones_are(rows, confidence):
    scores = np.array(rows, float)
    low, high = newcombe_pairs(scores, confidence)
    for i in range(scores.shape[1]):
        for j in range(scores.shape[1]):
            expected = newcombe(scores[:, i], scores[:, j], confidence)
            np.testing.assert_allclose((low[i, j], high[i, j]), expected, atol=1e-12)


def test_swapping_a_pair_mirrors_its_interval():
    scores = np.random.default_rng(0).integers(0, 2, (200, 6)).astype(float)
    low, high = newcombe_pairs(scores)
    np.testing.assert_allclose(low, -high.T, atol=1e-12)
