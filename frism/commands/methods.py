"""Run `frism methods`: list every merging method with its label, parameters and defaults."""

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from frism.commands.console import Json, make_console
from frism.errors import report_errors

if TYPE_CHECKING:
    from frism.method.method import Method

COLUMNS = ("method", "label", "reads", "parameters", "needs")


@report_errors()
def list_methods(
    as_json: Json = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a table in Markdown.")] = False,
) -> None:
    """List every merging method with its label, parameters and defaults."""
    from frism.method.discovery import find, list_names

    methods = [find(name) for name in list_names()]
    if as_json:
        print(json.dumps([_describe(method) for method in methods], indent=2))
        return
    if markdown:
        print(format_markdown(methods), end="")
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
    """Format the methods as a Markdown table: the name, what it does, its parameters and needs."""
    lines = ["| method | what it does | parameters (defaults) | needs |", "|---|---|---|---|"]
    for method in methods:
        summary = method.doc.partition("\n\n")[0].replace("\n", " ").replace("|", "\\|")
        parameters = ", ".join(f"`{p.name}` {_format_value(p.default)}" for p in method.parameters.values())
        needs = ", ".join(sorted(method.needs))
        lines.append(f"| `{method.name}` | {summary} | {parameters or '-'} | {needs or '-'} |")
    return "\n".join(lines) + "\n"


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
