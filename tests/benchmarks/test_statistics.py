"""Statistics against hand-computed cases, independent implementations, and properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from statsmodels.stats.contingency_tables import mcnemar as reference_mcnemar

from benchmarks.statistics import (
    Stratum,
    detectable_difference,
    generator,
    group_mean,
    holm,
    mcnemar,
    newcombe,
    paired,
    resampled_means,
    wilson,
)


def table(both, only_a, only_b, neither):
    """Paired 0/1 scores with these four counts."""
    a = [1] * both + [1] * only_a + [0] * only_b + [0] * neither
    b = [1] * both + [0] * only_a + [1] * only_b + [0] * neither
    return np.array(a, float), np.array(b, float)


binary = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=80).map(
    lambda pairs: np.array(pairs, float).T
)


def test_wilson_by_hand():
    # Wilson 1927 for 8 of 10: (p + z^2/2n -+ z sqrt(pq/n + z^2/4n^2)) / (1 + z^2/n).
    z = norm.ppf(0.975)
    scale = 1 + z * z / 10
    centre, half = (0.8 + z * z / 20) / scale, z / scale * np.sqrt(0.016 + z * z / 400)
    assert wilson(8, 10) == pytest.approx((centre - half, centre + half))
    assert wilson(0, 10)[0] == 0 and wilson(10, 10)[1] == 1


def test_newcombe_published_example():
    # Newcombe 1998, Stat. Med. 17:2635, the table 20, 12, 2, 16: method 10 gives 0.0562 to 0.3292.
    assert newcombe(*table(20, 12, 2, 16)) == pytest.approx((0.0562, 0.3292), abs=5e-5)


def test_newcombe_has_width_without_flips():
    low, high = newcombe(*table(380, 0, 0, 20))
    assert -0.02 < low < 0 < high < 0.02


@settings(max_examples=50, deadline=None)
@given(binary)
def test_newcombe_contains_the_difference_and_mirrors(pair):
    a, b = pair
    low, high = newcombe(a, b)
    assert -1 <= low <= a.mean() - b.mean() + 1e-9 and a.mean() - b.mean() - 1e-9 <= high <= 1
    assert newcombe(b, a) == pytest.approx((-high, -low), abs=1e-9)


def test_newcombe_covers():
    rng = np.random.default_rng(0)
    chances, hits, trials = [0.86, 0.08, 0.03, 0.03], 0, 600
    for _ in range(trials):
        low, high = newcombe(*table(*rng.multinomial(120, chances)))
        hits += low <= 0.05 <= high
    assert 0.92 <= hits / trials <= 0.985


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_statsmodels_exact(gained, lost):
    expected = reference_mcnemar([[5, gained], [lost, 5]], exact=True).pvalue if gained + lost else 1.0
    assert mcnemar(gained, lost) == pytest.approx(min(expected, 1.0))


def test_mcnemar_by_hand():
    assert mcnemar(5, 0) == pytest.approx(2 / 2**5)
    assert mcnemar(1, 5) == pytest.approx(2 * (1 + 6) / 2**6)


def test_holm_by_hand_and_without_tests():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    mixed = holm([np.nan, 0.01, 0.02])
    assert np.isnan(mixed[0]) and mixed[1:] == pytest.approx([0.02, 0.02])
    assert np.isnan(holm([np.nan])).all() and len(holm([])) == 0


def test_detectable_difference_has_its_power():
    n, discordance = 400, 0.1
    d = detectable_difference(n, discordance)
    rng = np.random.default_rng(1)
    up, down = (discordance + d) / 2, (discordance - d) / 2
    flips = rng.multinomial(n, [up, down, 1 - up - down], size=1500)
    power = np.mean([mcnemar(int(g), int(l)) < 0.05 for g, l, _ in flips])
    assert 0.72 <= power <= 0.84  # the exact test is a little conservative


@settings(max_examples=50, deadline=None)
@given(st.integers(5, 5000), st.floats(0, 1))
def test_detectable_difference_is_a_difference(n, discordance):
    d = detectable_difference(n, discordance)
    assert 0 < d <= 1 and detectable_difference(4 * n, discordance) <= d + 1e-12


def test_bootstrap_equals_drawing_indices():
    rng = np.random.default_rng(2)
    values = rng.integers(0, 2, (200, 2)).astype(float)
    fast = resampled_means(values, resamples=20000, rng=generator(0, "a"))
    indices = rng.integers(0, 200, (20000, 200))
    slow = values[indices].mean(axis=1)
    assert fast.mean(axis=0) == pytest.approx(slow.mean(axis=0), abs=0.002)
    assert fast.std(axis=0) == pytest.approx(slow.std(axis=0), rel=0.03)
    assert np.corrcoef(fast.T)[0, 1] == pytest.approx(np.corrcoef(slow.T)[0, 1], abs=0.03)


def test_clusters_widen_the_bootstrap():
    values = np.repeat(np.random.default_rng(3).integers(0, 2, 40), 5)[:, None]
    clusters = np.repeat(np.arange(40), 5)
    alone = resampled_means(values, resamples=4000, rng=generator(0)).std()
    whole = resampled_means(values, resamples=4000, rng=generator(0), clusters=clusters).std()
    assert whole / alone == pytest.approx(np.sqrt(5), rel=0.1)


def test_group_mean_of_one_is_wilson_and_of_many_narrower():
    mean, interval = group_mean([30], [40])
    assert mean == 0.75 and interval == pytest.approx(wilson(30, 40))
    many = group_mean([30] * 4, [40] * 4)[1]
    assert many[1] - many[0] == pytest.approx((interval[1] - interval[0]) / 2)


def test_paired_by_hand():
    a, b = table(20, 12, 2, 16)
    result = paired([Stratum(a, b)])
    assert (result.n, result.gained, result.lost) == (50, 12, 2)
    assert (result.score, result.reference, result.difference) == pytest.approx((0.64, 0.44, 0.2))
    assert result.p == pytest.approx(mcnemar(12, 2))
    assert result.retention == pytest.approx(0.64 / 0.44)
    assert result.difference_interval == newcombe(a, b)


def test_paired_weighs_benchmarks_alike():
    big, small = Stratum(np.ones(300), np.ones(300)), Stratum(np.ones(100), np.zeros(100))
    result = paired([big, small])
    assert result.difference == 0.5 and result.score == 1.0 and result.p < 1e-20


def test_paired_bootstrap_covers_over_benchmarks():
    rng, hits, trials = np.random.default_rng(4), 0, 200
    for i in range(trials):
        strata = [Stratum(*table(*rng.multinomial(100, [0.5, 0.2, 0.1, 0.2]))) for _ in range(3)]
        low, high = paired(strata, resamples=400, seed=i).difference_interval
        hits += low <= 0.1 <= high
    assert 0.90 <= hits / trials <= 0.99


@settings(max_examples=25, deadline=None)
@given(binary, st.randoms(use_true_random=False))
def test_paired_mirrors_repeats_and_ignores_order(pair, random):
    a, b = pair
    order = list(range(len(a)))
    random.shuffle(order)
    strata, shuffled = [Stratum(a, b)] * 2, [Stratum(a[order], b[order])] * 2
    once, again = paired(strata, resamples=200, key="x"), paired(shuffled, resamples=200, key="x")
    assert once.difference_interval == again.difference_interval and once.p == again.p
    mirrored = paired([Stratum(b, a)] * 2, resamples=200, key="x")
    assert mirrored.difference == pytest.approx(-once.difference)
    assert (mirrored.gained, mirrored.lost, mirrored.p) == (once.lost, once.gained, once.p)
    low, high = once.difference_interval
    assert low - 1e-9 <= high


def test_fractional_scores_take_the_sign_test_and_the_bootstrap():
    rng = np.random.default_rng(5)
    b = rng.random(60)
    a = np.clip(b + 0.1, 0, 1)
    result = paired([Stratum(a, b)], resamples=300)
    assert result.gained == 60 and result.p == pytest.approx(2 / 2**60)
    assert 0.05 < result.difference_interval[0] <= result.difference <= result.difference_interval[1]


def test_no_retention_of_nothing():
    result = paired([Stratum(np.ones(5), np.zeros(5))])
    assert np.isnan(result.retention) and np.isnan(result.retention_interval).all()


def test_unpaired_scores_are_refused():
    with pytest.raises(ValueError, match="paired scores"):
        Stratum(np.ones(3), np.ones(4))
