"""Make tables and figures of a study's analyses, byte for byte the same for the same scores.

    python -m benchmarks.stages.report_analyses --study results/miniature_why/study.json

Reads analyses/ under the results folder; writes the tables of TABLES, as CSV and Markdown, into tables/
and a figure figures/analysis_ENTRY.{png,svg} per entry.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import typer

from benchmarks.analyses.reporting import (
    claims,
    depth,
    drift_losses,
    heads,
    losses,
    reflection,
    same_question,
    shown_claims,
    tiles,
    traces,
)
from benchmarks.analyses.reporting.answers import (
    ATTENTION,
    DRIFT,
    MAPS,
    REFLECTION,
    TILES,
    read_answers,
)
from benchmarks.figures import answer_lengths, heat_maps, knock_outs, tile_dependence
from benchmarks.figures import traces as trace_figure
from benchmarks.stages.command import StudyFile, begin
from benchmarks.study.config import StudyConfig
from benchmarks.study.layout import Layout
from benchmarks.tables import cells
from benchmarks.tables.cells import Column, Table
from benchmarks.tables.legends import write_legend
from frism.errors import report_errors

TABLES: dict[str, Sequence[Column]] = {
    "knock_outs": losses.COLUMNS,
    "depth": depth.COLUMNS,
    "claims": claims.COLUMNS,
    "drift": traces.list_columns(DRIFT),
    "drift_losses": drift_losses.COLUMNS,
    "attention": traces.list_columns(ATTENTION),
    "heads": heads.COLUMNS,
    "tiles": tiles.COLUMNS,
    "attention_use": tiles.USE_COLUMNS,
    "reflection": reflection.COLUMNS,
    "same_question": same_question.COLUMNS,
}

# Of analyses that go through the layers: their table, and what of it is drawn.
DRAWN = {DRIFT: ("drift", "relative"), ATTENTION: ("attention", "picture")}


def build(results: Path, study: StudyConfig) -> None:
    """Write every table and figure. Raises UserError for missing, broken or unpaired scores."""
    rows, counts = build_tables(results, study, results / "tables")
    for entry in study.analyses:
        draw(study, results, entry, rows, counts)


def build_tables(
    results: Path, study: StudyConfig, out: Path
) -> tuple[Mapping[str, pd.DataFrame], pd.DataFrame]:
    """Write every table into `out`; return the rows of each, and the counts in answers."""
    answers, counts = read_answers(results, study), reflection.read_counts(results, study)
    layers = {analysis: traces.read_layers(results, study, analysis) for analysis in DRAWN}
    tiled = traces.read_traces(results, study, TILES, tiles.TRACED)
    rows = {
        "knock_outs": losses.build_loss_rows(study, answers),
        "depth": depth.build_depth_rows(study, answers),
        "claims": claims.build_claim_rows(
            study, answers, shown_claims.list_shown_claims(study, layers[ATTENTION], counts)
        ),
        **{name: traces.build_trace_rows(study, a, layers[a]) for a, (name, _) in DRAWN.items()},
        "drift_losses": drift_losses.build_drift_loss_rows(study, layers[DRIFT]),
        "heads": heads.build_head_rows(study, layers[ATTENTION]),
        "tiles": tiles.build_tile_rows(study, tiled),
        "attention_use": tiles.build_use_rows(study, tiled),
        "reflection": reflection.build_reflection_rows(study, counts),
        "same_question": same_question.build_same_question_rows(study, counts),
    }
    short = {
        "knock_outs": losses.show_largest(rows["knock_outs"]),
        "heads": heads.show_strongest(rows["heads"]),
    }
    for name, columns in TABLES.items():
        legend = write_legend(name, study, empty=rows[name].empty)
        in_markdown = [Table(short[name], columns)] if name in short else ()
        cells.write_table(Table(rows[name], columns), out, name, *legend, shown=in_markdown)
    return rows, counts


def draw(
    study: StudyConfig, results: Path, entry: str, rows: Mapping[str, pd.DataFrame], counts: pd.DataFrame
) -> None:
    """Write the figure of one entry.

    Args:
        rows: of every table, by its name. counts: in the answers, where `reflection` counted.
    """
    analysis, out = study.analyses[entry].analysis or entry, results / "figures"
    if analysis == REFLECTION:
        answer_lengths.draw(study, counts, entry, out)
    elif analysis == MAPS:
        maps = traces.read_traces(results, study, MAPS, heat_maps.TRACED)
        heat_maps.draw(study, maps[maps["entry"] == entry], entry, Layout(results).items(), out)
    elif analysis == TILES:
        tile_dependence.draw(study, rows["tiles"], entry, out)
    elif analysis in DRAWN:
        name, measure = DRAWN[analysis]
        trace_figure.draw(study, rows[name], entry, measure, out)
    else:
        knock_outs.draw(study, rows["knock_outs"], entry, out)


@report_errors()
def main(study: StudyFile) -> None:
    """Make tables and figures of a study's analyses."""
    begin("analyses")
    build(study.parent, StudyConfig.read(study))


if __name__ == "__main__":
    typer.run(main)
