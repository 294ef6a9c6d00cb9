"""Count the marks that a reviewer exported from an audit page: `frism import-marks marks.json --results ...`.

Writes OUT/agreement.{csv,md}, how often each rule read an answer wrong, with intervals, and OUT/cases.jsonl,
the reviewed answers as cases for tests of the extractor.
"""

import json
from pathlib import Path
from typing import Annotated

import typer

import benchmarks.stages  # noqa: F401 (first: it keeps the bars of libraries off the terminal)
from frism.commands.console import Json, make_console
from frism.errors import report_errors


@report_errors()
def main(
    files: Annotated[
        list[Path], typer.Argument(help="Files that the page's view Review exported, one a reviewer.")
    ],
    results: Annotated[Path, typer.Option(help="The results folder of the study that was reviewed.")],
    out: Annotated[
        Path | None, typer.Option(help="Where to write; default: marks/ in the results folder.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Count a reviewer's marks: how often extraction was wrong by rule, and cases for tests.

    Exit code 2 with one sentence for a file without marks, another study, and answers that are read otherwise
    by now; nothing is written then.
    """
    from rich.table import Table

    from benchmarks.page import reviewing
    from benchmarks.study.config import StudyConfig
    from benchmarks.study.layout import Layout
    from benchmarks.tables.cells import format_interval, write_table
    from frism.files import atomic_write

    study = StudyConfig.read(Layout(results).record)
    marks = [reviewing.read_marks(path) for path in files]
    notes = [
        n for p, m in zip(files, marks, strict=True) if (n := reviewing.check_study(p, m, results, study))
    ]
    answers = reviewing.find_answers(results, reviewing.join_marks(marks))
    table, cases = reviewing.count_by_rule(results, study, answers), reviewing.write_cases(results, answers)
    out = out or results / "marks"
    legend = " ".join(reviewing.LEGEND.format(level=f"{study.statistics.confidence:.0%}").split())
    write_table(table, out, "agreement", reviewing.TITLE, legend)
    with atomic_write(out / "cases.jsonl") as path:
        path.write_text(cases, encoding="utf-8")
    rows = table.rows.to_dict("records")
    if as_json:
        print(json.dumps(json.loads(table.rows.to_json(orient="records")), indent=1))
        return
    shown = Table(box=None)
    for name in ("rule", "reviewed", "misread", "share"):
        shown.add_column(name, justify="left" if name == "rule" else "right")
    for row in rows:
        share = format_interval(row["misread_share"], row["misread_share_low"], row["misread_share_high"])
        shown.add_row(row["rule"], str(row["reviewed"]), str(row["misread"]), share)
    console = make_console()
    console.print(shown)
    for note in notes:
        console.print(note, soft_wrap=True)
    console.print(f"Table and cases: {out}", soft_wrap=True)


if __name__ == "__main__":
    typer.run(main)
