"""Compare a fresh run with the committed tables, within their own intervals.

    python -m benchmarks.tools.compare --reference results/reference/miniature --results results/miniature

The same machine gives the same bytes. Another one rounds differently and a few answers flip, so a score
agrees if it lies within the interval of the committed score. Exit code 0: everything agrees; 1: something
does not, or rows are missing; 2: a table cannot be read.
"""

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.study.results import read_table
from frism.errors import UserError, report_errors

KEYS = {"axes": ["variant", "group"], "benchmarks": ["variant", "benchmark"], "text": ["variant", "task"]}
NEEDED = ["n", "score", "low", "high"]


def compare(reference: Path, fresh: Path) -> pd.DataFrame:
    """Return committed and fresh score of every row of the tables axes, benchmarks and text.

    Columns: table, name, n, reference, low, high, fresh, verdict. Verdicts: `equal`, `within` the committed
    interval, `outside` it, `other n`, `missing` (in the fresh tables), `new` (not committed: no failure,
    a study may grow). Raises UserError for a table that cannot be read.
    """
    parts = []
    for table, keys in KEYS.items():
        old, new = (_read(folder / "tables" / f"{table}.csv", keys) for folder in (reference, fresh))
        names = old.index.append(new.index.difference(old.index, sort=False))
        both = old.reindex(names).join(new.reindex(names), lsuffix="_old", rsuffix="_new")
        for name, (_, row) in zip(both.index, both.iterrows(), strict=True):
            parts.append(
                {
                    "table": table,
                    "name": " ".join(str(part) for part in name),
                    "n": row["n_new"] if pd.notna(row["n_new"]) else row["n_old"],
                    "reference": row["score_old"],
                    "low": row["low_old"],
                    "high": row["high_old"],
                    "fresh": row["score_new"],
                    "verdict": _judge(row),
                }
            )
    return pd.DataFrame(parts)


def agrees(rows: pd.DataFrame) -> bool:
    """Return whether nothing is missing, outside, or made from another number of questions."""
    return not rows["verdict"].isin(["outside", "other n", "missing"]).any()


def _judge(row: pd.Series) -> str:
    if pd.isna(row["score_new"]):
        return "missing"
    if pd.isna(row["score_old"]):
        return "new"
    if row["n_old"] != row["n_new"]:
        return "other n"
    if row["score_old"] == row["score_new"]:
        return "equal"
    return "within" if row["low_old"] <= row["score_new"] <= row["high_old"] else "outside"


def _read(path: Path, keys: list[str]) -> pd.DataFrame:
    frame = read_table(path)
    missing = [c for c in [*keys, *NEEDED] if c not in frame.columns]
    if missing and len(frame):
        raise UserError(f"{path} lacks the column {missing[0]}: write the tables again.")
    frame = frame.reindex(columns=[*keys, *NEEDED]).set_index(keys)
    if frame.index.has_duplicates:
        raise UserError(f"{path} has a row twice: write the tables again.")
    return frame


@report_errors()
def main(
    reference: Annotated[Path, typer.Option(help="the committed study, with tables/")],
    results: Annotated[Path, typer.Option(help="the fresh study, with tables/")],
    every: Annotated[
        bool, typer.Option("--all", help="show the rows of single benchmarks that agree, too")
    ] = False,
) -> None:
    """Compare a fresh run with the committed tables."""
    rows = compare(reference, results)
    shown = rows if every else rows[(rows["table"] == "axes") | ~rows["verdict"].isin(["equal", "within"])]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("table", "row", "n", "committed", "interval", "fresh", ""):
        table.add_column(
            column, justify="right" if column in ("n", "committed", "interval", "fresh") else "left"
        )
    for row in shown.to_dict("records"):
        committed, fresh = ("" if pd.isna(v) else f"{v:.4f}" for v in (row["reference"], row["fresh"]))
        limits = "" if pd.isna(row["low"]) else f"{row['low']:.4f} to {row['high']:.4f}"
        table.add_row(row["table"], row["name"], f"{row['n']:.0f}", committed, limits, fresh, row["verdict"])
    console = Console(width=None if Console().is_terminal else 120)
    console.print(table)
    counts = ", ".join(f"{n} {verdict}" for verdict, n in rows["verdict"].value_counts(sort=False).items())
    console.print(f"{len(rows)} scores: {counts}.")
    console.print("The fresh run agrees." if agrees(rows) else "The fresh run does NOT agree.")
    raise SystemExit(0 if agrees(rows) else 1)


if __name__ == "__main__":
    typer.run(main)
