"""Write tables: how a column's values are formatted in a CSV and in Markdown, and both files of a table."""

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, SupportsFloat

import pandas as pd

from benchmarks.study.results import format_params
from frism.files import atomic_write
from frism.markdown import escape_cell

# Texts, aligned left: `name`, and `params` (JSON in the CSV, shown as `strength=0.3`). Texts, aligned right:
# `mark` (yes, no, a few letters) and `answer`, a model's own text, which may hold line breaks.
TextKind = Literal["name", "params", "mark", "answer"]
# Numbers: `share` has 4 decimals, in Markdown 3; `difference` is a share with a sign beside its interval;
# `low` and `high` are the ends of the interval of the column before them; `length`, a mean number of tokens,
# has 2 decimals, in Markdown with its interval 1.
NumberKind = Literal[
    "count", "share", "difference", "length", "low", "high", "p", "four_digits", "two_decimals"
]
FORMATS = {"p": ".4g", "four_digits": ".4g", "two_decimals": ".2f", "length": ".2f"}


@dataclass(frozen=True)
class Column:
    """One column of a table: its name in the CSV, the kind of its values, whether only some have it."""

    name: str
    kind: TextKind | NumberKind
    optional: bool = False


@dataclass(frozen=True)
class Table:
    """Rows, and the columns of them that are written, in order; optional ones that the rows lack are not."""

    rows: pd.DataFrame
    columns: Sequence[Column]

    def __post_init__(self) -> None:
        there = [c for c in self.columns if not c.optional or c.name in self.rows]
        object.__setattr__(self, "columns", there)


def make_columns(kind: TextKind | NumberKind, *names: str) -> list[Column]:
    """List columns of one kind."""
    return [Column(name, kind) for name in names]


def make_estimate(name: str, low: str = "", high: str = "") -> list[Column]:
    """List a share's column and those of its interval's ends, `name_low` and `name_high` unless named.

    `difference` and `tokens` are of kinds of their own.
    """
    own: dict[str, NumberKind] = {"difference": "difference", "tokens": "length"}
    kind = own.get(name, "share")
    return [Column(name, kind), Column(low or f"{name}_low", "low"), Column(high or f"{name}_high", "high")]


def list_names(columns: Sequence[Column]) -> list[str]:
    """List the names of columns, to build a frame with."""
    return [column.name for column in columns]


def write_table(
    table: Table, out: Path, name: str, title: str, legend: str, shown: Sequence[Table] = ()
) -> None:
    """Write one table twice: every number in the CSV, intervals folded into their cells in the Markdown.

    `shown`: other tables for the Markdown, where the CSV is too long to read. Answers in the CSV are quoted:
    a bare carriage return in one would end the line for whoever reads it.
    """
    cells = {c.name: [format_cell(c.kind, v) for v in table.rows[c.name]] for c in table.columns}
    quoted = any(column.kind == "answer" for column in table.columns)
    with atomic_write(out / f"{name}.csv") as path:
        pd.DataFrame(cells, columns=list_names(table.columns)).to_csv(
            path, index=False, lineterminator="\n", quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL
        )
    with atomic_write(out / f"{name}.md") as path:
        parts = "\n\n".join(_format_markdown(part) for part in shown or [table])
        path.write_text(f"# {title}\n\n{legend}\n\n{parts}\n", encoding="utf-8")


def format_cell(
    kind: TextKind | NumberKind, value: str | SupportsFloat, digits: int = 4, signed: bool = False
) -> str:
    """Format a value as the CSV holds it; "" for no number. `digits` and `signed` are for shares.

    A text stays as it is whatever the kind: VLMEvalKit's totals are numbers with a text here and there.
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    number = float(value)
    if math.isnan(number):
        return ""
    if kind == "count":
        return str(int(number))
    if kind in FORMATS:
        return f"{number:{FORMATS[kind]}}"
    number = round(number, digits) + 0.0  # no "-0.0000"
    return f"{number:+.{digits}f}" if signed else f"{number:.{digits}f}"


def format_interval(value: float, low: float, high: float, signed: bool = False, digits: int = 3) -> str:
    """Format `0.512 [0.470, 0.554]`; with a sign for differences; "" for no number."""
    if math.isnan(value):
        return ""
    point, lower, upper = (format_cell("share", v, digits, signed) for v in (value, low, high))
    return f"{point} [{lower}, {upper}]" if lower and upper else point


def format_probability(p: float) -> str:
    """Format `0.012`, `<0.001`; "" for no test."""
    return "" if math.isnan(p) else "<0.001" if p < 0.001 else f"{p:.3f}"


def _format_markdown(table: Table) -> str:
    visible = [c for c in table.columns if c.kind not in ("low", "high")]
    cells = {c.name.replace("_", " "): _format_column(table, c) for c in visible}
    sides = ["left" if c.kind in ("name", "params") else "right" for c in visible]
    shown = pd.DataFrame(cells)
    return shown.to_markdown(index=False, disable_numparse=True, colalign=sides) if len(shown) else "No rows."


def _format_column(table: Table, column: Column) -> list[str]:
    """Format a column for Markdown, with its interval where the next two columns are the ends of one."""
    values = table.rows[column.name]
    following = table.columns[table.columns.index(column) + 1 :][:2]
    if [c.kind for c in following] == ["low", "high"]:
        low, high = (table.rows[c.name] for c in following)
        signed, digits = column.kind == "difference", 1 if column.kind == "length" else 3
        return [format_interval(*ends, signed, digits) for ends in zip(values, low, high, strict=True)]
    if column.kind == "p":
        return [format_probability(p) for p in values]
    if column.kind == "params":
        return [escape_cell(format_params(json.loads(p))) for p in values]
    return [escape_cell(format_cell(column.kind, v, 3)) for v in values]
