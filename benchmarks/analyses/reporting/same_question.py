"""Ask whether longer or reflecting answers are righter on the same question, not over different ones.

Pooled over questions length and rightness go together or against each other because questions differ: hard
ones take longer and are missed. Here two variants' answers to one question are compared, where one is right
and the other wrong, and one says more than the other. That the merge is both longer and righter for another
reason stays possible: this is association within questions, no effect of length.
"""

from collections.abc import Iterator
from typing import Any

import pandas as pd
from scipy.stats import binomtest

from benchmarks.analyses.reporting.answers import AXES
from benchmarks.analyses.reporting.reflection import QUESTION
from benchmarks.study.config import StudyConfig
from benchmarks.tables.cells import list_names, make_columns, make_estimate

MEASURES = ("tokens", "steps", "reflections")
COLUMNS = (
    *make_columns("name", "entry", "variant", "axis", "measure"),
    *make_columns("count", "n", "decisive"),
    *make_estimate("more_is_right", "low", "high"),
    *make_columns("p", "p"),
)


def build_same_question_rows(study: StudyConfig, counts: pd.DataFrame) -> pd.DataFrame:
    """Build a row per entry, variant, axis and measure, of the variant's answers against the reference's.

    `decisive`: questions that one got right and the other wrong, and on which one counts more.
    `more_is_right`: the share of these on which the one with more is the right one, exact interval; p: exact
    binomial test against one half. Clusters are taken as single questions.
    """
    rows = [
        row
        for (entry, variant), own in counts.groupby(["entry", "variant"], sort=False)
        if variant != study.reference
        for row in _list_rows(
            study, own, counts[(counts["variant"] == study.reference) & (counts["entry"] == entry)]
        )
    ]
    return pd.DataFrame(rows, columns=list_names(COLUMNS))


def _list_rows(study: StudyConfig, own: pd.DataFrame, reference: pd.DataFrame) -> Iterator[dict[str, Any]]:
    pairs = own.merge(reference, on=QUESTION, suffixes=("", "_reference"), validate="1:1")
    for axis in [axis for axis in AXES if (pairs["axis"] == axis).any()]:
        rows = pairs[pairs["axis"] == axis]
        righter = rows["correct"] - rows["correct_reference"]
        for measure in MEASURES:
            more = rows[measure] - rows[f"{measure}_reference"]
            decisive = (righter != 0) & (more != 0) & more.notna()
            agree = int(((righter > 0) == (more > 0))[decisive].sum())
            row: dict[str, Any] = {
                "entry": own["entry"].iloc[0], "variant": own["variant"].iloc[0], "axis": axis,
                "measure": measure, "n": len(rows), "decisive": int(decisive.sum()),
            }  # fmt: skip
            if decisive.any():
                test = binomtest(agree, int(decisive.sum()))
                low, high = test.proportion_ci(study.statistics.confidence)
                row |= {"more_is_right": test.statistic, "low": low, "high": high, "p": test.pvalue}
            yield row
