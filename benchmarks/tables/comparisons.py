"""Compare per-question scores: every variant with the VLM, and the contrasts that matter, as rows of numbers.

Each function returns one data frame with unformatted numbers; `benchmarks.stages.tables` writes them, in the
columns that stand beside the function.
"""

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.statistics.intervals import group_mean
from benchmarks.statistics.paired_tests import holm
from benchmarks.study.compared import Compared
from benchmarks.study.config import PARENTS, StudyConfig
from benchmarks.study.marks import STOCK_RULE
from benchmarks.study.results import serialise_params
from benchmarks.tables.cells import Column, Table, list_names, make_columns, make_estimate
from benchmarks.tables.score_matrix import ScoreMatrix

COMPARED = (
    *make_columns("count", "n"),
    *make_estimate("score", "low", "high"),
    *make_estimate("difference"),
    *make_columns("p", "p", "p_holm"),
    *make_columns("count", "gained", "lost"),
    *make_columns("share", "detectable"),
)
BENCHMARKS = (*make_columns("name", "variant", "benchmark", "group"), *COMPARED)
AXES = (
    *make_columns("name", "variant", "group"),
    *make_columns("count", "benchmarks"),
    *COMPARED,
    *make_estimate("retention"),
)
CONTRASTS = (
    *make_columns("name", "variant", "against", "kind", "group"),
    *make_estimate("other"),
    *COMPARED,
)
TEXT = (
    *make_columns("name", "variant", "task"),
    *COMPARED,
    *make_columns("share", "not_extracted", "truncated"),
    *make_columns("two_decimals", "tokens_mean"),
)
SELECTION = (
    *make_columns("name", "variant"),
    *make_columns("count", "point"),
    *make_columns("params", "params"),
    *make_columns("count", "perception_n"),
    *make_estimate("perception"),
    *make_columns("count", "reasoning_n"),
    *make_estimate("reasoning"),
    Column("third_n", "count", optional=True),
    *(replace(column, optional=True) for column in make_estimate("third")),
    *make_columns("name", "chosen", "rule"),
)
STYLE = (
    *make_columns("name", "variant", "group"),
    *make_columns("count", "n"),
    *make_columns("share", "not_extracted"),
    Column("by_stock_rule", "share", optional=True),
    *make_columns("share", "truncated", "repeated"),
    *make_columns("two_decimals", "tokens_mean", "tokens_p95"),
    *make_columns("share", "score", "score_raw"),
)
# Columns of TEXT that a study of an older version lacks, by the column of its answers they are means of.
FORM = {"not_extracted": "extracted", "truncated": "truncated", "tokens_mean": "tokens"}
TESTED = ("difference", "difference_low", "difference_high", "p", "gained", "lost", "detectable", "retention",
          "retention_low", "retention_high")  # fmt: skip


def build_benchmark_rows(study: Compared, answers: ScoreMatrix) -> pd.DataFrame:
    """Compare every variant with the VLM on each benchmark: one row each. Holm over all of them."""
    rows = []
    for variant in study.variants:
        for benchmark in answers.correct:
            names = {"benchmark": benchmark, "group": answers.headings[benchmark]}
            rows.append(compare_with(study, answers, variant, study.reference, [benchmark], benchmark, names))
    return add_holm(rows)[list_names(BENCHMARKS)]


def build_axis_rows(study: Compared, *kinds: ScoreMatrix) -> pd.DataFrame:
    """Compare every variant with the VLM on each group of benchmarks and on text. Holm over all of them."""
    rows: list[dict[str, Any]] = []
    for variant in [*study.variants, *(p for p in PARENTS if p not in study.variants)]:
        for answers in kinds:
            for heading, benchmarks in answers.by_heading().items():
                if variant in answers.correct[benchmarks[0]]:
                    names = {"group": heading, "benchmarks": len(benchmarks)}
                    rows.append(
                        compare_with(study, answers, variant, study.reference, benchmarks, heading, names)
                    )
    return add_holm(rows)


def build_contrast_rows(study: StudyConfig, *kinds: ScoreMatrix) -> pd.DataFrame:
    """Compare each learned variant with controls, plain injection and rivals, by group. Holm over all.

    Which contrasts are made follows from the config alone (who names whom as `reference`, `method: inject`,
    `statistics.rivals`), never from a score. `score` is the learned variant's, `other` the one it is
    compared with.
    """
    rows: list[dict[str, Any]] = []
    for variant in study.learned:
        opponents = {name: "control" for name, v in study.variants.items() if v.reference == variant}
        opponents |= {name: "plain injection" for name, v in study.variants.items() if v.method == "inject"}
        rivals = [name for name in study.statistics.rivals if name != variant]
        opponents |= {name: "rival" for name in rivals if name not in opponents}
        for against, kind in opponents.items():
            for answers in kinds:
                for heading, benchmarks in answers.by_heading().items():
                    mean, (low, high) = answers.mean(study, against, benchmarks)
                    names = {"against": against, "kind": kind, "group": heading}
                    other = {"other": mean, "other_low": low, "other_high": high}
                    rows.append(
                        compare_with(study, answers, variant, against, benchmarks, heading, names) | other
                    )
    return add_holm(rows).reindex(columns=list_names(CONTRASTS))


