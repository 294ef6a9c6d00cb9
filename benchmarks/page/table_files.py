"""Read a study's tables as they stand: cells as the CSV has them, title and legend of the Markdown."""

import csv
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.page.markdown import Node, parse_inline
from frism.errors import UserError

# The order in which a reader wants them; others follow by name.
ORDER = (
    "axes", "benchmarks", "pareto", "tied", "contrasts", "tokens", "style", "text", "selection", "oracle",
    "flips", "samples", "failures", "official", "judges", "published", "costs", "gates_by_layer",
    "gates_by_rank",
    "energy_by_layer", "overlap", "rank_blocks", "bimodality", "ablations", "claims", "knock_outs", "depth",
    "attention", "drift", "reflection", "same_question",
)  # fmt: skip
# Needed by the first view, or small and needed by most.
FIRST = ("axes", "benchmarks", "pareto", "tokens", "style", "selection")
ROWS = 4000  # of a part of a table that is too long for one shard


@dataclass(frozen=True)
class TableFile:
    """Holds one table: its columns, and its rows as texts.

    Attributes:
        intervals: by the position of an estimate's column, those of its interval's ends.
        numeric: for every column, whether all its cells are numbers or empty.
    """

    name: str
    title: str
    legend: list[Node]
    columns: list[str]
    rows: list[list[str]]

    @property
    def intervals(self) -> dict[int, tuple[int, int]]:
        """Find the estimates that are followed by the ends of their intervals."""
        found = {}
        for place, column in enumerate(self.columns[:-2]):
            low, high = self.columns[place + 1 : place + 3]
            if (low, high) in ((f"{column}_low", f"{column}_high"), ("low", "high")):
                found[place] = (place + 1, place + 2)
        return found

    @property
    def numeric(self) -> list[bool]:
        """Tell which columns hold numbers alone."""
        cells = list(zip(*self.rows, strict=True)) or [()] * len(self.columns)
        return [bool(any(column)) and all(map(_is_number, column)) for column in cells]

    def describe(self) -> dict[str, Any]:
        """Describe the table without its rows."""
        return {
            "name": self.name, "title": self.title, "legend": self.legend, "columns": self.columns,
            "intervals": {str(k): v for k, v in self.intervals.items()}, "numeric": self.numeric,
            "rows": len(self.rows), "parts": max(1, -(-len(self.rows) // ROWS)),
        }  # fmt: skip


def read_tables(folder: Path) -> list[TableFile]:
    """Read every table of a folder, in ORDER. Raises UserError for one that cannot be read."""
    names = sorted(path.stem for path in folder.glob("*.csv"))
    known = [name for name in ORDER if name in names]
    return [
        read_table_file(folder / f"{name}.csv") for name in (*known, *(n for n in names if n not in known))
    ]


def read_table_file(path: Path) -> TableFile:
    """Read one table with the Markdown file beside it. Raises UserError when it is missing or broken."""
    csv.field_size_limit(sys.maxsize)
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            header, *rows = list(csv.reader(stream)) or [[]]
        beside = path.with_suffix(".md")
        text = beside.read_text(encoding="utf-8") if beside.exists() else ""
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{path} is not a readable table ({error}): make the tables again.") from None
    if any(len(row) != len(header) for row in rows):
        raise UserError(f"{path} has rows of other lengths than its header: make the tables again.")
    title, legend = _read_words(text)
    return TableFile(path.stem, title or path.stem, parse_inline(legend), header, rows)


def _read_words(text: str) -> tuple[str, str]:
    """Read title and legend of a table's Markdown: its heading, and the paragraph below."""
    paragraphs = text.split("\n\n")
    if not paragraphs[0].startswith("# "):
        return "", ""
    legend = paragraphs[1] if len(paragraphs) > 1 and not paragraphs[1].startswith("|") else ""
    return paragraphs[0].removeprefix("# ").strip(), legend


def _is_number(cell: str) -> bool:
    if not cell:
        return True
    try:
        float(cell)
    except ValueError:
        return False
    return True
