"""Tabulate which kind of triple a study has: does V need its tau_V, and what did R forget?

A first experiment with few triples found that these two go with a steep trade-off, where norms and cosines
do not (docs/population.md asks again, with more). V's tower on B's language model (`put_back`) says the
first; B's and R's answers in words, or behind V's tower, the second.
"""

import math
from collections.abc import Iterator
from typing import Any

import pandas as pd

from benchmarks.registry.lookup import find
from benchmarks.study.config import StudyConfig
from benchmarks.tables.cells import list_names, make_columns, make_estimate
from benchmarks.tables.comparisons import add_holm
from benchmarks.tables.score_matrix import ScoreMatrix

NEEDED = 0.1  # of the questions: a loss that is a matter of abilities, not of a few questions
METHOD = "put_back"
VISION, WORDS, TOWER = "V needs its change", "R forgot, in words", "R forgot, behind V's tower"
COLUMNS = (
    *make_columns("name", "question", "group"),
    *make_columns("count", "n"),
    *make_estimate("whole"),
    *make_estimate("without"),
    *make_estimate("difference"),
    *make_columns("p", "p", "p_holm"),
    *make_columns("name", "verdict"),
)


def build_cell_rows(study: StudyConfig, answers: ScoreMatrix, words: ScoreMatrix) -> pd.DataFrame:
    """Build a row per question and group of benchmarks; empty without a variant of `put_back`.

    Args:
        answers: of the variants, on pictures. words: of B and R, if they answered any.
    """
    back = {
        variant.params.get("of", "base"): name
        for name, variant in study.variants.items()
        if variant.method == METHOD
    }
    if not back:
        return pd.DataFrame(columns=list_names(COLUMNS))
    rows: list[dict[str, Any]] = []
    if "base" in back:
        rows += _compare(study, answers, VISION, study.reference, back["base"], answers.by_heading())
    if words.correct:
        groups: dict[str, list[str]] = {}
        for entry in study.text:
            definition = find(entry)
            groups.setdefault(definition.group, []).append(definition.name)
        rows += _compare(study, words, WORDS, "base", "lrm", groups)
    if {"base", "lrm"} <= back.keys():
        rows += _compare(study, answers, TOWER, back["base"], back["lrm"], answers.by_heading())
    return add_holm(rows).reindex(columns=list_names(COLUMNS))


def judge(low: float, high: float, bound: float = NEEDED) -> str:
    """Say what an interval of a loss says of it: above the bound, below it, or neither."""
    if math.isnan(low):
        return "unclear"
    return "yes" if low > bound else "no" if high < bound else "unclear"


def _compare(
    study: StudyConfig,
    answers: ScoreMatrix,
    question: str,
    whole: str,
    without: str,
    groups: dict[str, list[str]],
) -> Iterator[dict[str, Any]]:
    for group, benchmarks in groups.items():
        if {whole, without} - set(answers.correct[benchmarks[0]].columns):
            continue
        compared = answers.compare(study, whole, without, benchmarks, f"cell {question} {group}")
        score, ends = answers.mean(study, without, benchmarks)
        low, high = compared.difference_interval
        yield {
            "question": question, "group": group, "n": compared.n,
            "whole": compared.score, "whole_low": compared.score_interval[0],
            "whole_high": compared.score_interval[1],
            "without": score, "without_low": ends[0], "without_high": ends[1],
            "difference": compared.difference, "difference_low": low, "difference_high": high,
            "p": compared.p, "verdict": judge(low, high),
        }  # fmt: skip
