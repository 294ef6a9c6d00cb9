"""The study's tables, as CSV and Markdown, byte for byte the same for the same scores.

    python -m benchmarks.tables --results results/miniature --config JSON --out results/miniature/tables

Reads scores/, text/ and variants/ under the results folder. Only costs.{csv,md} holds times, which
differ from run to run; it is left out of any comparison of bytes.
"""

import json
import math
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from benchmarks import comparisons
from benchmarks.comparisons import Answers
from benchmarks.study import PARENTS, Study, read_choice, read_dev, read_scores, read_text, words
from frism.errors import UserError, reported
from frism.files import atomic_write

COUNTS = {"n", "benchmarks", "gained", "lost", "point", "perception_n", "reasoning_n"}
EXACT = {"p", "p_holm"}
WORDS = {"variant", "against", "kind", "group", "benchmark", "task", "params", "chosen"}
RETENTION = ["retention", "retention_low", "retention_high"]


def build(results: Path, study: Study, out: Path) -> None:
    """Write every table into `out`. Raises UserError for missing, broken or unpaired scores."""
    scores, text, dev = read_scores(results, study), read_text(results, study), read_dev(results, study)
    answers = Answers.of(scores, study.benchmarks)
    said = Answers.of(text, study.text) if len(text) else Answers({}, {}, {})
    kinds = [answers, said] if said.correct else [answers]
    choices = {v: read_choice(results, v) for v in study.variants}
    level = f"{study.statistics.confidence:.0%}"
    tested = (
        f"Scores are shares of right answers on the test split, in brackets the {level} interval."
        f" The difference is to `{study.reference}` on the same questions; p: exact McNemar test,"
        " two-sided; p Holm: adjusted for all tests of this table. Gained, lost: questions that became"
        " right or wrong."
    )
    power = " Detectable: the smallest true difference that 80 of 100 such studies would find."
    rows = comparisons.benchmark_rows(study, answers).drop(columns=RETENTION)
    _write(rows, out, "benchmarks", "Benchmarks", tested + power)
    axes = comparisons.axis_rows(study, *kinds)
    means = " A group's score is the mean over its benchmarks. Retention: score relative to the reference's."
    _write(axes, out, "axes", "Axes and groups", tested + means + power)
    contrasts = comparisons.contrast_rows(study, *kinds)
    versus = tested.replace(f"to `{study.reference}`", "to the variant named under `against`")
    _write(contrasts, out, "contrasts", "Learned variants against their controls and plain injection", versus)
    _write(_text_rows(study, said), out, "text", "Text only: described scenes, no image", tested)
    _write(
        comparisons.selection_rows(study, dev, choices),
        out,
        "selection",
        "What was chosen on the dev split",
        f"Dev scores of every grid point, with {level} intervals. Chosen: best reasoning among the points"
        f" whose perception is at most {study.selection.perception_budget:g} below the reference's.",
    )
    _write(
        comparisons.style_rows(study, scores, list(answers.by_heading())),
        out,
        "style",
        "Style of the answers",
        "Shares of answers from which nothing could be extracted, that were cut at the token limit, and that"
        " repeat themselves; tokens per answer; the score of the extracted answers, then of the raw text.",
    )
    _write(
        _costs(results, study), out, "costs", "Costs", "Seconds of generation; they differ from run to run."
    )


def _text_rows(study: Study, said: Answers) -> pd.DataFrame:
    rows = []
    for owner in [*study.variants, *(p for p in PARENTS if p not in study.variants)]:
        for task in said.correct:
            if owner in said.correct[task]:
                one = Answers({task: said.correct[task]}, {task: said.clusters[task]}, {task: "text"})
                rows.append(
                    comparisons.row_against(study, one, owner, study.reference, [task], task, {"task": task})
                )
    columns = [c for c in comparisons.with_holm(rows).columns if c not in RETENTION]
    return comparisons.with_holm(rows).reindex(columns=columns or ["variant", "task", *comparisons.COMPARED])


def _costs(results: Path, study: Study) -> pd.DataFrame:
    rows = []
    for variant in study.variants:
        path = results / "scores" / f"{variant}.cost.csv"
        if path.exists():
            seconds = pd.read_csv(path)["seconds"].astype(float)
            rows.append({"variant": variant, "n": len(seconds), "seconds": float(seconds.sum())})
    return pd.DataFrame(rows, columns=["variant", "n", "seconds"])


def _write(frame: pd.DataFrame, out: Path, name: str, title: str, legend: str) -> None:
    """Write one table twice: every number in the CSV, intervals folded into their cells in the Markdown."""
    cells = {c: [_cell(c, v) for v in frame[c]] for c in frame.columns}
    with atomic_write(out / f"{name}.csv") as path:
        pd.DataFrame(cells, columns=frame.columns).to_csv(path, index=False, lineterminator="\n")
    with atomic_write(out / f"{name}.md") as path:
        shown = _folded(frame)
        sides = ["left" if c in WORDS else "right" for c in shown.columns]
        table = (
            shown.to_markdown(index=False, disable_numparse=True, colalign=sides)
            if len(shown)
            else "No rows."
        )
        path.write_text(f"# {title}\n\n{legend}\n\n{table}\n", encoding="utf-8")


def _cell(column: str, value: object, digits: int = 4, signed: bool = False) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    number = float(value)  # type: ignore[arg-type]
    if math.isnan(number):
        return ""
    if column in COUNTS:
        return str(int(number))
    if column in EXACT:
        return f"{number:.4g}"
    if column in ("tokens_mean", "tokens_p95", "seconds"):
        return f"{number:.2f}"
    number = round(number, digits) + 0.0  # no "-0.0000"
    return f"{number:+.{digits}f}" if signed else f"{number:.{digits}f}"


def interval(value: float, low: float, high: float, signed: bool = False) -> str:
    """`0.512 [0.470, 0.554]`; with a sign for differences; "" for no number."""
    if math.isnan(value):
        return ""
    point, lower, upper = (_cell("", v, 3, signed) for v in (value, low, high))
    return f"{point} [{lower}, {upper}]" if lower and upper else point


def probability(p: float) -> str:
    """`0.012`, `<0.001`; "" for no test."""
    return "" if math.isnan(p) else "<0.001" if p < 0.001 else f"{p:.3f}"


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
        elif column == "chosen":
            missed = [" (budget missed)" if r.startswith("budget missed") else "" for r in frame["rule"]]
            shown[column] = [("yes" if c else "no") + m for c, m in zip(frame[column], missed, strict=True)]
        elif column == "rule":
            continue
        elif column == "params":
            shown[column] = [words(json.loads(p)) for p in frame[column]]
        else:
            shown[column] = [_cell(column, v, 3) for v in frame[column]]
    return pd.DataFrame(shown).rename(columns=lambda c: c.replace("_", " "))


@reported()
def main(
    results: Annotated[Path, typer.Option(help="the study's folder: scores/, text/, variants/")],
    config: Annotated[str, typer.Option(help="the study's settings as JSON")],
    out: Annotated[Path | None, typer.Option(help="default: RESULTS/tables")] = None,
) -> None:
    """Write the tables of a study."""
    if not results.is_dir():
        raise UserError(f"{results} is not a folder: name the study's results folder.")
    build(results, Study.parse(config), out or results / "tables")


if __name__ == "__main__":
    typer.run(main)
