"""Tabulate whether gates run to shut or open, as the paper's theory says, with alpha as the threshold.

In its quadratic model (section on why gates filter) a gate's interior has no stable place: a direction whose
curvature exceeds 2 alpha times its squared norm shuts, any other opens. With enough steps the gates should
then be bimodal, and more of them open at a larger alpha.
"""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import kurtosis, skew

from benchmarks.study.results import read_choice, serialise_params
from benchmarks.tables.cells import list_names, make_columns
from benchmarks.tables.gates.open_fractions import Floats, read_points
from benchmarks.tables.gates.open_gates import OPEN, SHUT

BINS = 20  # of the histogram over [0, 1]; values beyond, which signed gates have, count in the outermost
UNIFORM = 5 / 9  # the coefficient of a uniform distribution: above it, two modes are suspected
COLUMNS = (
    *make_columns("name", "variant"),
    *make_columns("count", "point"),
    *make_columns("params", "params"),
    *make_columns("four_digits", "strength", "alpha"),
    *make_columns("count", "steps", "directions"),
    *make_columns("share", "shut", "between", "open", "mean", "coefficient"),
    *make_columns("name", "chosen"),
    *make_columns("mark", "histogram"),
)


def build_bimodality_rows(results: Path, variants: Iterable[str]) -> pd.DataFrame:
    """Build a row per grid point whose gates were kept and depend on alpha, in grid order.

    `shut`, `between`, `open`: shares of directions below 0.1, in between, above 0.9. `coefficient`: Sarle's.
    `histogram`: counts of BINS equal bins over [0, 1], as JSON.
    """
    rows: list[dict[str, object]] = []
    for variant in variants:
        choice = read_choice(results, variant)
        for gates in read_points(results, variant):
            if gates.alpha is None:
                continue
            values, params = gates.values, gates.recipe.params
            counts = np.histogram(np.clip(values, 0, 1), bins=BINS, range=(0, 1))[0]
            shut, open_ = float((values < SHUT).mean()), float((values > OPEN).mean())
            rows.append(
                {
                    "variant": variant,
                    "point": gates.point,
                    "params": serialise_params(params),
                    "strength": gates.strength,
                    "alpha": gates.alpha,
                    "steps": params.get("steps", np.nan),
                    "directions": len(values),
                    "shut": shut,
                    "between": 1 - shut - open_,
                    "open": open_,
                    "mean": values.mean(),
                    "coefficient": compute_sarle(values),
                    "chosen": choice.get("point", 0) == gates.point,
                    "histogram": json.dumps(counts.tolist()),
                }
            )
    return pd.DataFrame(rows, columns=list_names(COLUMNS))


def compute_sarle(values: Floats) -> float:
    """Compute Sarle's bimodality coefficient, (skewness^2 + 1) / kurtosis, with the usual small-sample terms.

    5/9 for a uniform distribution, 1 for two points, 1/3 for a normal one; NaN for fewer than four values or
    values that are all alike. A skewed distribution with one mode can exceed 5/9, too.
    """
    n = len(values)
    if n < 4 or np.ptp(values) < 1e-9:
        return float("nan")
    third, fourth = skew(values, bias=False), kurtosis(values, bias=False)
    return float((third**2 + 1) / (fourth + 3 * (n - 1) ** 2 / ((n - 2) * (n - 3))))
