"""Write what a study's tables give of runs side by side: scores, tests, flips, ties, tokens, style."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from benchmarks.figures import scores as scores_figure
from benchmarks.figures import tokens as tokens_figure
from benchmarks.figures import trade_off
from benchmarks.stages.tables import TABLES, lay_out_ties
from benchmarks.study.compared import Runs
from benchmarks.study.results import read_table
from benchmarks.tables import cells, comparisons, flips, official, pareto, ties
from benchmarks.tables.cells import Table, list_names
from benchmarks.tables.legends import write_legend
from benchmarks.tables.score_matrix import ScoreMatrix
from benchmarks.tables.tokens import build_token_rows
from benchmarks.tools.foreign.runs import Paired, read_provenance
from frism.files import sha256_file, write_json

RECORD = "comparison.json"
QUESTIONS = "the questions that all runs answered"
TEXTS = "the files of scores"


def describe_runs(paired: Paired) -> Runs:
    """Describe paired runs as the tables take them."""
    labels = tuple(paired.files)
    return Runs(labels, labels[0], paired.benchmarks)


def write_comparison(paired: Paired, out: Path) -> dict[str, pd.DataFrame]:
    """Write the tables to `out`/tables, figures to `out`/figures, and a record; return the tables' rows."""
    runs = describe_runs(paired)
    answers = ScoreMatrix.of(paired.scores, paired.benchmarks)
    tied, flipped = ties.build_tied_rows(runs, answers), flips.build_flip_rows(runs, paired.scores)
    totals = {k: [p.with_suffix(".official.json") for p in paths] for k, paths in paired.files.items()}
    rows = {
        "benchmarks": comparisons.build_benchmark_rows(runs, answers),
        "axes": comparisons.build_axis_rows(runs, answers),
        "tied": tied,
        "pareto": pareto.build_pareto_rows(runs, answers),
        "flips": flipped,
        "style": comparisons.build_style_rows(runs, paired.scores, list(answers.by_heading())),
        "tokens": build_token_rows(runs, (answers, paired.scores, paired.scores)),
        "official": official.list_totals(totals, paired.benchmarks),
        "judges": official.build_judge_rows(runs, paired.scores),
    }
    rows = {name: frame for name, frame in rows.items() if len(frame) or name == "flips"}
    counts = flips.count_flips(runs, paired.scores, flipped)
    shown: dict[str, Sequence[Table]] = {
        "tied": [lay_out_ties(runs, tied, over) for over in ("group", "benchmark")],
        "flips": [Table(counts, flips.COUNT_COLUMNS)],
    }
    pairs = ties.count_tests(runs, answers)
    for name, frame in rows.items():
        legend = write_legend(name, runs, pairs, questions=QUESTIONS, texts=TEXTS)
        cells.write_table(
            Table(frame, TABLES[name]), out / "tables", name, *legend, shown=shown.get(name, ())
        )
    scores_figure.draw(runs, rows["benchmarks"], out / "figures")
    if "pareto" in rows:
        nothing = pd.DataFrame(columns=list_names(comparisons.SELECTION))
        trade_off.draw(runs, rows["pareto"], nothing, out / "figures")
    if "tokens" in rows and rows["tokens"]["group"].isin(tokens_figure.AXES).any():
        tokens_figure.draw(runs, read_table(out / "tables" / "tokens.csv"), out / "figures")
    _write_record(paired, runs, out / RECORD)
    return rows


def _write_record(paired: Paired, runs: Runs, path: Path) -> None:
    counts = paired.scores[paired.scores["variant"] == runs.reference].groupby("benchmark").size()
    record = {
        "reference": runs.reference,
        "benchmarks": {name: int(counts[name]) for name in runs.benchmark_names},
        "left_out": paired.left_out,
        "questions_not_common": paired.cut,
        "statistics": runs.statistics.model_dump() | {"seed": runs.seed},
        "runs": {
            label: [
                {"file": str(file), "sha256": sha256_file(file), "provenance": read_provenance(file)}
                for file in files
            ]
            for label, files in paired.files.items()
        },
    }
    write_json(path, record)
