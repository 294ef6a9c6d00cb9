"""Tabulate where the gates opened: by layer and module, and by rank, in tenths of every spectrum."""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from benchmarks.tables.cells import list_names, make_columns
from benchmarks.tables.gates.directions import AllMatrices, Directions
from benchmarks.tables.gates.open_fractions import MODULES, Floats, OpenFractions, locate_matrix

ALL = "all"
TENTHS = 10
TAIL = "tail"
SHUT, OPEN = 0.1, 0.9  # a gate below is called shut, one above open
_SHAPE = (*make_columns("count", "directions"), *make_columns("share", "mean", "q10", "q50", "q90"))
BY_LAYER = (
    *make_columns("name", "variant", "layer", "module"),
    *_SHAPE,
    *make_columns("share", "shut", "open"),
)
BY_RANK = (
    *make_columns("name", "variant", "module", "tenth"),
    *_SHAPE,
    *make_columns("share", "energy_share", "opened_share"),
)


def build_layer_rows(chosen: Mapping[str, OpenFractions]) -> pd.DataFrame:
    """Build a row per variant, layer and module; "all" stands for every layer or module together."""
    rows = []
    for variant, gates in chosen.items():
        cells: dict[tuple[str, str], list[Floats]] = {}
        for name, values in gates.opened.items():
            layer, module = locate_matrix(name)
            for key in ((str(layer), module), (str(layer), ALL), (ALL, module), (ALL, ALL)):
                cells.setdefault(key, []).append(values)
        for layer_key, module_key in sorted(cells, key=_order):
            values = np.concatenate(cells[layer_key, module_key])
            ends = {"shut": (values < SHUT).mean(), "open": (values > OPEN).mean()}
            rows.append(
                {"variant": variant, "layer": layer_key, "module": module_key, **_summarise(values), **ends}
            )
    return pd.DataFrame(rows, columns=list_names(BY_LAYER))


def build_rank_rows(chosen: Mapping[str, OpenFractions], directions: AllMatrices) -> pd.DataFrame:
    """Build a row per variant, module and tenth of the spectrum (1: largest singular values), and the tail.

    `energy_share`: the tenth's share of tau_R's energy. `opened_share`: energy of the gated part of the tenth
    over all of it, whatever the strength. Directions that have no rank (random ones) are left out.
    """
    rows: list[dict[str, object]] = []
    for variant, gates in chosen.items():
        if gates.singular:
            rows += _build_rank_rows(variant, gates, directions[gates.spectrum])
    return pd.DataFrame(rows, columns=list_names(BY_RANK))


def _build_rank_rows(
    variant: str, gates: OpenFractions, directions: Mapping[str, Directions]
) -> Iterator[dict[str, object]]:
    opened: dict[tuple[str, str], list[Floats]] = {}
    energies: dict[tuple[str, str], list[Floats]] = {}
    for name, values in gates.opened.items():
        matrix, module = directions[name], locate_matrix(name)[1]
        tenth = np.arange(len(values)) * TENTHS // len(values) + 1
        parts = [(str(t), values[tenth == t], matrix.s[tenth == t] ** 2) for t in range(1, TENTHS + 1)]
        if name in gates.tails:
            parts.append((TAIL, np.array([gates.tails[name]]), np.array([matrix.tail])))
        for label, part, energy in parts:
            for key in ((module, label), (ALL, label)):
                opened.setdefault(key, []).append(part)
                energies.setdefault(key, []).append(energy)
    whole = {m: sum(e.sum() for k, es in energies.items() if k[0] == m for e in es) for m, _ in opened}
    for module, label in sorted(opened, key=_rank_order):
        values, energy = np.concatenate(opened[module, label]), np.concatenate(energies[module, label])
        if len(values):
            total = energy.sum()
            yield {
                "variant": variant, "module": module, "tenth": label, **_summarise(values),
                "energy_share": total / whole[module] if whole[module] else np.nan,
                "opened_share": (values**2 * energy).sum() / total if total else np.nan,
            }  # fmt: skip


def _summarise(values: Floats) -> dict[str, float]:
    low, middle, high = np.quantile(values, [0.1, 0.5, 0.9])
    return {"directions": len(values), "mean": values.mean(), "q10": low, "q50": middle, "q90": high}


def _order(key: tuple[str, str]) -> tuple[int, int, str]:
    """Sort "all" first, then layer by layer; within a layer "all" first, then its modules in order."""
    layer, module = key
    return -1 if layer == ALL else int(layer), _module_order(module), module


def _rank_order(key: tuple[str, str]) -> tuple[int, str, int]:
    module, label = key
    return _module_order(module), module, TENTHS + 1 if label == TAIL else int(label)


def _module_order(module: str) -> int:
    return -1 if module == ALL else MODULES.index(module) if module in MODULES else len(MODULES)
