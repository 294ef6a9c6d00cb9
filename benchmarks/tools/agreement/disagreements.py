"""List the outputs that we and the reference judge differently, by what each of the two read."""

import re
from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from benchmarks.scoring.equality import answers_agree
from benchmarks.tools.agreement.references import name_option

COLUMNS = ["source", "model", "index", "kind", "verdict", "reading", "rule", "extracted",
           "reference_extracted", "answer", "stock_agrees", "guessed", "reference_correct", "correct",
           "correct_raw", "raw"]  # fmt: skip
FAULTS = ["source", "verdict", "reading", "rule", "n", "stock_agrees", "guessed"]
READINGS = {
    "read nothing": "we read no answer; `rule` says why",
    "read another answer": "we and the reference read different answers",
    "same answer": "we read what the reference read; judged differently, or the gold answer is",
    "reference read nothing": "we read an answer where the reference read none, and it guessed or gave up",
    "reading not recorded": "we read an answer; what the reference read is not recorded",
}


def list_disagreements(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """List a source's outputs that we judge unlike the reference (COLUMNS).

    `verdict`: "loses" where the reference says right and we say wrong, "gives" the other way; `reading`: one
    of READINGS; `stock_agrees`: whether the stock reader judges as the reference; `guessed`: whether the
    reference judged an output from which it had read no option.

    Args:
        table: as `score_pictures` returns it, with references completed.
    """
    ours, stock = table["correct"] >= 0.5, table["correct_raw"] >= 0.5
    reference = table["reference_correct"].astype(bool)
    table = table.assign(
        source=name,
        verdict=ours.map({True: "gives", False: "loses"}),
        stock_agrees=stock == reference,
        guessed=~table["read"].astype(bool),
    )[ours != reference]
    return table.assign(reading=[_compare_readings(row) for row in table.to_dict("records")])[COLUMNS]


def count_faults(disagreements: pd.DataFrame) -> pd.DataFrame:
    """Count disagreements by source, verdict, reading and rule (FAULTS), the most frequent first."""
    groups = disagreements.groupby(["source", "verdict", "reading", "rule"], sort=False)
    counts = groups.agg(
        n=("index", "size"), stock_agrees=("stock_agrees", "sum"), guessed=("guessed", "sum")
    ).reset_index()
    # By every name: equal counts must not be ordered by chance.
    keys = ["source", "n", "verdict", "reading", "rule"]
    return counts.sort_values(keys, ascending=[True, False, True, True, True])[FAULTS]


def _compare_readings(row: Mapping[Hashable, Any]) -> str:
    extracted, kind = row["extracted"], row["kind"]
    other = "" if pd.isna(row["reference_extracted"]) else str(row["reference_extracted"]).strip()
    if pd.isna(extracted):
        return "read nothing"
    if kind == "option":
        letter = name_option(other, row["options"])
        if not letter:
            return "reference read nothing"
        return "same answer" if letter == extracted else "read another answer"
    if not other or (kind == "yes_no" and other.lower() not in ("yes", "no")):
        return "reading not recorded"
    if kind in ("number", "math"):
        same = answers_agree(str(extracted), other)
    else:
        same = re.sub(r"\W", "", str(extracted)).lower() == re.sub(r"\W", "", other).lower()
    return "same answer" if same else "read another answer"
