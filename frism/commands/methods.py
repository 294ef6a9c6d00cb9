"""Run `frism methods`: list every merging method with its label, parameters and defaults."""

import json
import re
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from frism.commands.console import Json, make_console
from frism.errors import report_errors

if TYPE_CHECKING:
    from frism.method.method import Method

COLUMNS = ("method", "label", "reads", "parameters", "needs")
MARKDOWN = (
    "method",
    "what it does",
    "number for each",
    "data",
    "gradients",
    "parameters (defaults)",
    "source",
)
DATA = {"calibration": "unlabelled questions", "dev": "dev scores", "reference": "another variant"}
GRADIENTS = {"": "no", "model": "of the model", "weights": "on weights alone"}


@report_errors()
def list_methods(
    names: Annotated[list[str] | None, typer.Argument(help="These methods alone.")] = None,
    as_json: Json = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a table in Markdown.")] = False,
) -> None:
    """List every merging method with its label, parameters and defaults."""
    from frism.method.discovery import find, list_names

    methods = [find(name) for name in names or list_names()]
    if as_json:
        print(json.dumps([_describe(method) for method in methods], indent=2))
        return
    if markdown:
        print(format_markdown(methods), end="")
        if names:
            print(f"\nDeviations from the sources:\n\n{format_deviations(methods)}", end="")
        return
    table = Table(title="Merging methods")
    for column in COLUMNS:
        table.add_column(column, no_wrap=column == "method")
    for method in methods:
        parameters = "\n".join(
            f"{p.name} = {p.default!r}: {p.description}" for p in method.parameters.values()
        )
        needs = " + ".join(sorted(method.needs))
        table.add_row(method.name, method.label, " ".join(method.reads), parameters, needs)
    make_console().print(table)


def format_markdown(methods: "list[Method]") -> str:
    """Format the methods as a Markdown table: what each does, works on and needs, and where it comes from."""
    lines = [f"| {' | '.join(MARKDOWN)} |", "|" + "---|" * len(MARKDOWN)]
    for method in methods:
        summary = method.doc.partition("\n\n")[0].replace("\n", " ").replace("|", "\\|")
        parameters = ", ".join(f"`{p.name}` {_format_value(p.default)}" for p in method.parameters.values())
        data = ", ".join(DATA[need] for need in DATA if need in method.needs)
        cells = (
            f"`{method.name}`", summary, method.granularity or "-", data or "none",
            GRADIENTS[method.gradients], parameters or "-", _link_sources(method.doc) or "this project",
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def format_deviations(methods: "list[Method]") -> str:
    """Format, as a Markdown list, in what each method deviates from its source, in its own words."""
    lines = []
    for method in methods:
        text = " ".join(method.doc.split("\n\n")[1].split())
        start = text.find("Deviation")
        if start >= 0:
            lines.append(f"- `{method.name}`: {text[start:].partition(': ')[2] or text[start:]}")
    return "\n".join(lines) + "\n"


def _link_sources(doc: str) -> str:
    found = dict.fromkeys(re.findall(r"arXiv (\d{4}\.\d{5})", " ".join(doc.split())))
    return ", ".join(f"[{number}](https://arxiv.org/abs/{number})" for number in found)


def _format_value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _describe(method: "Method") -> dict[str, object]:
    return {
        "name": method.name,
        "label": method.label,
        "module": method.module,
        "reads": list(method.reads),
        "scope": method.scope,
        "parameters": {
            p.name: {"type": p.type, "default": p.default}
            | ({"choices": list(p.choices)} if p.choices else {})
            | p.bounds
            for p in method.parameters.values()
        },
        "needs": sorted(method.needs),
        "stochastic": method.stochastic,
    }
