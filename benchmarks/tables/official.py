"""What others say of the same answers: VLMEvalKit's own totals, and a judge model beside the rule judge."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.scoring import agreement
from benchmarks.study.config import StudyConfig
from frism.errors import UserError
from frism.files import read_json

EVERYBODY = "all"
OFFICIAL = ["variant", "benchmark", "metric", "extracted_total", "raw_total", "judge_total"]
JUDGES = ["variant", *agreement.COLUMNS]


def official_rows(results: Path, study: StudyConfig) -> pd.DataFrame:
    """One row per variant, benchmark and total that VLMEvalKit prints: of extracted answers and of raw ones.

    From scores/VARIANT.official.json, {benchmark: {"extracted": {name: total}, "raw": {...}}}, with "judge"
    where a judge model judged; a variant without the file (scored by an older version) has no rows. Raises
    UserError for a broken file.
    """
    rows = []
    for variant in study.variants:
        path = results / "scores" / f"{variant}.official.json"
        if not path.exists():
            continue
        found = read_json(path)
        for benchmark in study.benchmark_names:
            if benchmark in found:
                readings = [
                    _totals(path, benchmark, found[benchmark], k) for k in ("extracted", "raw", "judge")
                ]
                for name in dict.fromkeys(name for reading in readings for name in reading):
                    rows.append((variant, benchmark, name, *(r.get(name, float("nan")) for r in readings)))
    return pd.DataFrame(rows, columns=OFFICIAL)


def judge_rows(study: StudyConfig, scores: pd.DataFrame) -> pd.DataFrame:
    """Agreement of both judges: a row per benchmark over all variants, then per variant."""
    if "correct_judge" not in scores or scores["correct_judge"].isna().all():
        return pd.DataFrame(columns=JUDGES)
    parts = {EVERYBODY: scores} | {v: scores[scores["variant"] == v] for v in study.variants}
    rows = [agreement.by_benchmark(part).assign(variant=name) for name, part in parts.items()]
    return pd.concat(rows, ignore_index=True)[JUDGES]


def _totals(path: Path, benchmark: str, entry: Any, kind: str) -> Mapping[str, Any]:
    totals = entry.get(kind, {} if kind == "judge" else None) if isinstance(entry, dict) else None
    if not isinstance(totals, dict):
        raise UserError(f"{path} lacks the {kind} totals of {benchmark}: delete it and score again.")
    return totals
