"""What the statistics promise, by simulation: power for a planted effect, errors over a whole grid."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq
from scipy.stats import binom, binomtest

from benchmarks.statistics.comparison import Stratum, compare_pairs, detectable_difference
from benchmarks.statistics.paired_tests import Changes, mcnemar, non_inferiority
from benchmarks.tables import comparisons, pareto, ties
from benchmarks.tables.score_matrix import ScoreMatrix
from tests.support.studies import study_of

LEVEL = 0.05
# The share of flips at which the tables state 0.03 as detectable with 1000 questions: about 0.115.
FLIPPED = brentq(lambda share: detectable_difference(1000, share) - 0.03, 0.05, 0.3)


def at_most(errors, trials, rate):
    """Whether so many errors are no evidence (at one in a thousand) of a rate above `rate`."""
    return binomtest(errors, trials, rate, alternative="greater").pvalue > 1e-3


def power_of_mcnemar(n, difference, discordance):
    """Exact power: over the number of flips, and over how many of them are gains."""
    flips = np.arange(n + 1)
    chance = (discordance + difference) / (2 * discordance)
    total = 0.0
    for m, weight in zip(flips, binom.pmf(flips, n, discordance), strict=True):
        if weight > 1e-12:
            gained = np.arange(m + 1)
            total += weight * binom.pmf(gained, m, chance)[mcnemar(gained, m - gained) < LEVEL].sum()
    return total


def study(variants, benchmarks, resamples=100):
    names = ["vlm", *(f"v{i}" for i in range(1, variants))]
    settings = {
        "benchmarks": benchmarks,
        "variants": {v: {"method": "vlm" if v == "vlm" else "inject"} for v in names},
        "statistics": {"resamples": resamples},
    }
    return study_of(settings)


def grid(own, n, rng, clusters=0):
    """Answers of variants that differ by chance alone; of `clusters` questions that flip together."""
    variants, frames, codes = list(own.variants), {}, {}
    for benchmark in own.benchmarks:
        groups = n // clusters if clusters else n
        chance = rng.beta(1.2, 0.6, groups)
        draws = rng.random((groups, len(variants))) < chance[:, None]
        if clusters:  # nine of ten answers of a cluster go the same way
            draws = draws.repeat(clusters, axis=0)
            noise = rng.random(draws.shape) < chance.repeat(clusters)[:, None]
            draws = np.where(rng.random(draws.shape) < 0.1, noise, draws)
        frames[benchmark] = pd.DataFrame(draws.astype(float), columns=variants)
        codes[benchmark] = np.repeat(np.arange(groups), clusters) if clusters else None
    headings = {b: "perception" if i % 2 else "reasoning" for i, b in enumerate(own.benchmarks)}
    return ScoreMatrix(frames, codes, headings)


def test_stated_power_of_a_planted_effect():
    n, difference = 1000, 0.03
    exact = power_of_mcnemar(n, difference, FLIPPED)
    assert 0.77 < exact < 0.8  # stated: about 0.8, by the normal law; the exact test finds a little less
    rng, trials = np.random.default_rng(0), 1500
    up, down = (FLIPPED + difference) / 2, (FLIPPED - difference) / 2
    flips = rng.multinomial(n, [up, down, 1 - up - down], size=trials)
    found = int((mcnemar(flips[:, 0], flips[:, 1]) < LEVEL).sum())
    assert binomtest(found, trials, exact).pvalue > 1e-3


@pytest.mark.slow
def test_planted_effect_through_the_whole_comparison():
    rng, trials, found, covered, stated = np.random.default_rng(1), 300, 0, 0, []
    up, down = (FLIPPED + 0.03) / 2, (FLIPPED - 0.03) / 2
    for i in range(trials):
        both, gained, lost, neither = rng.multinomial(1000, [0.6, up, down, 0.4 - up - down])
        a = np.r_[np.ones(both + gained), np.zeros(lost + neither)]
        b = np.r_[np.ones(both), np.zeros(gained), np.ones(lost), np.zeros(neither)]
        result = compare_pairs([Stratum(a, b)], resamples=100, seed=i)
        found += result.p < LEVEL
        covered += result.difference_interval[0] <= 0.03 <= result.difference_interval[1]
        stated.append(result.detectable)
    assert binomtest(found, trials, power_of_mcnemar(1000, 0.03, FLIPPED)).pvalue > 1e-3
    assert np.mean(stated) == pytest.approx(0.03, abs=0.001)
    assert at_most(trials - covered, trials, 0.06)


@pytest.mark.slow
@pytest.mark.parametrize("clusters", [0, 5])
def test_nothing_to_find_in_a_whole_grid(clusters):
    own = study(10, [f"b{i}" for i in range(6)])
    rng, trials = np.random.default_rng(2), 300
    errors = dict.fromkeys(("benchmarks", "axes", "tied", "naive"), 0)
    for _ in range(trials):
        answers = grid(own, 200, rng, clusters)
        alone = ScoreMatrix(answers.correct, dict.fromkeys(answers.correct), answers.headings)
        errors["benchmarks"] += (comparisons.build_benchmark_rows(own, answers)["p_holm"] < LEVEL).any()
        errors["axes"] += (comparisons.build_axis_rows(own, answers)["p_holm"] < LEVEL).any()
        tied = ties.build_tied_rows(own, answers)
        errors["tied"] += bool(tied.loc[tied["over"] == "group", "better_than"].any())
        errors["naive"] += (comparisons.build_axis_rows(own, alone)["p_holm"] < LEVEL).any()
    for table in ("benchmarks", "axes", "tied"):
        assert at_most(errors[table], trials, LEVEL), (table, errors)
    if clusters:  # the same answers taken for independent ones: the reason for clusters
        assert errors["naive"] / trials > 0.15


@pytest.mark.parametrize(
    ("n", "losses"), [(100, [0.02]), (400, [0.02]), (300, [0.02] * 5), (300, [0.1, 0, 0, 0, 0])]
)
def test_a_loss_of_the_margin_is_rarely_called_kept(n, losses):
    rng, trials = np.random.default_rng(3), 4000
    kept = 0
    for _ in range(trials):
        flips = [rng.multinomial(n, [0.01, 0.01 + loss, 0.98 - loss]) for loss in losses]
        kept += non_inferiority([Changes(f[0], f[1], n) for f in flips], 0.02) < LEVEL
    assert 0.6 * LEVEL < kept / trials < 1.25 * LEVEL


def test_a_small_loss_is_called_kept_with_enough_questions():
    rng, trials, kept = np.random.default_rng(4), 500, 0
    for _ in range(trials):
        flips = [rng.multinomial(300, [0.01, 0.012, 0.978]) for _ in range(5)]
        kept += non_inferiority([Changes(f[0], f[1], 300) for f in flips], 0.02) < LEVEL
    assert kept / trials > 0.95


@pytest.mark.slow
def test_no_variant_is_wrongly_called_kept_more_often_than_stated():
    own = study(8, ["p0", "p1", "p2", "r"], resamples=100)
    rng, trials, errors = np.random.default_rng(5), 200, 0
    for _ in range(trials):
        frames = {}
        for b in own.benchmarks:
            reference = rng.random(300) < 0.95
            lost = rng.random((300, 7)) < 0.03
            gained = rng.random((300, 7)) < 0.01
            others = np.where(reference[:, None], ~lost, gained) if b != "r" else rng.random((300, 7)) < 0.5
            scores = np.column_stack([reference, others]).astype(float)
            frames[b] = pd.DataFrame(scores, columns=list(own.variants))
        headings = {b: "reasoning" if b == "r" else "perception" for b in frames}
        rows = pareto.build_pareto_rows(own, ScoreMatrix(frames, dict.fromkeys(frames), headings))
        # True loss: 0.95 * 0.03 - 0.05 * 0.01 = 0.028, beyond the margin of 0.02 for every variant.
        errors += (rows["p_holm"] < LEVEL).any()
    assert at_most(errors, trials, LEVEL)
