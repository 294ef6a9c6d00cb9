"""The study's tables, as CSV and Markdown, byte for byte the same for the same scores.

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
from benchmarks.study.config import StudyConfig
from benchmarks.study.results import read_choice, read_dev, read_points, read_scores, read_text
from benchmarks.tables import (
    cells,
    comparisons,
    costs,
    flips,
    official,
    oracle,
    pareto,
    published_scores,
    ties,
)
from benchmarks.tables.cells import Column, Table, make_columns
from benchmarks.tables.legends import legend
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
    "published": published_scores.COLUMNS,
}


def build(results: Path, study: StudyConfig, out: Path) -> None:
    """Write every table into `out`. Raises UserError for missing, broken or unpaired scores."""
    scores, text, dev = read_scores(results, study), read_text(results, study), read_dev(results, study)
    answers = ScoreMatrix.of(scores, study.benchmark_names)
    said = ScoreMatrix.of(text, study.text_names) if len(text) else ScoreMatrix({}, {}, {})
    kinds = [answers, said] if said.correct else [answers]
    choices = {v: read_choice(results, v) for v in study.variants}
    tied, flipped = ties.tied_rows(study, *kinds), flips.flip_rows(study, scores)
    selection = comparisons.selection_rows(study, dev, choices)
    rows = {
        "benchmarks": comparisons.benchmark_rows(study, answers),
        "axes": comparisons.axis_rows(study, *kinds),
        "contrasts": comparisons.contrast_rows(study, *kinds),
        "text": comparisons.text_rows(study, said, text),
        "tied": tied,
        "pareto": pareto.pareto_rows(study, answers),
        "flips": flipped,
        "selection": selection,
        "oracle": oracle.oracle_rows(study, answers, dev, choices, read_points(results, study)),
        "style": comparisons.style_rows(study, scores, list(answers.by_heading())),
        "official": official.official_rows(results, study),
        "judges": official.judge_rows(study, scores),
        "costs": costs.cost_rows(results, study),
    }
    rows["published"] = published_scores.published_rows(study, rows["benchmarks"], rows["axes"])
    # In Markdown: the ties as one column a benchmark, the flips as counts instead of thousands of rows.
    shown: dict[str, list[Table]] = {
        "tied": [side_by_side(study, tied, over) for over in ("group", "benchmark")],
        "flips": [Table(flips.flip_counts(study, scores, flipped), flips.COUNTED)],
        "selection": [comparisons.show_selection(selection)],
    }
    pairs = ties.pairs(study, *kinds)
    for name, frame in rows.items():
        # Text scores of an older version say nothing of how answers were cut off.
        columns = [c for c in TABLES[name] if name != "text" or c.name in frame]
        cells.write(Table(frame, columns), out, name, *legend(name, study, pairs), shown=shown.get(name, ()))


def side_by_side(study: StudyConfig, tied: pd.DataFrame, over: str) -> Table:
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
