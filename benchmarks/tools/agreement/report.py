"""Write agreement as Markdown: a table of the sources, and one of the faults that occur most."""

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from benchmarks.tools.agreement.readers import READERS

MOST = 5  # kinds of fault shown per source


def write_report(agreement: pd.DataFrame, faults: pd.DataFrame, version: int) -> str:
    """Write the page of a measurement.

    Args:
        agreement: rows of `compare_readers`. faults: as `count_faults` returns them.
        version: the extractor's.
    """
    shown = faults.groupby("source", sort=False).head(MOST)
    parts = [f"Extractor version {version}.", write_agreement(agreement)]
    if len(shown):
        left = f", the {MOST} most frequent kinds of each source" if len(shown) < len(faults) else ""
        parts += [f"Where ours and the reference differ{left}:", write_faults(shown)]
    return "\n\n".join(parts) + "\n"


def write_agreement(table: pd.DataFrame) -> str:
    """Write a line per source; a reader's cell: share judged right, agreement, kappa with its interval."""
    lines = [
        "| source | reference | n | reference right | ours: right, agreement, kappa | stock |"
        " math-verify on the raw text | only stock as the reference | only ours |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in table.to_dict("records"):
        cells = [row["source"], row["reference"], row["n"], f"{row['reference_right']:.3f}"]
        cells += [_write_reader(row, reader) for reader in READERS]
        cells += [
            f"{row[name]} ({row[f'{name}_share']:.2%})"
            for name in ("stock_right_ours_wrong", "ours_right_stock_wrong")
        ]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def write_faults(faults: pd.DataFrame) -> str:
    """Write a line per kind of fault."""
    lines = [
        "| source | ours | | rule | n | stock as the reference | reference guessed |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [f"| {' | '.join(map(str, row))} |" for row in faults.itertuples(index=False, name=None)]
    return "\n".join(lines)


def _write_reader(row: Mapping[Hashable, Any], reader: str) -> str:
    right, agreement, kappa, low, high = (
        row[f"{reader}_{figure}"] for figure in ("right", "agreement", "kappa", "kappa_low", "kappa_high")
    )
    if pd.isna(right):
        return "-"
    interval = "" if pd.isna(low) else f" [{low:.3f}, {high:.3f}]"
    count = f"n = {row[f'{reader}_n']:.0f}, " if reader != "ours" and row[f"{reader}_n"] != row["n"] else ""
    return f"{count}{right:.3f}: {agreement:.4f}, {kappa:.3f}{interval}"
