"""Tabulate the attention on the picture head by head."""

import numpy as np
import pandas as pd

from benchmarks.analyses.reporting.resampling import estimate
from benchmarks.analyses.reporting.traces import KEYS
from benchmarks.study.config import StudyConfig
from benchmarks.tables.cells import list_names, make_columns, make_estimate

COLUMNS = (
    *make_columns("name", *KEYS[:-1]),
    *make_columns("count", "layer", "head", "n"),
    *make_estimate("picture"),
)


def build_head_rows(study: StudyConfig, traced: pd.DataFrame) -> pd.DataFrame:
    """Build a row per entry, variant, axis, part of the text, layer and head, from traces of attention."""
    rows = []
    for names, own in traced.groupby(KEYS, sort=False):
        shares = np.array([[float(share) for share in text.split()] for text in own["heads"]])
        heads = [f"head {number}" for number in range(shares.shape[1])]
        values = pd.concat(
            [own[["benchmark", "cluster"]].reset_index(drop=True), pd.DataFrame(shares, columns=heads)],
            axis=1,
        )
        found = estimate(study, values, heads)
        rows += [
            dict(zip(KEYS, names, strict=True))
            | {"head": number, "n": len(own)}
            | {f"picture{end}": found[f"{head}{end}"] for end in ("", "_low", "_high")}
            for number, head in enumerate(heads)
        ]
    return pd.DataFrame(rows, columns=list_names(COLUMNS))


def show_strongest(rows: pd.DataFrame) -> pd.DataFrame:
    """Keep of every part of the text the head that looks most at the picture, for the Markdown."""
    if rows.empty:
        return rows
    keys = [rows[key] for key in KEYS[:-1]]
    return rows.loc[sorted(rows["picture"].groupby(keys, sort=False).idxmax())]
