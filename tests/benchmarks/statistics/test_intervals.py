"""Intervals against hand-computed and published cases, independent implementations, and properties."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap, norm
from statsmodels.stats.proportion import proportion_confint

from benchmarks.statistics.intervals import (
    design_effect,
    group_mean,
    make_generator,
    mean_interval,
    newcombe,
    resample_means,
    score_interval,
    wilson,
)
from tests.support.paired_tables import binary, table


def test_wilson_by_hand_and_by_statsmodels():
    # Wilson 1927 for 8 of 10: (p + z^2/2n -+ z sqrt(pq/n + z^2/4n^2)) / (1 + z^2/n).
    z = norm.ppf(0.975)
    scale = 1 + z * z / 10
    centre, half = (0.8 + z * z / 20) / scale, z / scale * np.sqrt(0.016 + z * z / 400)
    assert wilson(8, 10) == pytest.approx((centre - half, centre + half), abs=1e-12)
    for correct, n in ((1, 7), (13, 40), (999, 1000)):
        assert wilson(correct, n) == pytest.approx(proportion_confint(correct, n, method="wilson"), abs=1e-12)
    assert wilson(0, 10)[0] == 0 and wilson(10, 10)[1] == 1


def test_newcombe_published_example():
    # Newcombe 1998, Stat. Med. 17:2635, the table 20, 12, 2, 16: method 10 gives 0.0562 to 0.3292.
    assert newcombe(*table(20, 12, 2, 16)) == pytest.approx((0.0562, 0.3292), abs=5e-5)


def test_newcombe_has_width_without_flips():
    low, high = newcombe(*table(380, 0, 0, 20))
    assert -0.02 < low < 0 < high < 0.02
    # Four dependent questions that count as one: the interval of a quarter of the questions.
    assert newcombe(*table(380, 0, 0, 20), worth=0.25) == pytest.approx(newcombe(*table(95, 0, 0, 5)))


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


def test_bootstrap_equals_drawing_indices():
    rng = np.random.default_rng(2)
    values = rng.integers(0, 2, (200, 2)).astype(float)
    fast = resample_means(values, resamples=20000, rng=make_generator(0, "a"))
    indices = rng.integers(0, 200, (20000, 200))
    slow = values[indices].mean(axis=1)
    assert fast.mean(axis=0) == pytest.approx(slow.mean(axis=0), abs=0.002)
    assert fast.std(axis=0) == pytest.approx(slow.std(axis=0), rel=0.03)
    assert np.corrcoef(fast.T)[0, 1] == pytest.approx(np.corrcoef(slow.T)[0, 1], abs=0.03)


def test_clusters_widen_the_bootstrap():
    values = np.repeat(np.random.default_rng(3).integers(0, 2, 40), 5)[:, None]
    clusters = np.repeat(np.arange(40), 5)
    alone = resample_means(values, resamples=4000, rng=make_generator(0)).std()
    whole = resample_means(values, resamples=4000, rng=make_generator(0), clusters=clusters).std()
    assert whole / alone == pytest.approx(np.sqrt(5), rel=0.1)


def test_cluster_bootstrap_is_scipys_over_clusters():
    # Clusters of equal size: drawing clusters is scipy's percentile bootstrap of the clusters' means.
    rng = np.random.default_rng(7)
    scores = rng.random((60, 4)) < rng.normal(0.6, 0.4, 60)[:, None]
    found = score_interval(scores.ravel().astype(float), np.repeat(np.arange(60), 4), resamples=20000)
    means = scores.mean(axis=1)
    expected = bootstrap((means,), np.mean, n_resamples=20000, method="percentile", rng=rng)
    assert found == pytest.approx(tuple(expected.confidence_interval), abs=0.006)


def test_clusters_of_equal_scores_count_once():
    ones = np.ones(40)
    assert score_interval(ones, np.repeat(np.arange(10), 4)) == pytest.approx(wilson(10, 10))
    assert score_interval(ones) == pytest.approx(wilson(40, 40))


def test_the_cluster_interval_covers():
    rng, hits, naive, trials = np.random.default_rng(8), 0, 0, 300
    for i in range(trials):
        chance = rng.beta(1.4, 0.6, 80)  # mean 0.7, answers of a cluster alike
        scores = (rng.random((80, 6)) < chance[:, None]).astype(float).ravel()
        low, high = score_interval(scores, np.repeat(np.arange(80), 6), resamples=500, seed=i)
        hits += low <= 0.7 <= high
        low, high = score_interval(scores)
        naive += low <= 0.7 <= high
    assert 0.90 <= hits / trials <= 0.985 and naive / trials < 0.85


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 12))
def test_design_effect_is_statsmodels_cluster_robust_variance(seed, groups):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, groups, 60)
    codes[:groups] = np.arange(groups)
    values = rng.integers(-1, 2, 60) + 0.5 * rng.normal(size=groups)[codes]
    plain = sm.OLS(values, np.ones(60))
    robust = plain.fit(cov_type="cluster", cov_kwds={"groups": codes, "use_correction": True})
    ratio = float((robust.bse[0] / plain.fit().bse[0]) ** 2)
    assert design_effect(values, codes) == pytest.approx(max(ratio, 1.0), abs=1e-10, rel=1e-10)


def test_design_effect_without_variance_counts_clusters():
    assert design_effect(np.zeros(12), np.repeat(np.arange(3), 4)) == pytest.approx(4)
    assert design_effect(np.zeros(12), None) == 1


def test_group_mean_of_one_is_wilson_and_of_many_narrower():
    mean, interval = group_mean([30], [40])
    assert mean == 0.75 and interval == pytest.approx(wilson(30, 40))
    many = group_mean([30] * 4, [40] * 4)[1]
    assert many[1] - many[0] == pytest.approx((interval[1] - interval[0]) / 2)


def test_mean_interval_by_hand():
    # Shares 0.5 and 0.7; distances below 0.1 and 0.2, above 0.1 and 0.1.
    mean, (low, high) = mean_interval([0.5, 0.7], [(0.4, 0.6), (0.5, 0.8)])
    assert (mean, low, high) == pytest.approx((0.6, 0.6 - np.sqrt(0.05) / 2, 0.6 + np.sqrt(0.02) / 2))


def test_order_does_not_matter():
    rng = np.random.default_rng(9)
    frame = pd.DataFrame({"score": rng.integers(0, 2, 90).astype(float), "cluster": rng.integers(0, 20, 90)})
    other = frame.sample(frac=1, random_state=1)
    first, second = (score_interval(f["score"], f["cluster"].to_numpy()) for f in (frame, other))
    assert first == second
