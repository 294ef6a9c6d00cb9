"""How numbers are written: cells of a CSV, cells of a Markdown table, and both files of one table."""

import csv
import json
import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from benchmarks.study.results import words
from frism.files import atomic_write

COUNTS = {"n", "benchmarks", "gained", "lost", "unchanged", "point", "points", "evaluated", "perception_n",
          "reasoning_n", "better_than", "worse_than", "tokens", "both_right", "rule_only", "judge_only",
          "both_wrong", "matrices", "directions", "leading", "blocks", "steps"}  # fmt: skip
EXACT = {"p", "p_holm"}
WORDS = {"variant", "against", "kind", "group", "benchmark", "task", "params", "chosen", "over", "name",
         "metric", "letters", "chosen_params", "oracle_params", "judge", "method", "layer", "module", "tenth",
         "block", "split", "source", "row", "note"}  # fmt: skip
SIGNIFICANT = {"alpha", "strength", "injected_energy", "tau_r_energy"}
TEXTS = {"answer", "extracted"}
PLAIN = {"tokens_mean", "tokens_p95", "seconds", "tokens_per_answer", "answers_per_second", "wall_seconds",
         "tune_seconds", "peak_memory_mib"}  # fmt: skip


def write(
    frame: pd.DataFrame, out: Path, name: str, title: str, legend: str, shown: Sequence[pd.DataFrame] = ()
) -> None:
    """Write one table twice: every number in the CSV, intervals folded into their cells in the Markdown.

    `shown`: other frames for the Markdown, where the CSV is too long to read. Answers in the CSV are quoted:
    a bare carriage return in one would end the line for whoever reads it.
    """
    cells = {c: [cell(c, v) for v in frame[c]] for c in frame.columns}
    with atomic_write(out / f"{name}.csv") as path:
        quoting = csv.QUOTE_ALL if TEXTS & set(frame.columns) else csv.QUOTE_MINIMAL
        pd.DataFrame(cells, columns=frame.columns).to_csv(
            path, index=False, lineterminator="\n", quoting=quoting
        )
    with atomic_write(out / f"{name}.md") as path:
        parts = "\n\n".join(_markdown(part) for part in shown or [frame])
        path.write_text(f"# {title}\n\n{legend}\n\n{parts}\n", encoding="utf-8")


def cell(column: str, value: object, digits: int = 4, signed: bool = False) -> str:
    """A value as the CSV holds it; "" for no number."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    number = float(value)  # type: ignore[arg-type]
    if math.isnan(number):
        return ""
    if column in COUNTS:
        return str(int(number))
    if column in EXACT or column in SIGNIFICANT:
        return f"{number:.4g}"
    if column in PLAIN:
        return f"{number:.2f}"
    number = round(number, digits) + 0.0  # no "-0.0000"
    return f"{number:+.{digits}f}" if signed else f"{number:.{digits}f}"


def interval(value: float, low: float, high: float, signed: bool = False) -> str:
    """`0.512 [0.470, 0.554]`; with a sign for differences; "" for no number."""
    if math.isnan(value):
        return ""
    point, lower, upper = (cell("", v, 3, signed) for v in (value, low, high))
    return f"{point} [{lower}, {upper}]" if lower and upper else point


def probability(p: float) -> str:
    """`0.012`, `<0.001`; "" for no test."""
    return "" if math.isnan(p) else "<0.001" if p < 0.001 else f"{p:.3f}"


def _markdown(frame: pd.DataFrame) -> str:
    shown = _folded(frame)
    sides = ["left" if c.replace(" ", "_") in WORDS else "right" for c in shown.columns]
    return shown.to_markdown(index=False, disable_numparse=True, colalign=sides) if len(shown) else "No rows."


def _folded(frame: pd.DataFrame) -> pd.DataFrame:
    shown: dict[str, list[str]] = {}
    for column in frame.columns:
        if column.endswith(("_low", "_high")) or column in ("low", "high"):
            continue
        ends = ("low", "high") if column == "score" else (f"{column}_low", f"{column}_high")
        if ends[0] in frame.columns:
            triples = zip(frame[column], frame[ends[0]], frame[ends[1]], strict=True)
            shown[column] = [interval(*t, signed=column == "difference") for t in triples]
        elif column in EXACT:
            shown[column] = [probability(p) for p in frame[column]]
        elif column == "chosen" and "rule" in frame.columns:
            missed = [" (budget missed)" if r.startswith("budget missed") else "" for r in frame["rule"]]
            shown[column] = [("yes" if c else "no") + m for c, m in zip(frame[column], missed, strict=True)]
        elif column == "rule":
            continue
        elif column == "params":
            shown[column] = [words(json.loads(p)) for p in frame[column]]
        else:
            shown[column] = [cell(column, v, 3) for v in frame[column]]
    return pd.DataFrame(shown).rename(columns=lambda c: c.replace("_", " "))
