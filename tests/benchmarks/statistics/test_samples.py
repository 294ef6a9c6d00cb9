"""pass@k and majority@k against enumeration and closed forms, variances and intervals by simulation."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from benchmarks.statistics.intervals import cluster_intervals
from benchmarks.statistics.paired_tests import flip_units, sign_flip
from benchmarks.statistics.samples import find_win_chances, majority_at_k, pass_at_k, split_variance


@given(st.lists(st.booleans(), min_size=1, max_size=8))
def test_pass_at_k_is_the_share_of_subsets_with_a_right_sample(right: list[bool]) -> None:
    n = len(right)
    expected = [np.mean([any(subset) for subset in combinations(right, k)]) for k in range(1, n + 1)]
    assert pass_at_k([sum(right)], n)[0] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("chance", [0.03, 0.4, 0.9])
def test_pass_at_k_is_unbiased(chance: float) -> None:
    """Its expectation over binomial counts is the closed form 1 - (1 - p)^k, for every k."""
    n = 12
    expected = binom.pmf(np.arange(n + 1), n, chance) @ pass_at_k(np.arange(n + 1), n)
    assert expected == pytest.approx(1 - (1 - chance) ** np.arange(1, n + 1), abs=1e-12)


def test_more_right_samples_than_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="more right samples"):
        pass_at_k([5], 4)


VOTES = st.lists(st.sampled_from(["a", "b", "c", "d", None]), min_size=1, max_size=7)


@given(VOTES, st.sampled_from("abcd"))
def test_majority_is_the_mean_over_subsets_and_ties(votes: list[str | None], truth: str) -> None:
    n = len(votes)
    expected = []
    for k in range(1, n + 1):
        scores = []
        for subset in combinations(votes, k):
            counts = {vote: subset.count(vote) for vote in subset if vote is not None}
            best = [vote for vote, count in counts.items() if count == max(counts.values())]
            scores.append(best.count(truth) / len(best) if best else 0.0)
        expected.append(np.mean(scores))
    correct = [[float(vote == truth) for vote in votes]]
    assert majority_at_k([votes], correct)[0] == pytest.approx(expected, abs=1e-12)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=5), st.integers(0, 4))
def test_somebody_wins_unless_all_are_silent(counts: list[int], silent: int) -> None:
    total = sum(counts) + silent
    chances = find_win_chances(tuple(counts), silent)
    drawn_silent = [np.prod([(silent - i) / (total - i) for i in range(k)]) for k in range(1, total + 1)]
    assert chances.sum(axis=0) == pytest.approx(1 - np.array(drawn_silent), abs=1e-12)


def test_majority_of_one_is_the_mean_and_of_agreeing_samples_theirs() -> None:
    correct = np.array([[1.0, 0.0, 0.0, 1.0], [0.3, 0.3, 0.3, 0.3]])
    found = majority_at_k([[0, 1, 1, 0], [0, 0, 0, 0]], correct)
    assert found[:, 0] == pytest.approx([0.5, 0.3])
    assert found[1] == pytest.approx([0.3] * 4)
    assert found[0, 3] == 0.5  # a tie of two and two


def test_variances_are_those_that_answers_were_drawn_with() -> None:
    rng = np.random.default_rng(3)
    chance = rng.beta(2, 3, 40_000)
    correct = rng.random((40_000, 4)) < chance[:, None]
    within, between = split_variance(correct)
    assert within == pytest.approx((chance * (1 - chance)).mean(), rel=0.02)
    assert between == pytest.approx(0.04, rel=0.03)  # of Beta(2, 3)
    assert np.isnan(split_variance(correct[:, :1])).all()


def test_intervals_of_sampled_scores_cover_and_those_of_single_answers_do_not() -> None:
    """Clustered by question: 95 % intervals of avg@k and pass@k hold the true value about as often."""
    rng = np.random.default_rng(11)
    studies, questions, samples = 400, 80, 4
    # The true means, over the population of questions.
    population = rng.beta(0.6, 0.6, 400_000)
    truth = [population.mean(), (1 - (1 - population) ** samples).mean()]
    hits, naive = np.zeros(2), 0
    for study in range(studies):
        chance = rng.beta(0.6, 0.6, questions)
        correct = rng.random((questions, samples)) < chance[:, None]
        each = np.column_stack([correct.mean(axis=1), pass_at_k(correct.sum(axis=1), samples)[:, -1]])
        limits = cluster_intervals(each, np.arange(questions), resamples=300, seed=study)
        hits += [low <= value <= high for (low, high), value in zip(limits, truth, strict=True)]
        width = 1.96 * np.sqrt(correct.mean() * (1 - correct.mean()) / correct.size)
        naive += abs(correct.mean() - truth[0]) <= width
    assert ((hits / studies > 0.91) & (hits / studies < 0.975)).all(), hits / studies
    assert naive / studies < 0.85, "samples of one question are no independent questions"


def test_paired_tests_of_means_keep_their_level_and_find_more_than_signs() -> None:
    rng = np.random.default_rng(5)
    samples, p_null, found, by_sign = 4, [], 0, 0
    for _ in range(400):
        chance = rng.beta(0.8, 0.8, 60)
        a, b = ((rng.random((60, samples)) < chance[:, None]).mean(axis=1) for _ in "ab")
        p_null.append(sign_flip(flip_units([a - b], [None], samples)))
        better = (rng.random((60, samples)) < np.clip(chance + 0.08, 0, 1)[:, None]).mean(axis=1)
        found += sign_flip(flip_units([better - a], [None], samples)) < 0.05
        by_sign += sign_flip(flip_units([better - a], [None])) < 0.05
    assert np.mean(np.array(p_null) < 0.05) < 0.08
    assert found > by_sign
    # One sample is the test that there was.
    change = [np.array([1.0, -1.0, 0.0, 1.0])]
    assert sign_flip(flip_units(change, [None], 1)) == sign_flip(flip_units(change, [None]))
