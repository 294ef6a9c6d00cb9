"""Make tables and figures of a study's analyses, byte for byte the same for the same scores.

    python -m benchmarks.stages.report_analyses --study results/miniature_why/study.json

Reads analyses/ under the results folder; writes the tables of TABLES, as CSV and Markdown, into tables/
and a figure figures/analysis_ENTRY.{png,svg} per entry.
"""

from collections.abc import Sequence
from pathlib import Path

import typer

from benchmarks.analyses.reporting import claims, depth, losses, reflection, same_question, traces
from benchmarks.analyses.reporting.answers import ATTENTION, DRIFT, REFLECTION, read_answers
from benchmarks.figures import answer_lengths, knock_outs
from benchmarks.figures import traces as trace_figure
from benchmarks.stages.command import StudyFile, begin
from benchmarks.study.config import StudyConfig
from benchmarks.tables import cells
from benchmarks.tables.cells import Column, Table
from benchmarks.tables.legends import write_legend
from frism.errors import report_errors

TABLES: dict[str, Sequence[Column]] = {
    "knock_outs": losses.COLUMNS,
    "depth": depth.COLUMNS,
    "claims": claims.COLUMNS,
    "drift": traces.list_columns(DRIFT),
    "attention": traces.list_columns(ATTENTION),
    "reflection": reflection.COLUMNS,
    "same_question": same_question.COLUMNS,
}

TRACED = {"drift": (DRIFT, "relative"), "attention": (ATTENTION, "picture")}  # analysis, and what is drawn


def build(results: Path, study: StudyConfig) -> None:
    """Write every table and figure. Raises UserError for missing, broken or unpaired scores."""
    answers, counts = read_answers(results, study), reflection.read_counts(results, study)
    rows = {
        "knock_outs": losses.build_loss_rows(study, answers),
        "depth": depth.build_depth_rows(study, answers),
        "claims": claims.build_claim_rows(study, answers),
        **{
            name: traces.build_trace_rows(study, analysis, traces.read_traces(results, study, analysis))
            for name, (analysis, _) in TRACED.items()
        },
        "reflection": reflection.build_reflection_rows(study, counts),
        "same_question": same_question.build_same_question_rows(study, counts),
    }
    shown = {"knock_outs": [Table(losses.show_largest(rows["knock_outs"]), losses.COLUMNS)]}
    for name, frame in rows.items():
        legend = write_legend(name, study, empty=frame.empty)
        cells.write_table(
            Table(frame, TABLES[name]), results / "tables", name, *legend, shown=shown.get(name, ())
        )
    for entry, settings in study.analyses.items():
        if (settings.analysis or entry) == REFLECTION:
            answer_lengths.draw(study, counts, entry, results / "figures")
        elif name := next((n for n, (a, _) in TRACED.items() if a == (settings.analysis or entry)), ""):
            trace_figure.draw(study, rows[name], entry, TRACED[name][1], results / "figures")
        else:
            knock_outs.draw(study, rows["knock_outs"], entry, results / "figures")


@report_errors()
def main(study: StudyFile) -> None:
    """Make tables and figures of a study's analyses."""
    begin("analyses")
    build(study.parent, StudyConfig.read(study))


if __name__ == "__main__":
    typer.run(main)
