"""Compare runs of one or more benchmarks, made here or elsewhere: `frism compare results/imported`.

Reads the scores that `frism import` or a study wrote. No checkpoint, model or config is needed. What a
study's tables give is written to OUT/tables (CSV and Markdown) and OUT/figures.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

import benchmarks.stages  # noqa: F401 (first: it keeps the bars of libraries off the terminal)
from frism.commands.console import Json, make_console
from frism.errors import report_errors

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from benchmarks.tools.foreign.runs import Paired

OUT = Path("results/compared")
FORM = ("not_extracted", "truncated", "repeated")


@report_errors()
def main(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...", help="Folders of frism import or of studies, files of scores, or LABEL=FILE."
        ),
    ],
    reference: Annotated[
        str | None, typer.Option(help="The run that others are compared with; by default the first.")
    ] = None,
    subset: Annotated[
        bool,
        typer.Option("--subset", help="Compare on the questions that all runs share, if not all do."),
    ] = False,
    out: Annotated[Path, typer.Option(help="The folder of tables and figures.")] = OUT,
    as_json: Json = False,
) -> None:
    """Compare runs question by question: paired tests, flips, ties and style, as in a study's tables.

    Exit code 2 with one sentence where runs cannot be paired: other questions, other right answers, scores by
    other versions of the rules.
    """
    from benchmarks.tools.foreign.comparison import write_comparison
    from benchmarks.tools.foreign.runs import find_runs, pair_runs

    paired = pair_runs(find_runs(runs), reference, subset)
    tables = write_comparison(paired, out)
    if as_json:
        print(json.dumps(_make_json(paired, tables), indent=1))
        return
    console = make_console()
    console.print(_lay_out(paired, tables["benchmarks"]))
    for line in list_notes(paired):
        console.print(line, soft_wrap=True)
    console.print(f"Tables and figures: {out}", soft_wrap=True)


def list_notes(paired: "Paired") -> list[str]:
    """List what was left out of the comparison, a sentence each."""
    notes = [f"Left out: {name}, {why}." for name, why in paired.left_out.items()]
    return notes + [
        f"{name}: {number} questions that not all runs answered are left out."
        for name, number in paired.cut.items()
    ]


def _make_json(paired: "Paired", tables: "dict[str, pd.DataFrame]") -> dict[str, Any]:
    shown = {name: tables[name] for name in ("benchmarks", "axes", "style")}
    return {
        "reference": next(iter(paired.files)), "left_out": paired.left_out, "not_common": paired.cut,
        **{name: json.loads(frame.to_json(orient="records")) for name, frame in shown.items()},
    }  # fmt: skip


def _lay_out(paired: "Paired", rows: "pd.DataFrame") -> "Table":
    """Lay out one line a benchmark and run; what files do not say of their answers is unknown."""
    from rich.table import Table

    from benchmarks.tables.cells import format_interval, format_probability

    reference = next(iter(paired.files))
    table = Table(caption=f"Against {reference}; p: exact McNemar test, adjusted by Holm", box=None)
    names = ("benchmark", "run", "n", "score", "difference", "p", "gained", "lost", *FORM)
    for column in names:
        side: Literal["left", "right"] = "left" if column in ("benchmark", "run") else "right"
        table.add_column(column.replace("_", " "), justify=side)
    for row in rows.to_dict("records"):
        form = _describe_form(paired.scores, row["variant"], row["benchmark"])
        first = row["variant"] == reference
        if first and table.row_count:
            table.add_section()
        difference = (row[end] for end in ("difference", "difference_low", "difference_high"))
        table.add_row(
            row["benchmark"], row["variant"], str(int(row["n"])),
            format_interval(row["score"], row["low"], row["high"]),
            _format_difference(*difference), format_probability(row["p_holm"]),
            *(("", "") if first else (str(int(row["gained"])), str(int(row["lost"])))), *form,
        )  # fmt: skip
    return table


def _format_difference(value: float, low: float, high: float) -> str:
    from benchmarks.tables.cells import format_interval

    return format_interval(value, low, high, signed=True)


def _describe_form(scores: "pd.DataFrame", label: str, benchmark: str) -> list[str]:
    own = scores[(scores["variant"] == label) & (scores["benchmark"] == benchmark)]
    shares = [own["extracted"].isna().astype(float), *(own[name].astype(float) for name in FORM[1:])]
    return ["unknown" if share.isna().all() else f"{share.mean():.3f}" for share in shares]


if __name__ == "__main__":
    typer.run(main)
