"""Two variants compared: hand-computed cases, clusters, groups, and properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.statistics.comparison import Stratum, compare_pairs, detectable_difference, effective_size
from benchmarks.statistics.intervals import newcombe, score_interval
from benchmarks.statistics.paired_tests import mcnemar, sign_flip
from tests.support.paired_tables import binary, table


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


def test_paired_by_hand():
    a, b = table(20, 12, 2, 16)
    result = compare_pairs([Stratum(a, b)])
    assert (result.n, result.gained, result.lost) == (50, 12, 2)
    assert (result.score, result.reference, result.difference) == pytest.approx((0.64, 0.44, 0.2))
    assert result.p == pytest.approx(mcnemar(12, 2))
    assert result.retention == pytest.approx(0.64 / 0.44)
    assert result.difference_interval == newcombe(a, b)


def test_paired_weighs_benchmarks_alike():
    big, small = Stratum(np.ones(300), np.ones(300)), Stratum(np.ones(100), np.zeros(100))
    result = compare_pairs([big, small])
    assert result.difference == 0.5 and result.score == 1.0 and result.p < 1e-20


def test_paired_bootstrap_covers_over_benchmarks():
    rng, hits, trials = np.random.default_rng(4), 0, 200
    for i in range(trials):
        strata = [Stratum(*table(*rng.multinomial(100, [0.5, 0.2, 0.1, 0.2]))) for _ in range(3)]
        low, high = compare_pairs(strata, resamples=400, seed=i).difference_interval
        hits += low <= 0.1 <= high
    assert 0.90 <= hits / trials <= 0.99


@settings(max_examples=25, deadline=None)
@given(binary, st.randoms(use_true_random=False))
def test_paired_mirrors_repeats_and_ignores_order(pair, random):
    a, b = pair
    order = list(range(len(a)))
    random.shuffle(order)
    strata, shuffled = [Stratum(a, b)] * 2, [Stratum(a[order], b[order])] * 2
    once, again = (
        compare_pairs(strata, resamples=200, key="x"),
        compare_pairs(shuffled, resamples=200, key="x"),
    )
    assert once.difference_interval == again.difference_interval and once.p == again.p
    mirrored = compare_pairs([Stratum(b, a)] * 2, resamples=200, key="x")
    assert mirrored.difference == pytest.approx(-once.difference)
    assert (mirrored.gained, mirrored.lost, mirrored.p) == (once.lost, once.gained, once.p)
    low, high = once.difference_interval
    assert low - 1e-9 <= high


def test_fractional_scores_take_the_sign_test_and_the_bootstrap():
    rng = np.random.default_rng(5)
    b = rng.random(60)
    a = np.clip(b + 0.1, 0, 1)
    result = compare_pairs([Stratum(a, b)], resamples=300)
    assert result.gained == 60 and result.p == pytest.approx(2 / 2**60)
    assert 0.05 < result.difference_interval[0] <= result.difference <= result.difference_interval[1]


def test_no_retention_of_nothing():
    result = compare_pairs([Stratum(np.ones(5), np.zeros(5))])
    assert np.isnan(result.retention) and np.isnan(result.retention_interval).all()


def test_unpaired_scores_are_refused():
    with pytest.raises(ValueError, match="paired scores"):
        Stratum(np.ones(3), np.ones(4))


def clustered(rng, groups=40, size=5):
    """Scores of two variants that rise or fall together within a cluster, and the clusters."""
    b = rng.integers(0, 2, groups).repeat(size)
    moved = rng.random(groups).repeat(size) < 0.3
    return np.where(moved, 1 - b, b).astype(float), b.astype(float), np.repeat(np.arange(groups), size)


def test_clusters_count_once():
    a, b, clusters = clustered(np.random.default_rng(6))
    alone, whole = compare_pairs([Stratum(a, b)]), compare_pairs([Stratum(a, b, clusters)])
    assert (alone.n, alone.gained, alone.difference) == (whole.n, whole.gained, whole.difference)
    # Every cluster moves as one question would: the test is McNemar's on clusters.
    assert whole.p == pytest.approx(mcnemar(whole.gained // 5, whole.lost // 5))
    assert whole.p > alone.p
    assert np.ptp(whole.difference_interval) > 1.5 * np.ptp(alone.difference_interval)
    assert whole.score_interval == score_interval(a, clusters)
    assert whole.detectable == pytest.approx(
        detectable_difference(200 / 5 * (39 / 40) / (199 / 200), float(((a - b) ** 2).mean())), rel=1e-6
    )


def test_clusters_without_a_flip_have_width():
    ones, clusters = np.ones(40), np.repeat(np.arange(10), 4)
    assert compare_pairs([Stratum(ones, ones, clusters)]).difference_interval == newcombe(
        np.ones(10), np.ones(10)
    )


def test_a_group_of_clustered_and_single_questions():
    a, b, clusters = clustered(np.random.default_rng(6))
    c, d = table(20, 12, 2, 166)
    result = compare_pairs([Stratum(a, b, clusters), Stratum(c, d)])
    sums = (a - b).reshape(-1, 5).sum(axis=1)
    assert result.p == pytest.approx(sign_flip(np.r_[sums, c - d]))
    assert result.difference == pytest.approx(((a - b).mean() + (c - d).mean()) / 2)


def test_effective_size():
    equal = [Stratum(*table(50, 10, 5, 35)), Stratum(*table(40, 20, 5, 35))]
    size, discordance = effective_size(equal)
    assert size == pytest.approx(200) and discordance == pytest.approx(0.2)
    # By hand: 100 and 400 questions of the same kind: 4 / (1/100 + 1/400).
    unequal = [Stratum(*table(50, 10, 5, 35)), Stratum(*table(200, 40, 20, 140))]
    assert effective_size(unequal)[0] == pytest.approx(320)
    nothing = [Stratum(np.ones(50), np.ones(50), np.repeat(np.arange(25), 2))]
    assert effective_size(nothing) == (25, 0)
