"""Per-question scores to rows of numbers: every variant against the VLM, and the contrasts that matter.

Each function returns one data frame with unformatted numbers; `benchmarks.stages.tables` writes them.
"""

import json
import math
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.statistics.intervals import group_mean
from benchmarks.statistics.paired_tests import holm
from benchmarks.study.config import PARENTS, StudyConfig
from benchmarks.study.results import compact
from benchmarks.tables.score_matrix import ScoreMatrix

COMPARED = (
    "n",
    "score",
    "low",
    "high",
    "difference",
    "difference_low",
    "difference_high",
    "p",
    "p_holm",
    "gained",
    "lost",
    "detectable",
)

RETENTION = ["retention", "retention_low", "retention_high"]
TESTED = ("difference", "difference_low", "difference_high", "p", "gained", "lost", "detectable", "retention",
          "retention_low", "retention_high")  # fmt: skip


def benchmark_rows(study: StudyConfig, answers: ScoreMatrix) -> pd.DataFrame:
    """One row per variant and benchmark. Holm over all of them."""
    rows = []
    for variant in study.variants:
        for benchmark in answers.correct:
            names = {"benchmark": benchmark, "group": answers.headings[benchmark]}
            rows.append(row_against(study, answers, variant, study.reference, [benchmark], benchmark, names))
    return with_holm(rows).drop(columns=RETENTION)


def axis_rows(study: StudyConfig, *kinds: ScoreMatrix) -> pd.DataFrame:
    """One row per variant and group (perception, reasoning, others, text), with retention. Holm over all."""
    rows: list[dict[str, Any]] = []
    for variant in [*study.variants, *(p for p in PARENTS if p not in study.variants)]:
        for answers in kinds:
            for heading, benchmarks in answers.by_heading().items():
                if variant in answers.correct[benchmarks[0]]:
                    names = {"group": heading, "benchmarks": len(benchmarks)}
                    rows.append(
                        row_against(study, answers, variant, study.reference, benchmarks, heading, names)
                    )
    return with_holm(rows)


def contrast_rows(study: StudyConfig, *kinds: ScoreMatrix) -> pd.DataFrame:
    """Each learned variant against its controls and against plain injection, group by group. Holm over all.

    Which contrasts are made follows from the config alone (who names whom as `reference`, and
    `method: inject`), never from a score. `score` is the learned variant's, `other` the one it is
    compared with.
    """
    rows: list[dict[str, Any]] = []
    for variant in study.learned:
        opponents = {name: "control" for name, v in study.variants.items() if v.reference == variant}
        opponents |= {name: "plain injection" for name, v in study.variants.items() if v.method == "inject"}
        for against, kind in opponents.items():
            for answers in kinds:
                for heading, benchmarks in answers.by_heading().items():
                    mean, (low, high) = answers.mean(study, against, benchmarks)
                    names = {"against": against, "kind": kind, "group": heading}
                    other = {"other": mean, "other_low": low, "other_high": high}
                    rows.append(
                        row_against(study, answers, variant, against, benchmarks, heading, names) | other
                    )
    columns = ["variant", "against", "kind", "group", "other", "other_low", "other_high", *COMPARED]
    return with_holm(rows).reindex(columns=columns)


def text_rows(study: StudyConfig, said: ScoreMatrix, text: pd.DataFrame) -> pd.DataFrame:
    """One row per owner of text scores and task. Holm over all; empty without tasks.

    `text` is the frame of `study.read_text`: how answers were cut off stands beside the scores, where known.
    """
    rows = []
    form = {"not_extracted": "extracted", "truncated": "truncated", "tokens_mean": "tokens"}
    for owner in [*study.variants, *(p for p in PARENTS if p not in study.variants)]:
        for task in said.correct:
            if owner in said.correct[task]:
                row = row_against(study, said, owner, study.reference, [task], task, {"task": task})
                own = text[(text["variant"] == owner) & (text["benchmark"] == task)]
                known = {name: own[column] for name, column in form.items() if column in own}
                if "not_extracted" in known:
                    known["not_extracted"] = known["not_extracted"].isna()
                rows.append(row | {name: float(column.mean()) for name, column in known.items()})
    columns = [c for c in with_holm(rows).columns if c not in RETENTION]
    return with_holm(rows).reindex(columns=columns or ["variant", "task", *COMPARED])


def selection_rows(study: StudyConfig, dev: pd.DataFrame, choices: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """One row per variant and grid point: dev scores with intervals, which one was chosen, by what rule."""
    rows: list[dict[str, Any]] = []
    for variant, own in dev.groupby("variant", sort=False):
        choice = choices.get(str(variant), {})
        for point, part in own.groupby("point", sort=False):
            params = json.loads(part["params"].iloc[0])
            row: dict[str, Any] = {"variant": variant, "point": int(point), "params": compact(params)}
            for axis in ("perception", "reasoning"):
                suites = part[part["axis"] == axis]
                mean, (low, high) = group_mean(
                    suites["correct"].tolist(), suites["n"].tolist(), study.statistics.confidence
                )
                row |= {
                    f"{axis}_n": int(suites["n"].sum()),
                    axis: mean,
                    f"{axis}_low": low,
                    f"{axis}_high": high,
                }
            chosen = not choice or int(choice["point"]) == int(point)
            row |= {"chosen": chosen, "rule": choice.get("rule", "one point") if chosen else ""}
            rows.append(row)
    return pd.DataFrame(rows)


def style_rows(study: StudyConfig, scores: pd.DataFrame, headings: list[str]) -> pd.DataFrame:
    """How each variant answers, per group: failures of form, and the raw text's score."""
    rows = []
    for variant in study.variants:
        own = scores[scores["variant"] == variant]
        for heading in headings:
            part = own[own["heading"] == heading]
            if part.empty:
                continue
            tokens = part["tokens"].astype(float)
            suites = part.groupby("benchmark")
            rows.append(
                {
                    "variant": variant,
                    "group": heading,
                    "n": len(part),
                    "not_extracted": float(part["extracted"].isna().mean()),
                    "truncated": float(part["truncated"].astype(float).mean()),
                    "repeated": float(part["repeated"].astype(float).mean()),
                    "tokens_mean": float(tokens.mean()),
                    "tokens_p95": float(np.quantile(tokens, 0.95)),
                    "score": float(suites["correct"].mean().mean()),
                    "score_raw": float(suites["correct_raw"].mean().mean()),
                }
            )
    return pd.DataFrame(rows)


def row_against(
    study: StudyConfig,
    answers: ScoreMatrix,
    variant: str,
    reference: str,
    benchmarks: list[str],
    heading: str,
    names: dict[str, Any],
) -> dict[str, Any]:
    """One row: its words (variant first), its score, and unless it is the reference the paired comparison."""
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


def with_holm(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows as a frame, with Holm's p over all its tests beside p."""
    frame = pd.DataFrame(rows)
    if "p" in frame:
        frame.insert(frame.columns.get_loc("p") + 1, "p_holm", holm(frame["p"]))
    return frame
