"""Say what the miniature's population shows of triples like a study's own, by the table `cell` of the study.

The population's numbers are those of results/reference/population, whose tables have them with everything
beside them; a test compares. They describe small models made on purpose and forecast nothing.
"""

from collections.abc import Mapping

import pandas as pd

from benchmarks.tables.cell import TOWER, VISION, WORDS
from benchmarks.tables.cells import format_interval

BASES = 3
# By kind (does V need its change, did R forget?): each variant's differences to V on test, with intervals
# over triples (Student's t over bases).
Differences = Mapping[str, Mapping[str, tuple[float, float, float]]]
KINDS: Mapping[tuple[str, str], tuple[str, Differences]] = {
    ("no", "no"): (
        "aligned/rehearsed",
        {
            "inject": {
                "reasoning": (0.1027, -0.5788, 0.7841),
                "perception": (-0.0270, -0.0599, 0.0058),
                "short chains": (-0.0077, -0.0353, 0.0199),
            },
            "frism": {
                "reasoning": (0.2389, -0.5876, 1.0654),
                "perception": (-0.0123, -0.0214, -0.0031),
                "short chains": (-0.1908, -0.8229, 0.4413),
            },
        },
    ),
    ("no", "yes"): (
        "aligned/forgetful",
        {
            "inject": {
                "reasoning": (0.0804, -0.6699, 0.8308),
                "perception": (-0.0356, -0.0981, 0.0270),
                "short chains": (-0.3713, -0.7298, -0.0127),
            },
            "frism": {
                "reasoning": (0.2069, -0.4856, 0.8994),
                "perception": (-0.0119, -0.0235, -0.0003),
                "short chains": (-0.5440, -1.4736, 0.3856),
            },
        },
    ),
    ("yes", "no"): (
        "turned/rehearsed",
        {
            "inject": {
                "reasoning": (0.1840, -0.6490, 1.0170),
                "perception": (-0.0229, -0.0708, 0.0249),
                "short chains": (-0.0569, -0.2232, 0.1094),
            },
            "frism": {
                "reasoning": (0.1431, -0.7907, 1.0769),
                "perception": (-0.0050, -0.0220, 0.0121),
                "short chains": (-0.1307, -0.5667, 0.3054),
            },
        },
    ),
    ("yes", "yes"): (
        "turned/forgetful",
        {
            "inject": {
                "reasoning": (0.1638, -0.6423, 0.9698),
                "perception": (-0.0295, -0.0894, 0.0304),
                "short chains": (-0.4741, -1.2088, 0.2607),
            },
            "frism": {
                "reasoning": (0.1047, -0.6369, 0.8462),
                "perception": (-0.0116, -0.0193, -0.0038),
                "short chains": (-0.6009, -1.7712, 0.5695),
            },
        },
    ),
}


def describe_kind(rows: pd.DataFrame) -> str:
    """Say what the population's triples of the study's kind show; "" where its kind is not clear.

    Args:
        rows: the table `cell`: question, group, verdict.
    """
    needed = _judge(rows, VISION, {"perception"})
    asked = WORDS if (rows["question"] == WORDS).any() else TOWER
    forgot = _judge(rows, asked, set(rows["group"]) - {"reasoning"})
    if (needed, forgot) not in KINDS:
        return ""
    cell, differences = KINDS[needed, forgot]
    told = [
        f"`{variant}` "
        + ", ".join(f"{format_interval(*own, signed=True)} in {group}" for group, own in groups.items())
        for variant, groups in differences.items()
    ]
    return (
        f"In the miniature's population such triples (`{cell}`; means over {BASES} bases, intervals over"
        f" triples) have, against V: {'; '.join(told)}. That is no forecast for other models."
    )


def _judge(rows: pd.DataFrame, question: str, groups: set[str]) -> str:
    """Say "yes" if any group's verdict is, "no" if all are, else "unclear"."""
    verdicts = set(rows[(rows["question"] == question) & rows["group"].isin(groups)]["verdict"])
    return "yes" if "yes" in verdicts else "no" if verdicts == {"no"} else "unclear"
