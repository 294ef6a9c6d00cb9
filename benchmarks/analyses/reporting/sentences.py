"""Put the verdicts on the papers' claims into sentences for the summary."""

from pathlib import Path

import pandas as pd

from benchmarks.analyses.reporting.claims import CLAIMS, CONFIRMED, REFUTED, UNDECIDED
from benchmarks.study.results import read_table
from benchmarks.tables.cells import format_interval


def describe_claims(path: Path) -> list[str]:
    """Write a sentence per claim: how often it was confirmed, refuted, undecided, and by which knock-outs.

    None where the study has no such table.
    """
    if not path.exists():
        return []
    table = read_table(path)
    return [
        _describe(claim.name, claim.number, claim.bound, rows)
        for claim in CLAIMS
        if len(rows := table[table["claim"] == claim.name])
    ]


def _describe(name: str, number: str, bound: float, rows: pd.DataFrame) -> str:
    parts = []
    for verdict in (CONFIRMED, REFUTED, UNDECIDED):
        own = rows[rows["verdict"] == verdict]
        if len(own):
            listed = ", ".join(
                f"`{row['variant']}` {row['module']} {row['action']}"
                f" {format_interval(row['estimate'], row['low'], row['high'], signed=True)}".rstrip()
                for row in own.to_dict("records")
            )
            parts.append(f"{verdict} by {len(own)} of {len(rows)} ({listed})")
    return f"{name[0].upper()}{name[1:]} ({number}; bound {bound:g}): {'; '.join(parts)}."
