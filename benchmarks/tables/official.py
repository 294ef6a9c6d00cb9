"""Compare our scores with others of the same answers: VLMEvalKit's own totals, and those of a judge model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.scoring import agreement
from benchmarks.study.compared import Compared
from benchmarks.study.config import StudyConfig
from benchmarks.tables.cells import list_names, make_columns, make_estimate
from frism.errors import UserError
from frism.files import read_json

POOLED = "all"
OFFICIAL = (
    *make_columns("name", "variant", "benchmark", "metric"),
    *make_columns("share", "extracted_total", "raw_total", "judge_total"),
)
JUDGES = (
    *make_columns("name", "variant", "benchmark"),
    *make_columns("count", "n", "both_right", "rule_only", "judge_only", "both_wrong"),
    *make_columns("share", "agreement"),
    *make_estimate("kappa"),
)


def build_official_rows(results: Path, study: StudyConfig) -> pd.DataFrame:
    """List the totals that VLMEvalKit prints, per variant and benchmark, of extracted and of raw answers.

    From scores/VARIANT.official.json, {benchmark: {"extracted": {name: total}, "raw": {...}}}, with "judge"
    where a judge model judged; a variant without the file (scored by an older version) has no rows. Raises
    UserError for a broken file.
    """
    paths = {v: [results / "scores" / f"{v}.official.json"] for v in study.variants}
    return list_totals(paths, study.benchmark_names)


def list_totals(paths: Mapping[str, Sequence[Path]], benchmarks: Sequence[str]) -> pd.DataFrame:
    """List the totals in the files of every variant, of the benchmarks asked for, as above."""
    rows = []
    for variant, path in ((variant, path) for variant, own in paths.items() for path in own if path.exists()):
        official = read_json(path)
        for benchmark in benchmarks:
            if benchmark in official:
                readings = [
                    _read_totals(path, benchmark, official[benchmark], k)
                    for k in ("extracted", "raw", "judge")
                ]
                for name in dict.fromkeys(name for reading in readings for name in reading):
                    rows.append((variant, benchmark, name, *(r.get(name, float("nan")) for r in readings)))
    return pd.DataFrame(rows, columns=list_names(OFFICIAL))


def build_judge_rows(study: Compared, scores: pd.DataFrame) -> pd.DataFrame:
    """Measure how far both judges agree: a row per benchmark over all variants, then per variant."""
    if "correct_judge" not in scores or scores["correct_judge"].isna().all():
        return pd.DataFrame(columns=list_names(JUDGES))
    parts = {POOLED: scores} | {v: scores[scores["variant"] == v] for v in study.variants}
    rows = [agreement.measure_by_benchmark(part).assign(variant=name) for name, part in parts.items()]
    return pd.concat(rows, ignore_index=True)[list_names(JUDGES)]


def _read_totals(path: Path, benchmark: str, entry: Any, kind: str) -> Mapping[str, Any]:
    totals = entry.get(kind, {} if kind == "judge" else None) if isinstance(entry, dict) else None
    if not isinstance(totals, dict):
        raise UserError(f"{path} lacks the {kind} totals of {benchmark}: delete it and score again.")
    return totals
