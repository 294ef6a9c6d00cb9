"""Say what the miniature's population shows of triples like a study's own, by the table `cell` of the study.

The population's numbers are those of results/reference/population. They describe small models made on purpose
and forecast nothing.
"""

from pathlib import Path

import pandas as pd

from benchmarks.study.results import read_table
from benchmarks.tables.cell import TOWER, VISION, WORDS
from benchmarks.tables.cells import format_interval

OVERALL = Path(__file__).resolve().parents[2] / "results/reference/population/tables/overall.csv"
# The population's cell by kind: does V need its change, did R forget?
KINDS = {
    ("no", "no"): "aligned/rehearsed",
    ("no", "yes"): "aligned/forgetful",
    ("yes", "no"): "turned/rehearsed",
    ("yes", "yes"): "turned/forgetful",
}
TOLD = ("inject", "frism")


def describe_kind(rows: pd.DataFrame) -> str:
    """Say what the population's triples of the study's kind show; "" where its kind is not clear.

    Args:
        rows: the table `cell`: question, group, verdict.
    """
    needed = _judge(rows, VISION, {"perception"})
    asked = WORDS if (rows["question"] == WORDS).any() else TOWER
    forgot = _judge(rows, asked, set(rows["group"]) - {"reasoning"})
    cell = KINDS.get((needed, forgot))
    if cell is None or not OVERALL.is_file():  # an installed package has no results
        return ""
    overall = read_table(OVERALL)
    of_cell = overall[
        (overall["cell"] == cell) & (overall["against"] == "vlm") & (overall["measure"] == "test")
    ].sort_values("group", key=lambda groups: groups != "reasoning", kind="stable")
    told = []
    for variant in TOLD:
        own = of_cell[of_cell["variant"] == variant][["group", "estimate", "estimate_low", "estimate_high"]]
        parts = [
            f"{format_interval(value, low, high, signed=True)} in {group}"
            for group, value, low, high in own.itertuples(index=False)
        ]
        told.append(f"`{variant}` {', '.join(parts)}")
    return (
        f"In the miniature's population such triples (`{cell}`; means over {of_cell['bases'].max()} bases,"
        f" intervals over triples) have, against V: {'; '.join(told)}. That is no forecast for other models."
    )


def _judge(rows: pd.DataFrame, question: str, groups: set[str]) -> str:
    """Say "yes" if any group's verdict is, "no" if all are, else "unclear"."""
    verdicts = set(rows[(rows["question"] == question) & rows["group"].isin(groups)]["verdict"])
    return "yes" if "yes" in verdicts else "no" if verdicts == {"no"} else "unclear"
