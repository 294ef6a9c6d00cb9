"""Write the study's tables as CSV and Markdown, byte for byte the same for the same scores.

    python -m benchmarks.stages.tables --study results/miniature/study.json

Reads scores/, text/, variants/ and costs/ under the results folder. Only costs.{csv,md} holds times, which
differ from run to run; it is left out of any comparison of bytes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from benchmarks.stages.command import StudyFile, begin
from benchmarks.study.compared import Compared
from benchmarks.study.config import StudyConfig
from benchmarks.study.results import (
    average_scores,
    average_text,
    read_answers,
    read_choice,
    read_dev,
    read_points,
    read_text_answers,
)
from benchmarks.tables import (
    cell,
    cells,
    comparisons,
    costs,
    failures,
    flips,
    official,
    oracle,
    pareto,
    published_scores,
    samples,
    ties,
    tokens,
)
from benchmarks.tables.cells import Column, Table, make_columns
from benchmarks.tables.legends import write_legend
from benchmarks.tables.score_matrix import ScoreMatrix
from frism.errors import report_errors

TABLES: dict[str, Sequence[Column]] = {
    "benchmarks": comparisons.BENCHMARKS,
    "axes": comparisons.AXES,
    "contrasts": comparisons.CONTRASTS,
    "text": comparisons.TEXT,
    "tied": ties.COLUMNS,
    "pareto": pareto.COLUMNS,
    "flips": flips.COLUMNS,
    "selection": comparisons.SELECTION,
    "oracle": oracle.COLUMNS,
    "style": comparisons.STYLE,
    "official": official.OFFICIAL,
    "judges": official.JUDGES,
    "costs": costs.COLUMNS,
    "tokens": tokens.COLUMNS,
    "published": published_scores.COLUMNS,
}
FAILURES = "failures"  # a table that is there only where questions could not be answered
CELL = "cell"  # a table that is there only where a variant is V's tower on another language model
SAMPLES = "samples"  # a table that is there only where questions were answered by several samples


def build(results: Path, study: StudyConfig, out: Path) -> None:
    """Write every table into `out`. Raises UserError for missing, broken or unpaired scores."""
    # A row per answer, and per question: the same unless answers were sampled.
    single, text_single = read_answers(results, study), read_text_answers(results, study)
    scores, text = average_scores(single, results, study), average_text(text_single, results, study)
    dev = read_dev(results, study)
    answers = ScoreMatrix.of(scores, study.benchmark_names)
    words = ScoreMatrix.of(text, study.text_names) if len(text) else ScoreMatrix({}, {}, {})
    # Where B and R alone answer in words there is no variant to compare them with: `cell` has them.
    text_answers = words if study.text_of == "all" else ScoreMatrix({}, {}, {})
    kinds = [answers, text_answers] if text_answers.correct else [answers]
    choices = {v: read_choice(results, v) for v in study.variants}
    tied, flipped = ties.build_tied_rows(study, *kinds), flips.build_flip_rows(study, scores)
    selection = comparisons.build_selection_rows(study, dev, choices)
    rows = {
        "benchmarks": comparisons.build_benchmark_rows(study, answers),
        "axes": comparisons.build_axis_rows(study, *kinds),
        "contrasts": comparisons.build_contrast_rows(study, *kinds),
        "text": comparisons.build_text_rows(study, text_answers, text_single),
        "tied": tied,
        "pareto": pareto.build_pareto_rows(study, answers),
        "flips": flipped,
        "selection": selection,
        "oracle": oracle.build_oracle_rows(study, answers, dev, choices, read_points(results, study)),
        "style": comparisons.build_style_rows(study, single, list(answers.by_heading())),
        "official": official.build_official_rows(results, study),
        "judges": official.build_judge_rows(study, single),
        "costs": costs.build_cost_rows(results, study),
        "tokens": tokens.build_token_rows(
            study,
            (answers, scores, single),
            *([(text_answers, text, text_single)] if text_answers.correct else []),
        ),
    }
    rows["published"] = published_scores.build_published_rows(study, rows["benchmarks"], rows["axes"])
    # In Markdown: the ties as one column a benchmark, the flips as counts instead of thousands of rows.
    shown: dict[str, list[Table]] = {
        "tied": [lay_out_ties(study, tied, over) for over in ("group", "benchmark")],
        "flips": [Table(flips.count_flips(study, scores, flipped), flips.COUNT_COLUMNS)],
        "selection": [comparisons.show_selection(selection)],
    }
    failed = failures.build_failure_rows(single, text_single, dev)
    _write_optional(Table(failed, failures.COLUMNS), out, FAILURES, study)
    sampled = [(matrix, frame) for matrix, frame in ((answers, single), (text_answers, text_single))
               if matrix.samples > 1]  # fmt: skip
    drawn = samples.build_sample_rows(study, *sampled)
    _write_optional(Table(drawn, samples.COLUMNS), out, SAMPLES, study, samples.show_samples(drawn))
    _write_optional(Table(cell.build_cell_rows(study, answers, words), cell.COLUMNS), out, CELL, study)
    pairs = ties.count_tests(study, *kinds)
    for name, frame in rows.items():
        # Text scores of an older version say nothing of how answers were cut off.
        columns = [c for c in TABLES[name] if name != "text" or c.name in frame]
        cells.write_table(
            Table(frame, columns), out, name, *write_legend(name, study, pairs), shown=shown.get(name, ())
        )


def _write_optional(
    table: Table, out: Path, name: str, study: StudyConfig, shown: Sequence[Table] = ()
) -> None:
    """Write a table if it has rows; else delete that of an earlier run."""
    if len(table.rows):
        cells.write_table(table, out, name, *write_legend(name, study), shown=shown)
        return
    for suffix in (".csv", ".md"):
        (out / f"{name}{suffix}").unlink(missing_ok=True)


def lay_out_ties(study: Compared, tied: pd.DataFrame, over: str) -> Table:
    """Lay out variants by columns: score and letters, bold where tied with the best of the column."""
    ranked = tied[tied["over"] == over]
    text = [
        f"**{score:.3f}** {letters}" if best else f"{score:.3f} {letters}"
        for score, letters, best in zip(
            ranked["score"], ranked["letters"], ranked["tied_with_best"], strict=True
        )
    ]
    names = list(dict.fromkeys(ranked["name"]))
    wide = ranked.assign(text=text).pivot(index="variant", columns="name", values="text")
    frame = wide.reindex(index=list(study.variants), columns=names).reset_index()
    return Table(frame, [*make_columns("name", "variant"), *make_columns("mark", *names)])


@report_errors()
def main(
    study: StudyFile,
    out: Annotated[Path | None, typer.Option(help="default: tables/ beside the record")] = None,
) -> None:
    """Write the tables of a study."""
    begin("tables")
    build(study.parent, StudyConfig.read(study), out or study.parent / "tables")


if __name__ == "__main__":
    typer.run(main)
