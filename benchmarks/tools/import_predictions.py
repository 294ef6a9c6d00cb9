"""Score predictions that another harness wrote: `frism import results.xlsx --benchmark MMStar --as Qwen`.

Reads VLMEvalKit's xlsx and tsv, sample files of lm-eval and lmms-eval, and plain JSON lines
{"index": ..., "prediction": ...}; matches them to the benchmark's questions by index, stores them as
predictions of this project and scores them as a study's answers are. `frism compare` shows several side by
side.
"""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml

import benchmarks.stages  # noqa: F401 (first: it keeps the bars of libraries off the terminal)
from benchmarks.registry.definition import NAME, Definition
from frism.commands.console import Json, make_console
from frism.errors import UserError, report_errors

if TYPE_CHECKING:
    from benchmarks.tools.foreign.importing import Imported

OUT = Path("results/imported")


@report_errors()
def main(
    file: Annotated[Path, typer.Argument(help="The predictions; the format is recognised by the content.")],
    benchmark: Annotated[
        str,
        typer.Option(help="Its name, as in a study's config, or a mapping: '{name: X, axis: reasoning}'."),
    ],
    label: Annotated[str, typer.Option("--as", help="What to call the run in tables and figures.")],
    data: Annotated[
        Path | None, typer.Option(help="The folder of the benchmark's TSV, or of mirrors of the hub.")
    ] = None,
    items: Annotated[
        Path | None, typer.Option(help="A study's items folder: its test questions are meant, not all.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The folder of imported runs.")] = OUT,
    index_key: Annotated[
        str | None, typer.Option(help="The field or column that holds the index, if it is called otherwise.")
    ] = None,
    subset: Annotated[
        bool, typer.Option("--subset", help="Score the questions that file and benchmark share, if not all.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what the label held.")] = False,
    as_json: Json = False,
) -> None:
    """Score predictions that another harness wrote, as a study's answers are scored.

    Exit code 2 with one sentence for a file that is not known, and for indices that are missing, surplus or
    double; nothing is left of an import that fails.
    """
    from benchmarks.tools.foreign.formats import read_file
    from benchmarks.tools.foreign.importing import import_answers

    if not re.fullmatch(NAME, label):
        raise UserError(f"the label '{label}' becomes a file's name: use letters, digits and _ . + - alone.")
    definition = find_benchmark(benchmark)
    imported = import_answers(
        read_file(file, index_key), definition, label, out,
        data=data, items=items, subset=subset, overwrite=overwrite,
    )  # fmt: skip
    report = summarise(imported, definition, label)
    if as_json:
        print(json.dumps(report, indent=1))
    else:
        _show(report)


def find_benchmark(text: str) -> Definition:
    """Find a benchmark by its name or by a mapping in YAML. Raises UserError for an unknown one."""
    from benchmarks.registry.lookup import find

    if not text.lstrip().startswith("{"):
        return find(text)
    try:
        mapping = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"the benchmark {text!r} is no mapping in YAML ({error}): correct it.") from None
    return find(mapping)


def summarise(imported: "Imported", definition: Definition, label: str) -> dict[str, Any]:
    """Summarise an import: what was matched, scores with their interval, and the form of the answers."""
    from benchmarks.study.compared import Runs
    from benchmarks.tables.comparisons import build_style_rows
    from benchmarks.tables.score_matrix import ScoreMatrix

    matched, table = imported.matched, imported.table.assign(variant=label)
    runs = Runs((label,), label, (definition.name,))
    score, (low, high) = ScoreMatrix.of(table, [definition.name]).mean(runs, label, [definition.name])
    style = build_style_rows(runs, table, list(table["heading"].unique())).iloc[0]
    form = {name: None if style[name] != style[name] else float(style[name])
            for name in ("score_raw", "not_extracted", "truncated", "repeated")}  # fmt: skip
    return {
        "label": label, "benchmark": definition.name, "file": str(imported.file.path),
        "format": imported.file.format, "index_key": matched.key,
        "n": len(table), "questions": imported.asked, "missing": len(matched.missing),
        "surplus": len(matched.surplus), "reworded": list(matched.reworded),
        "notes": list(imported.file.notes), "score": score, "low": low, "high": high, **form,
        "scores": str(imported.scores),
    }  # fmt: skip


def write_sentence(report: dict[str, Any]) -> str:
    """Write what was matched in one sentence, and what to know of it."""
    parts = [
        f"{report['label']}: {report['n']} of {report['questions']} questions of {report['benchmark']}"
        f" ({report['format']}, matched by {report['index_key']})"
    ]
    if report["surplus"]:
        parts.append(f"{report['surplus']} answers to other questions left out")
    if reworded := report["reworded"]:
        parts.append(f"{len(reworded)} questions are worded otherwise in the file, such as {reworded[0]}")
    if report["notes"]:
        parts.append("answers: " + ", ".join(report["notes"]))
    return "; ".join(parts) + "."


def _show(report: dict[str, Any]) -> None:
    from rich.table import Table

    from benchmarks.tables.cells import format_cell, format_interval

    table = Table(box=None)
    columns = ("n", "score", "raw text", "not extracted", "truncated", "repeated")
    for column in columns:
        table.add_column(column, justify="right")
    form = (report[name] for name in ("score_raw", "not_extracted", "truncated", "repeated"))
    table.add_row(
        str(report["n"]), format_interval(report["score"], report["low"], report["high"]),
        *("unknown" if value is None else format_cell("share", value, 3) for value in form),
    )  # fmt: skip
    console = make_console()
    console.print(write_sentence(report), soft_wrap=True)
    console.print(table)
    console.print(f"Scores: {report['scores']}", soft_wrap=True)


if __name__ == "__main__":
    typer.run(main)
