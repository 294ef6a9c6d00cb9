"""Print the benchmarks as a table: what each asks, how it is scored, what is known of its data.

python -m benchmarks.tools.catalogue [--json] [--axis reasoning]
prints the prepared table and the definitions.
A figure with "?" was not checked on the published file.
"""

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.registry.definition import Definition
from benchmarks.registry.lookup import find, list_defined, list_prepared
from frism.errors import UserError, report_errors

ANSWERS = {
    "text": "free text", "yes_no": "yes or no", "option": "choice", "options": "letters",
    "number": "number or choice", "json": "JSON",
}  # fmt: skip
JUDGES = {"exact_matching": "exact matching", "rule": "rule judge", "model": "nothing"}
COLUMNS = ("benchmark", "axis", "n", "questions", "metric", "VLMEvalKit asks", "stands in", "clusters",
           "whole", "licence", "MB")  # fmt: skip


def make_row(definition: Definition) -> tuple[str, ...]:
    """Make one line of the table, in the order of COLUMNS."""
    return (
        definition.name, definition.axis, _format_field(definition, "n"), ANSWERS[definition.answers],
        definition.metric, definition.stock_judge or "nothing", JUDGES[definition.judge],
        definition.clusters or "", "yes" if definition.whole else "", _format_field(definition, "licence"),
        _format_field(definition, "download_mb"),
    )  # fmt: skip


def _format_field(definition: Definition, name: str) -> str:
    value: Any = getattr(definition, name)
    if value is None:
        return ""
    text = f"{value:,.0f}" if isinstance(value, int | float) else str(value)
    return text + "?" * (name in definition.unverified)


@report_errors()
def main(
    as_json: Annotated[bool, typer.Option("--json", help="everything, for programs")] = False,
    axis: Annotated[str, typer.Option(help="perception, reasoning, text or other; all without")] = "",
) -> None:
    """Print the benchmarks that a study can name without saying more; any other VLMEvalKit name works too."""
    selected = [d for d in map(find, [*list_prepared(), *list_defined()]) if axis in ("", d.axis)]
    if not selected:
        raise UserError(f"no benchmark has the axis '{axis}': choose perception, reasoning, text or other.")
    if as_json:
        print(json.dumps([d.model_dump(mode="json", by_alias=True) for d in selected], indent=1))
        return
    table = Table(*COLUMNS, box=None, header_style="bold")
    for definition in selected:
        table.add_row(*make_row(definition))
    Console(width=None if Console().is_terminal else 220).print(table)
    print("? not checked on the published file. VLMEvalKit asks: what it would have a language model do.")


if __name__ == "__main__":
    typer.run(main)
