"""Compare FRISM's point with other methods' sweeps: which hold a point as good on both axes."""

from dataclasses import dataclass

import pandas as pd

from benchmarks.study.config import StudyConfig
from frism.method.discovery import find

METHOD = "frism"


@dataclass(frozen=True)
class Standing:
    """Hold a variant's chosen point (a row of the table selection), and which sweeps match it."""

    variant: str
    point: pd.Series
    matched: list[str]
    unmatched: list[str]


def list_swept(study: StudyConfig, selection: pd.DataFrame) -> list[str]:
    """List the variants whose sweeps are shown, of methods that state SWEPT, in the study's order."""
    counts = selection.groupby("variant")["point"].nunique()
    return [
        v for v, s in study.variants.items() if counts.get(v, 0) > 1 and s.method and find(s.method).swept
    ]


def list_shown(study: StudyConfig, selection: pd.DataFrame) -> list[str]:
    """List the variants of FRISM itself."""
    known = set(selection["variant"])
    return [v for v, s in study.variants.items() if s.method == METHOD and v in known]


def compare_standings(study: StudyConfig, selection: pd.DataFrame) -> list[Standing]:
    """Compare the chosen points with every sweep by dev scores, point estimates; empty without a sweep."""
    sweeps = list_swept(study, selection)
    compared = []
    for variant in list_shown(study, selection) if sweeps else ():
        chosen = selection[(selection["variant"] == variant) & (selection["chosen"] == "yes")]
        if chosen.empty:
            continue
        point = chosen.iloc[0]
        good = (selection["perception"] >= point["perception"]) & (
            selection["reasoning"] >= point["reasoning"]
        )
        as_good = set(selection.loc[good, "variant"])
        matched = [v for v in sweeps if v in as_good]
        compared.append(Standing(variant, point, matched, [v for v in sweeps if v not in as_good]))
    return compared
