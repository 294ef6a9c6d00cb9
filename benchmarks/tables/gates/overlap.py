"""Tabulate how far the gated tau_R overlaps with tau_V's leading subspace, on both sides, against chance."""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from benchmarks.tables.cells import Table, list_names, make_columns
from benchmarks.tables.gates.directions import AllMatrices, Directions
from benchmarks.tables.gates.open_fractions import MODULES, Floats, OpenFractions, locate_matrix
from benchmarks.tables.gates.open_gates import ALL

SIDES = ("left", "right")
MEASURES = ("chance", "whole", "opened", "shut")
NUMBERS = ["leading", "held", *(f"{side}_{m}" for side in SIDES for m in (*MEASURES, "correlation"))]
_MEASURED = (*make_columns("count", "leading"), *make_columns("share", *NUMBERS[1:]))
COLUMNS = (*make_columns("name", "variant", "layer", "module"), *_MEASURED)


def build_overlap_rows(chosen: Mapping[str, OpenFractions], directions: AllMatrices) -> pd.DataFrame:
    """Build a row per variant and matrix.

    The overlap of an update with a subspace is the share of the update's energy that lies within. `whole`:
    of tau_R, which is also what gates shuffled over the directions would have on average; `opened`: of the
    gated tau_R; `shut`: of what the gates held back; `chance`: of an update in no direction in particular.
    `correlation`: of gate and overlap over the matrix' directions, each counting once: Spearman's, with the
    rank held fixed, on which both depend; NaN where all gates are alike.
    """
    rows = []
    for variant, gates in chosen.items():
        for name, opened in gates.opened.items() if gates.singular else ():
            matrix = directions[gates.spectrum][name]
            layer, module = locate_matrix(name)
            row: dict[str, object] = {"variant": variant, "layer": str(layer), "module": module,
                                      "leading": matrix.leading, "held": matrix.held}  # fmt: skip
            for side, length in zip(SIDES, matrix.shape, strict=True):
                row[f"{side}_chance"] = matrix.leading / length
                tail = gates.tails.get(name, 1.0)
                for measure, weight, rest in (
                    ("whole", np.ones_like(opened), 1.0),
                    ("opened", opened, tail),
                    ("shut", 1 - opened, 1 - tail),
                ):
                    row[f"{side}_{measure}"] = _measure_overlap(matrix, side, weight, rest)
                within = matrix.left if side == "left" else matrix.right
                row[f"{side}_correlation"] = _correlate(opened, within)
            rows.append(row)
    return pd.DataFrame(rows, columns=list_names(COLUMNS))


def average_overlap(rows: pd.DataFrame, by: str) -> pd.DataFrame:
    """Average over matrices by "module" (with a row for all of them) or by "layer"."""
    means = rows.groupby(["variant", by], sort=False)[NUMBERS].mean().reset_index()
    counts = rows.groupby(["variant", by], sort=False).size().to_numpy()
    means.insert(2, "matrices", counts)
    if by == "layer":
        return means
    everything = rows.groupby("variant", sort=False)[NUMBERS].mean().reset_index()
    everything.insert(1, "module", ALL)
    everything.insert(2, "matrices", rows.groupby("variant", sort=False).size().to_numpy())
    both = pd.concat([everything, means], ignore_index=True)
    variants = pd.Categorical(both["variant"], list(dict.fromkeys(rows["variant"])))
    modules = pd.Categorical(both["module"], list(dict.fromkeys([ALL, *MODULES, *both["module"]])))
    order = np.lexsort([modules.codes, variants.codes])
    return both.iloc[order].reset_index(drop=True)


def show_averaged(rows: pd.DataFrame, by: str) -> Table:
    """Prepare the means over matrices by "module" or "layer" for Markdown."""
    names = (*make_columns("name", "variant", by), *make_columns("count", "matrices"))
    return Table(average_overlap(rows, by), (*names, *_MEASURED))


def _correlate(opened: Floats, within: Floats) -> float:
    if np.ptp(opened) < 1e-9 or np.ptp(within) < 1e-9:
        return float("nan")
    ranks = np.arange(len(opened))
    pairs = ((opened, within), (opened, ranks), (within, ranks))
    direct, one, other = (float(spearmanr(a, b).statistic) for a, b in pairs)
    fixed = (1 - one**2) * (1 - other**2)
    return (direct - one * other) / math.sqrt(fixed) if fixed > 1e-12 else float("nan")


def _measure_overlap(matrix: Directions, side: str, weight: Floats, tail: float) -> float:
    """Average the directions' overlaps by energy: the overlap of their sum, as they are orthonormal."""
    within, rest = (matrix.left, matrix.tail_left) if side == "left" else (matrix.right, matrix.tail_right)
    energy, rest_energy = (weight * matrix.s) ** 2, tail**2 * matrix.tail
    total = energy.sum() + rest_energy
    return float((energy @ within + rest_energy * rest) / total) if total else np.nan
