"""Tabulate dev scores with one block of singular directions injected at several strengths."""

import json
from collections.abc import Iterable

import numpy as np
import pandas as pd
import torch

from benchmarks.statistics.intervals import group_mean
from benchmarks.study.config import StudyConfig
from benchmarks.tables.cells import list_names, make_columns, make_estimate
from benchmarks.tables.gates.block_names import NONE, WHOLE
from benchmarks.tables.gates.directions import Directions
from frism.errors import UserError
from frism.method.discovery import find
from frism.methods.rank_block import assign_blocks
from frism.spectra.spectrum import Spectrum

METHOD = "rank_block"
AXES = ("perception", "reasoning")
COLUMNS = (
    *make_columns("name", "variant", "block"),
    *make_columns("count", "blocks"),
    *make_columns("name", "split"),
    *make_columns("share", "energy_share"),
    *make_columns("four_digits", "strength"),
    *make_columns("count", "point"),
    *(column for axis in AXES for column in (*make_columns("count", f"{axis}_n"), *make_estimate(axis))),
    *make_columns("mark", "within_budget", "best"),
)


def build_rank_block_rows(
    study: StudyConfig, dev: pd.DataFrame, directions: Iterable[Directions]
) -> pd.DataFrame:
    """Build a row per block and strength, after the unmodified model and plain injection if it was swept.

    Args:
        dev: as `study.read_dev` gives it.
        directions: of every matrix; they give the share of tau_R's energy that a block holds.

    `within_budget`: perception (of the benchmark shown) at most the study's budget below the unmodified
    model's. `best`: of its block the best reasoning within the budget, of equals the smallest strength. Empty
    without a variant of the method rank_block. Raises UserError for a benchmark that was not asked on dev.
    """
    swept = list_block_variants(study)
    if not swept or dev.empty:
        return pd.DataFrame(columns=list_names(COLUMNS))
    matrices, shares = list(directions), dict[tuple[int, str], list[float]]()
    benchmarks = {axis: choose_benchmarks(study, dev, axis) for axis in AXES}
    injected = [v for v, s in study.variants.items() if s.method == "inject" and s.grid]
    rows: list[dict[str, object]] = []
    for variant in [study.reference, *injected, *swept]:
        for point, part in dev[dev["variant"] == variant].groupby("point", sort=False):
            params = json.loads(part["params"].iloc[0])
            if variant in swept:
                params = find(METHOD).validate(params)  # with the defaults
                key = int(params["blocks"]), str(params["split"])
                shares[key] = shares.get(key) or _compute_shares(matrices, *key)
                block, share = str(params["block"]), shares[key][int(params["block"])]
            else:
                key, block = None, WHOLE if variant in injected else NONE
                share = float(block == WHOLE)
            row: dict[str, object] = {
                "variant": variant,
                "block": block,
                "blocks": np.nan if key is None else key[0],
                "split": "" if key is None else key[1],
                "energy_share": share,
                "strength": params.get("strength", np.nan) if block != NONE else 0.0,
                "point": point,
            }
            for axis in AXES:
                suites = part[part["benchmark"].isin(benchmarks[axis])]
                mean, ends = group_mean(
                    suites["correct"].tolist(), suites["n"].tolist(), study.statistics.confidence
                )
                row |= {f"{axis}_n": int(suites["n"].sum()), axis: mean}
                row |= {f"{axis}_low": ends[0], f"{axis}_high": ends[1]}
            rows.append(row)
    frame = pd.DataFrame(rows)
    floor = float(frame.loc[frame["block"] == NONE, "perception"].iloc[0])
    frame["within_budget"] = frame["perception"] >= floor - study.selection.perception_budget - 1e-9
    frame["best"] = False
    for _, part in frame[frame["within_budget"]].groupby(
        ["variant", "block", "blocks", "split"], dropna=False
    ):
        order = part.sort_values(["reasoning", "strength"], ascending=[False, True], kind="stable")
        frame.loc[order.index[0], "best"] = True
    return frame[list_names(COLUMNS)]


def list_block_variants(study: StudyConfig) -> list[str]:
    """List the variants that inject one block of ranks of the study's own tau_R."""
    return [v for v, s in study.variants.items() if s.method == METHOD and s.base is None]


def _compute_shares(matrices: Iterable[Directions], blocks: int, split: str) -> list[float]:
    """Compute the share of tau_R's energy, over all matrices, that each block holds."""
    energy = np.zeros(blocks)
    for matrix in matrices:
        s, nothing = torch.from_numpy(matrix.s), torch.empty(0)
        spectrum = Spectrum(nothing, s, nothing, torch.tensor(matrix.tail) if matrix.tail else None)
        np.add.at(energy, assign_blocks(spectrum, blocks, split).numpy(), matrix.s**2)
        energy[-1] += matrix.tail  # the tail belongs to the last block
    return [float(e) for e in energy / max(energy.sum(), 1e-300)]


def choose_benchmarks(study: StudyConfig, dev: pd.DataFrame, axis: str) -> list[str]:
    """Return the benchmarks that stand for an axis: the one that `explain` names, else all of the axis."""
    on_dev = dev.drop_duplicates("benchmark").set_index("benchmark")["axis"]
    name = getattr(study.explain, axis)
    if name is None:
        names = [str(b) for b in on_dev.index if on_dev[b] == axis]
        if not names:
            raise UserError(f"the dev scores hold no {axis} benchmark: add one to `benchmarks`.")
        return names
    if name not in on_dev.index:
        raise UserError(
            f"explain.{axis} names {name}, which was not asked on dev: choose one of"
            f" {', '.join(sorted(map(str, on_dev.index)))}."
        )
    return [name]
