"""`frism methods`: every merging method with its label, parameters and defaults."""

import json
from typing import TYPE_CHECKING

from rich.table import Table

from frism.commands.console import Json, console
from frism.errors import report_errors

if TYPE_CHECKING:
    from frism.method.method import Method
    from frism.method.parameters import Parameter


@report_errors()
def list_methods(as_json: Json = False) -> None:
    """List every merging method with its label, parameters and defaults."""
    from frism.method import method as methods

    found = [methods.find(name) for name in methods.available()]
    if as_json:
        print(json.dumps([_row(method) for method in found], indent=2))
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
    console().print(table)


def _kind(parameter: "Parameter") -> str:
    return "|".join(parameter.choices) or parameter.type


def _row(method: "Method") -> dict[str, object]:
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
