"""Every column has its kind: committed tables, written again from their own numbers, are the same."""

import re
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.stages import explain, tables
from benchmarks.tables import cells, comparisons
from benchmarks.tables.cells import Column, Table, format_interval, format_probability

COMMITTED = Path("results/reference/miniature/tables")
COLUMNS = tables.TABLES | explain.TABLES
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?")


def read(name):
    """The committed rows; empty cells of numbers are missing."""
    kinds = {column.name: column.kind for column in COLUMNS[name]}
    texts = {c: str for c, kind in kinds.items() if kind in ("name", "params", "mark")}
    missing = {c: [""] for c in kinds if c not in texts}
    rows = pd.read_csv(COMMITTED / f"{name}.csv", dtype=texts, keep_default_na=False, na_values=missing)
    optional = {column.name for column in COLUMNS[name] if column.optional}
    assert list(rows.columns) == [column for column in kinds if column not in optional or column in rows]
    return rows


def write(name, out):
    rows = read(name)
    shown = explain._select_shown(name, rows) if name in explain.TABLES else ()
    if name == "selection":
        # The CSV holds the sentence alone; as rows are made, choice.json says whether the budget was missed.
        missed = rows["rule"].str.startswith("budget missed")
        chosen = rows.assign(chosen=rows["chosen"] == "yes", budget_missed=missed)
        shown = [comparisons.show_selection(chosen)]
    cells.write_table(Table(rows, COLUMNS[name]), out, name, "title", "legend", shown)


NAMES = sorted(path.stem for path in COMMITTED.glob("*.csv"))


def test_every_committed_table_has_columns():
    assert len(NAMES) > 15 and set(NAMES) <= COLUMNS.keys()


@pytest.mark.parametrize("name", NAMES)
def test_committed_csv_is_written_again(name, tmp_path):
    write(name, tmp_path)
    assert (tmp_path / f"{name}.csv").read_bytes() == (COMMITTED / f"{name}.csv").read_bytes()


@pytest.mark.parametrize("name", [name for name in NAMES if name != "tied"])  # its Markdown is laid out anew
def test_committed_markdown_has_the_same_cells(name, tmp_path):
    write(name, tmp_path)
    new, old = (
        [line for line in p.read_text().splitlines() if line.startswith("|") or line == "No rows."]
        for p in (tmp_path / f"{name}.md", COMMITTED / f"{name}.md")
    )
    assert len(new) == len(old)
    for line, expected in zip(new, old, strict=True):
        # Rounded twice, as the CSV holds four digits, a number may differ by one in its last place.
        assert NUMBER.sub("#", line) == NUMBER.sub("#", expected)
        for a, b in zip(NUMBER.findall(line), NUMBER.findall(expected), strict=True):
            decimals = len(b.partition(".")[2])
            assert abs(float(a) - float(b)) <= 1.01 * 10**-decimals * (decimals > 0), (a, b)


def test_formats_by_hand(tmp_path):
    assert format_interval(0.51234, 0.47, 0.554) == "0.512 [0.470, 0.554]"
    assert format_interval(-0.00001, -0.02, 0.02, signed=True) == "+0.000 [-0.020, +0.020]"
    assert format_interval(float("nan"), float("nan"), float("nan")) == ""
    assert [format_probability(p) for p in (0.0004, 0.012, float("nan"))] == ["<0.001", "0.012", ""]
    kinds = {"count": "7", "share": "7.1235", "four_digits": "7.123", "two_decimals": "7.12", "p": "7.123"}
    assert {kind: cells.format_cell(kind, 7.12345) for kind in kinds} == kinds
    assert [cells.format_cell("share", v) for v in (True, "x", float("nan"), -1e-9)] == [
        "yes",
        "x",
        "",
        "0.0000",
    ]


def test_only_listed_columns_are_written_and_answers_are_quoted(tmp_path):
    rows = pd.DataFrame({"variant": ["a"], "answer": ["x\ry"], "private": [1]})
    table = Table(rows, [Column("variant", "name"), Column("answer", "answer")])
    cells.write_table(table, tmp_path, "t", "T", "L")
    assert (tmp_path / "t.csv").read_bytes() == b'"variant","answer"\n"a","x\ry"\n'
    with pytest.raises(KeyError):
        cells.write_table(Table(rows, [Column("absent", "share")]), tmp_path, "t", "T", "L")