def build_text_rows(study: StudyConfig, answers: ScoreMatrix, text: pd.DataFrame) -> pd.DataFrame:
    """Compare every model with text scores with the VLM on each task. Holm over all; empty without tasks.

    `text` is the frame of `study.read_text`: how answers were cut off stands beside the scores, where known.
    """
    rows = []
    for model in [*study.variants, *(p for p in PARENTS if p not in study.variants)]:
        for task in answers.correct:
            if model in answers.correct[task]:
                row = compare_with(study, answers, model, study.reference, [task], task, {"task": task})
                texts = text[(text["variant"] == model) & (text["benchmark"] == task)]
                form = {name: texts[column] for name, column in FORM.items() if column in texts}
                if "not_extracted" in form:
                    form["not_extracted"] = form["not_extracted"].isna()
                rows.append(row | {name: float(column.mean()) for name, column in form.items()})
    frame = add_holm(rows)
    return frame.reindex(columns=[c for c in list_names(TEXT) if c in frame or c not in FORM])


def build_selection_rows(
    study: StudyConfig, dev: pd.DataFrame, choices: dict[str, dict[str, Any]]
) -> pd.DataFrame:
    """List the dev scores of every variant's grid points, which one was chosen, and by what rule.

    Beside SELECTION there is a column `budget_missed`: whether the point was chosen although none qualified.
    """
    rows: list[dict[str, Any]] = []
    for variant, dev_scores in dev.groupby("variant", sort=False):
        choice = choices.get(str(variant), {})
        for _, part in dev_scores.groupby("point", sort=False):
            point = int(part["point"].iloc[0])
            params = json.loads(part["params"].iloc[0])
            row: dict[str, Any] = {"variant": variant, "point": point, "params": serialise_params(params)}
            axes = {axis: part[part["axis"] == axis] for axis in ("perception", "reasoning")}
            if study.selection.third_axis is not None:
                axes["third"] = part[part["group"] == study.selection.third_axis]
            for axis, suites in axes.items():
                mean, (low, high) = group_mean(
                    suites["correct"].tolist(), suites["n"].tolist(), study.statistics.confidence
                )
                row |= {
                    f"{axis}_n": int(suites["n"].sum()),
                    axis: mean,
                    f"{axis}_low": low,
                    f"{axis}_high": high,
                }
            chosen = not choice or int(choice["point"]) == point
            row |= {
                "chosen": chosen,
                "rule": choice.get("rule", "one point") if chosen else "",
                "budget_missed": chosen and choice.get("budget_missed", False),
            }
            rows.append(row)
    names = [n for n in list_names(SELECTION) if study.selection.third_axis or not n.startswith("third")]
    return pd.DataFrame(rows, columns=[*names, "budget_missed"])


def show_selection(selection: pd.DataFrame) -> Table:
    """Prepare `selection_rows` for Markdown: a missed budget beside the choice instead of the rule."""
    pairs = zip(selection["chosen"], selection["budget_missed"], strict=True)
    chosen = [("yes" if taken else "no") + (" (budget missed)" if missed else "") for taken, missed in pairs]
    return Table(selection.assign(chosen=chosen), [c for c in SELECTION if c.name != "rule"])


def build_style_rows(study: Compared, scores: pd.DataFrame, headings: list[str]) -> pd.DataFrame:
    """Count each variant's failures of form per group, and score its extracted and its raw answers.

    `by_stock_rule`, the share that VLMEvalKit's rule read where ours read nothing, is there if it is ever
    above 0.
    """
    rows = []
    for variant in study.variants:
        answers = scores[scores["variant"] == variant]
        for heading in headings:
            part = answers[answers["heading"] == heading]
            if part.empty:
                continue
            tokens = part["tokens"].astype(float).dropna()  # answers made elsewhere have none
            suites = part.groupby("benchmark")
            rows.append(
                {
                    "variant": variant,
                    "group": heading,
                    "n": len(part),
                    "not_extracted": float(part["extracted"].isna().mean()),
                    "by_stock_rule": float((part["rule"] == STOCK_RULE).mean()) if "rule" in part else 0.0,
                    "truncated": float(part["truncated"].astype(float).mean()),
                    "repeated": float(part["repeated"].astype(float).mean()),
                    "tokens_mean": float(tokens.mean()),
                    "tokens_p95": float(np.quantile(tokens, 0.95)) if len(tokens) else math.nan,
                    "score": float(suites["correct"].mean().mean()),
                    "score_raw": float(suites["correct_raw"].mean().mean()),
                }
            )
    frame = pd.DataFrame(rows, columns=list_names(STYLE))
    return frame if (frame["by_stock_rule"] > 0).any() else frame.drop(columns="by_stock_rule")


def compare_with(
    study: Compared,
    answers: ScoreMatrix,
    variant: str,
    reference: str,
    benchmarks: list[str],
    heading: str,
    names: dict[str, Any],
) -> dict[str, Any]:
    """Make one row: variant and `names`, the score, and unless it is the reference the paired comparison."""
    c = answers.compare(study, variant, reference, benchmarks, heading)
    row: dict[str, Any] = {
        "variant": variant,
        **names,
        "n": c.n,
        "score": c.score,
        "low": c.score_interval[0],
        "high": c.score_interval[1],
    }
    if variant == reference or variant not in study.variants:  # nothing to test
        return row | dict.fromkeys(TESTED, math.nan)
    return row | {
        "difference": c.difference,
        "difference_low": c.difference_interval[0],
        "difference_high": c.difference_interval[1],
        "p": c.p,
        "gained": c.gained,
        "lost": c.lost,
        "detectable": c.detectable,
        "retention": c.retention,
        "retention_low": c.retention_interval[0],
        "retention_high": c.retention_interval[1],
    }


def add_holm(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Turn rows into a frame, with Holm's p over all its tests beside p."""
    frame = pd.DataFrame(rows)
    if "p" in frame:
        frame.insert(list(frame.columns).index("p") + 1, "p_holm", holm(frame["p"]))
    return frame
