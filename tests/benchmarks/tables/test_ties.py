"""Tied groups: letters share exactly what no test separates; all pairs get the tables' own test."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.statistics.comparison import compare_pairs
from benchmarks.statistics.paired_tests import holm
from benchmarks.tables.score_matrix import ScoreMatrix
from benchmarks.tables.ties import assign_letters, build_tied_rows, count_tests, pair_tests
from tests.support.studies import study_of

VARIANTS = ["vlm", "a", "b", "c"]
STUDY = study_of(
    {
        "benchmarks": ["p", "r"],
        "variants": {v: {"method": "vlm" if v == "vlm" else "inject"} for v in VARIANTS},
    }
)


def answers(scores, clusters=None):
    """Answers from {benchmark: (questions, variants) scores}, benchmark p perception and r reasoning."""
    frames = {b: pd.DataFrame(s, columns=VARIANTS) for b, s in scores.items()}
    codes = {b: (clusters or {}).get(b) for b in scores}
    return ScoreMatrix(frames, codes, {b: {"p": "perception"}.get(b, "reasoning") for b in scores})


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 9), st.randoms(use_true_random=False), st.floats(0, 1))
def test_letters_are_shared_by_whoever_does_not_differ(size, random, share):
    different = np.zeros((size, size), bool)
    for i, j in itertools.combinations(range(size), 2):
        different[i, j] = different[j, i] = random.random() < share
    groups = [set(text.split()) for text in assign_letters(different)]
    assert all(groups)
    for i, j in itertools.combinations(range(size), 2):
        assert bool(groups[i] & groups[j]) is not bool(different[i, j])
    members = {x: {k for k in range(size) if x in groups[k]} for x in set().union(*groups)}
    assert not any(a < b for a, b in itertools.permutations(members.values(), 2))


def test_letters_by_hand():
    different = np.zeros((4, 4), bool)
    for i, j in ((0, 2), (0, 3), (1, 3)):
        different[i, j] = different[j, i] = True
    assert assign_letters(different) == ["a", "a b", "b c", "c"]
    assert assign_letters(np.zeros((3, 3), bool)) == ["a", "a", "a"]
    everything = ~np.eye(30, dtype=bool)
    assert assign_letters(everything)[25:28] == ["z", "aa", "ab"]


@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize("sizes", [(80, 80), (80, 200)])
def test_pairs_get_the_test_of_the_other_tables(clustered, sizes):
    rng = np.random.default_rng(3)
    scores = {b: rng.integers(0, 2, (n, 4)).astype(float) for b, n in zip("pr", sizes, strict=True)}
    codes = {"p": rng.integers(0, 30, sizes[0])} if clustered else {}
    given_ = answers(scores, codes)
    found = pair_tests(given_, VARIANTS, ["p", "r"])
    assert np.isnan(np.diag(found)).all() and found == pytest.approx(found.T, nan_ok=True)
    for i, j in itertools.permutations(range(4), 2):
        strata = given_.strata(VARIANTS[i], VARIANTS[j], ["p", "r"])
        assert found[i, j] == pytest.approx(compare_pairs(strata, resamples=100).p, abs=1e-12)


def test_rows_separate_what_differs():
    base = np.tile([1.0, 0.0], 100)
    better = np.ones(200)
    p = np.column_stack([base, base, base, base])
    r = np.column_stack([base, better, base, better])
    r[0, 3] = 0
    rows = build_tied_rows(STUDY, answers({"p": p, "r": r}))
    assert count_tests(STUDY, answers({"p": p, "r": r})) == (12, 12)
    own = rows[(rows["over"] == "benchmark") & (rows["name"] == "r")].set_index("variant")
    assert list(own.index) == ["a", "c", "vlm", "b"]
    assert list(own["letters"]) == ["a", "a", "b", "b"]
    assert list(own["tied_with_best"]) == [True, True, False, False]
    assert list(own["better_than"]) == [2, 2, 0, 0] and list(own["worse_than"]) == [0, 0, 2, 2]
    tied = rows[(rows["over"] == "group") & (rows["name"] == "perception")]
    assert tied["tied_with_best"].all() and set(tied["letters"]) == {"a"}


def test_holm_runs_over_all_pairs_of_the_table():
    rng = np.random.default_rng(5)
    scores = {b: (rng.random((150, 4)) < [0.5, 0.55, 0.63, 0.7]).astype(float) for b in "pr"}
    given_ = answers(scores)
    upper = np.triu_indices(4, 1)
    p = np.concatenate([pair_tests(given_, VARIANTS, [b])[upper] for b in "pr"])
    adjusted = holm(p) < 0.05
    rows = build_tied_rows(STUDY, given_)
    shown = rows.loc[rows["over"] == "benchmark", "better_than"].sum()
    assert shown == adjusted.sum() and 0 < shown < (p < 0.05).sum() + 1
