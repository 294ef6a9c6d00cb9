"""Signs and ranks of few triples: exact values, and what so few can show at all."""

import math
from itertools import permutations

import numpy as np
import pytest
from scipy.stats import binomtest, spearmanr

from benchmarks.statistics.rank_correlation import correlate_ranks
from benchmarks.statistics.sign_test import compare_signs, count_needed, find_power, find_two_sided_p


@pytest.mark.parametrize("n", range(1, 13))
def test_p_is_the_exact_binomial_test(n):
    for above in range(n + 1):
        assert find_two_sided_p(above, n) == pytest.approx(binomtest(above, n).pvalue)


def test_three_bases_can_show_nothing_by_signs_and_six_can():
    found = compare_signs([0.1, 0.2, 0.3])
    assert found.p == found.smallest_p == 0.25 and found.power == 0
    assert count_needed() == 6 and compare_signs([0.1] * 6).smallest_p < 0.05 < compare_signs([0.1] * 5).p


def test_power_is_the_share_of_experiments_that_find_it():
    rng = np.random.default_rng(0)
    above = rng.binomial(12, 0.9, 4000)
    found = np.mean([find_two_sided_p(int(k), 12) < 0.05 for k in above])
    assert find_power(12) == pytest.approx(found, abs=0.02)
    assert find_power(5) == 0 < find_power(6) == pytest.approx(0.9**6 + 0.1**6)


def test_zeros_are_no_signs():
    found = compare_signs([0.1, 0.0, -0.2, 0.3])
    assert (found.above, found.n) == (2, 3)
    assert compare_signs([0.0, 0.0]).p == 1


def test_rho_is_spearmans_with_an_interval_around_it():
    x, y = [1, 2, 3, 4, 5, 6, 7, 8], [2, 1, 4, 3, 6, 5, 8, 7]
    found = correlate_ranks(x, y, ["a"] * 4 + ["b"] * 4)
    assert found.rho == pytest.approx(spearmanr(x, y).statistic) and found.n == 8
    low, high = found.interval
    assert -1 < low < found.rho < high < 1
    assert found.within == pytest.approx(0.6) and found.bases == 2
    # Two bases whose ranks agree by chance are no proof: the interval is that of rhos without a relation.
    reach = 1.96 / math.sqrt(3) / math.sqrt(2)
    assert found.within_interval == (pytest.approx(0.6 - reach, abs=1e-3), 1.0)


def test_the_interval_of_rho_covers():
    """Bonett and Wright's, of independent triples: rank correlations of normal pairs of known correlation."""
    rng, hits, count = np.random.default_rng(1), 0, 600
    truth = 6 / math.pi * math.asin(0.6 / 2)  # Spearman's rho of a normal pair with correlation .6
    for _ in range(count):
        a = rng.normal(size=16)
        b = 0.6 * a + 0.8 * rng.normal(size=16)
        low, high = correlate_ranks(a, b, ["a"] * 16).interval
        hits += low <= truth <= high
    assert 0.92 <= hits / count <= 0.98


def test_a_relation_between_bases_is_none_within_them():
    bases = ["a"] * 4 + ["b"] * 4 + ["c"] * 4
    rng = np.random.default_rng(2)
    level = np.repeat([0.0, 10.0, 20.0], 4)
    found = correlate_ranks(level + rng.normal(size=12), level + rng.normal(size=12), bases)
    assert found.rho > 0.7 and found.interval[0] > 0
    assert found.within_interval[0] < 0 < found.within_interval[1]


def test_too_few_constant_and_missing_values_give_no_number():
    assert math.isnan(correlate_ranks([1, 2, 3], [1, 2, 3], ["a"] * 3).rho)
    assert math.isnan(correlate_ranks([1, 1, 1, 1], [1, 2, 3, 4], ["a"] * 4).rho)
    known = correlate_ranks([1, 2, math.nan, 4, 5], [1, 2, 3, 4, math.nan], ["a"] * 5)
    assert known.n == 3 and math.isnan(known.rho)


def test_every_order_of_four_gives_a_rho_within_its_interval():
    for order in permutations(range(4)):
        found = correlate_ranks([0, 1, 2, 3], order, ["a"] * 4)
        assert found.interval[0] <= found.rho <= found.interval[1]
