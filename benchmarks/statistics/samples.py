"""Estimate from several samples per question: pass@k, majority@k, variance within and between questions."""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from math import comb

import numpy as np
from numpy.typing import ArrayLike

from benchmarks.statistics.intervals import Floats


def pass_at_k(right: ArrayLike, samples: int) -> Floats:
    """Estimate the chance that at least one of k samples is right, for k = 1 to `samples`: (n, samples).

    1 - C(samples - right, k) / C(samples, k), unbiased for every k (Chen et al. 2021, arXiv 2107.03374).

    Args:
        right: numbers of right samples (n,), each of `samples`.
    """
    wrong = samples - np.asarray(right, int)
    if wrong.size and not ((wrong >= 0) & (wrong <= samples)).all():
        raise ValueError(f"more right samples than the {samples} there are")
    by_wrong = np.array(
        [[1 - comb(w, k) / comb(samples, k) for k in range(1, samples + 1)] for w in range(samples + 1)]
    )
    return np.asarray(by_wrong[wrong])


def majority_at_k(votes: Sequence[Sequence[object]], correct: ArrayLike) -> Floats:
    """Estimate the score of the answer that most of k samples give, for k = 1 to samples: (n, samples).

    It is the mean over all subsets of k samples, and over the ways to break ties evenly, so nothing is drawn;
    the order of the samples does not count. A sample without an answer (None) gives no vote; a subset without
    any scores 0.

    Args:
        votes: per question and sample what it says; equal votes are one answer.
        correct: scores (n, samples); samples of one vote score its mean.
    """
    scores = np.asarray(correct, float)
    result = np.zeros(scores.shape)
    for row, (question, own) in enumerate(zip(votes, scores, strict=True)):
        counts = Counter(vote for vote in question if vote is not None)
        means = [
            float(np.mean([s for s, v in zip(own, question, strict=True) if v == kind])) for kind in counts
        ]
        silent = len(question) - sum(counts.values())
        wins = find_win_chances(tuple(counts.values()), silent)
        result[row] = np.asarray(means) @ wins if means else 0.0
    return result


@lru_cache(maxsize=65536)
def find_win_chances(counts: tuple[int, ...], silent: int = 0) -> Floats:
    """Find each answer's chance to win a vote among k of the samples, for k = 1 to all: (answers, samples).

    `counts` says how many samples give each answer, `silent` how many give none. Exact: subsets are counted
    by the winner's votes, the others' total and how many tie with the winner, who then wins one in so many.
    """
    total = sum(counts) + silent
    subsets = np.array([float(comb(total, k)) for k in range(1, total + 1)])
    chances = np.zeros((len(counts), total))
    found: dict[int, Floats] = {}
    for place, own in enumerate(counts):
        if own not in found:
            others = [*counts[:place], *counts[place + 1 :]]
            won = np.zeros(total)
            for most in range(1, own + 1):
                for (drawn, tied), ways in _count_draws(others, silent, most).items():
                    won[most + drawn - 1] += comb(own, most) * ways / (1 + tied)
            found[own] = won / subsets
        chances[place] = found[own]
    return chances


def _count_draws(counts: Sequence[int], silent: int, most: int) -> dict[tuple[int, int], int]:
    """Count the ways to draw samples of other answers, none more often than `most`, by (total, tied)."""
    ways = {(drawn, 0): comb(silent, drawn) for drawn in range(silent + 1)}
    for count in counts:
        following: Counter[tuple[int, int]] = Counter()
        for (drawn, tied), number in ways.items():
            for taken in range(min(count, most) + 1):
                following[drawn + taken, tied + (taken == most)] += number * comb(count, taken)
        ways = following
    return ways


def split_variance(correct: ArrayLike) -> tuple[float, float]:
    """Split the variance of scores (n, samples) into that within and that between questions.

    Within: the mean over questions of the samples' unbiased variance, nan for one sample. Between: that of
    the questions' true means, unbiased (one-way random effects: the variance of the observed means less
    within / samples), not below 0; nan for one question.
    """
    scores = np.asarray(correct, float)
    n, samples = scores.shape
    within = float(scores.var(axis=1, ddof=1).mean()) if samples > 1 else float("nan")
    if n < 2 or samples < 2:
        return within, float("nan")
    return within, max(float(scores.mean(axis=1).var(ddof=1)) - within / samples, 0.0)
