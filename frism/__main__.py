"""The command line: `frism methods` and `frism inspect`."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from frism import methods
from frism.alignment import LayerNorms, Report, inspect
from frism.errors import reported
from frism.parameters import Parameter
from frism.triples import DEFAULT_SCOPE, Triple

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@app.command("methods")
@reported()
def list_methods(as_json: Json = False) -> None:
    """List every merging method with its label, parameters and defaults."""
    found = [methods.find(name) for name in methods.available()]
    if as_json:
        print(json.dumps([_method_row(method) for method in found], indent=2))
        return
    table = Table(title="Merging methods")
    for column in ("method", "label", "reads", "parameters", "fits"):
        table.add_column(column, no_wrap=column == "method")
    for method in found:
        parameters = "\n".join(f"{p.name}: {_kind(p)} = {p.default!r}" for p in method.parameters.values())
        fits = " + ".join(
            word
            for word, needed in (
                ("calibration", method.needs_calibration),
                ("reference", method.needs_reference),
            )
            if needed
        )
        table.add_row(method.name, method.label, " ".join(method.sources), parameters, fits)
    _console().print(table)


@app.command("inspect")
@reported()
def inspect_triple(
    base: Annotated[Path, typer.Argument(help="Folder of the base language model B.")],
    vlm: Annotated[Path, typer.Argument(help="Folder of the vision-language model V.")],
    lrm: Annotated[Path, typer.Argument(help="Folder of the reasoning model R.")],
    scope: Annotated[str, typer.Option(help="mat, mat+bias or mat+bias+norm.")] = DEFAULT_SCOPE,
    as_json: Json = False,
) -> None:
    """Check that three checkpoints align, and show norms and cosine of their task vectors per layer."""
    triple = Triple.open(base, vlm, lrm, scope)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("reading tensors", total=len(triple.names()))
        report = inspect(triple, progress=lambda name: progress.advance(task))
    if as_json:
        print(json.dumps(report.as_dict(), indent=2))
    else:
        _show(report)


def _show(report: Report) -> None:
    console = _console()
    sides = Table(title="Checkpoints")
    for column in ("role", "folder", "type", "tensors", "values", "stored as", "sha256"):
        sides.add_column(
            column, overflow="fold", justify="right" if column in ("tensors", "values") else "left"
        )
    for side in report.sides:
        dtypes = ", ".join(f"{dtype} ({count})" for dtype, count in side.dtypes.items())
        counts = (str(side.tensors), f"{side.values:,}")
        sides.add_row(side.role, side.folder, side.model_type, *counts, dtypes, side.digest[:12])
    console.print(sides)
    shapes = ", ".join(f"{count} of {shape}" for shape, count in report.shapes.items())
    console.print(f"Scope {report.scope}: {report.aligned} aligned tensors ({shapes}).", highlight=False)
    layers = Table(title="Task vectors: tau_V = V - B, tau_R = R - B")
    for column in (
        "layer",
        "tensors",
        "|B|",
        "|tau_V|",
        "|tau_R|",
        "|tau_V| / |B|",
        "|tau_R| / |B|",
        "cosine",
    ):
        layers.add_column(column, justify="right")
    for row in report.layers:
        layers.add_row("final norm" if row.layer is None else str(row.layer), *_cells(row))
    layers.add_section()
    layers.add_row("all", *_cells(report.total))
    console.print(layers)
    for note in report.notes:
        console.print(f"Note: {note}", highlight=False)


def _cells(row: LayerNorms) -> list[str]:
    relative = [f"{tau / row.base:.4f}" if row.base else "-" for tau in (row.tau_vlm, row.tau_lrm)]
    norms = [f"{value:.4g}" for value in (row.base, row.tau_vlm, row.tau_lrm)]
    cosine = f"{row.cosine:+.4f}" if row.tau_vlm and row.tau_lrm else "-"
    return [str(row.tensors), *norms, *relative, cosine]


def _console() -> Console:
    # A pipe has no width of its own: do not fold the table to 80 columns there.
    console = Console()
    return console if console.is_terminal else Console(width=140)


def _kind(parameter: Parameter) -> str:
    return "|".join(parameter.choices) or parameter.type


def _method_row(method: methods.Method) -> dict[str, object]:
    return {
        "name": method.name,
        "label": method.label,
        "module": method.module,
        "reads": list(method.sources),
        "scope": method.scope,
        "parameters": {
            p.name: {"type": p.type, "default": p.default}
            | ({"choices": list(p.choices)} if p.choices else {})
            for p in method.parameters.values()
        },
        "calibration": method.needs_calibration,
        "reference": method.needs_reference,
        "stochastic": method.stochastic,
    }


def main() -> None:
    """Run the command line (the console script `frism`)."""
    app()


if __name__ == "__main__":
    main()
