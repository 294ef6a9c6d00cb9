"""Put the tables on gates into sentences for the summary; every number and verdict by a stated rule."""

import math
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.statistics.paired_tests import holm, mcnemar
from benchmarks.study.config import StudyConfig
from benchmarks.study.results import read_table
from benchmarks.tables.cells import format_interval
from benchmarks.tables.findings import Finding, read_finding
from benchmarks.tables.gates.bimodality import UNIFORM
from benchmarks.tables.gates.block_names import NONE, WHOLE
from benchmarks.tables.gates.open_gates import ALL
from benchmarks.tables.gates.sweeps import compare_standings

Lines = list[str]
ENDS = 0.05  # share of directions that each end must hold to be called a mode
SIDES = {"left": "output side", "right": "input side"}


def explain_gates(study: StudyConfig, tables: Path) -> dict[str, Any]:
    """Write sentences by topic, none where a table does not apply; `ablations` holds findings by group."""

    def table(name: str) -> pd.DataFrame:
        return read_table(tables / f"{name}.csv")

    return {
        "gates": describe_gates(table("gates_by_layer"), table("gates_by_rank"), table("energy_by_layer")),
        "overlap": describe_overlap(study, table("overlap")),
        "bimodality": describe_bimodality(table("bimodality")),
        "sweeps": describe_sweeps(study, table("selection")),
        "rank_blocks": describe_rank_blocks(table("rank_blocks")),
        "ablations": read_ablations(study, table("ablations")),
    }


def describe_gates(by_layer: pd.DataFrame, by_rank: pd.DataFrame, energy: pd.DataFrame) -> Lines:
    """Say per variant with gates how open they are, where most and least, along the ranks, what energy."""
    lines = []
    for variant, table in by_layer.groupby("variant", sort=False):
        whole = table[(table["layer"] == ALL) & (table["module"] == ALL)].iloc[0]
        clauses = [
            f"mean gate {whole['mean']:.3f} over {whole['directions']} directions, {whole['shut']:.1%} of"
            f" them below 0.1 and {whole['open']:.1%} above 0.9"
        ]
        for key, rows in (
            ("module", table[(table["layer"] == ALL) & (table["module"] != ALL)]),
            ("layer", table[(table["module"] == ALL) & (table["layer"] != ALL)]),
        ):
            most, least = rows.iloc[rows["mean"].argmax()], rows.iloc[rows["mean"].argmin()]
            clauses.append(
                f"by {key} from {least[key]} ({least['mean']:.3f}) to {most[key]} ({most['mean']:.3f})"
            )
        ranks = by_rank[(by_rank["variant"] == variant) & (by_rank["module"] == ALL)].set_index("tenth")[
            "mean"
        ]
        ranks.index = ranks.index.map(str)
        if {"1", "10"} <= set(ranks.index):
            clauses.append(
                f"{ranks['1']:.3f} in the tenth of the largest singular values, {ranks['10']:.3f} in that of"
                " the smallest"
            )
        received = energy[energy["variant"] == variant].set_index("layer")
        layers = received.drop(index=ALL)["share_of_injected"]
        if layers.notna().any():
            clauses.append(
                f"injected energy {received['ratio'][ALL]:.3f} of tau_R's, most of it in layer"
                f" {layers.idxmax()} ({layers.max():.1%})"
            )
        lines.append(f"`{variant}`: {'; '.join(clauses)}.")
    return lines


def describe_overlap(study: StudyConfig, table: pd.DataFrame) -> Lines:
    """Say per variant and side how far the gated tau_R overlaps, and whether gates avoid the overlap.

    Verdict: a sign test over matrices of the correlation of gate and overlap with the rank held fixed, Holm
    over all variants and sides. Matrices are no random sample, so it describes this triple and no other.
    """
    sides = []
    for variant, rows in table.groupby("variant", sort=False):
        for side, title in SIDES.items():
            opened, whole, chance = (rows[f"{side}_{m}"].mean() for m in ("opened", "whole", "chance"))
            numbers = f"{opened:.3f} against tau_R's own {whole:.3f} (chance {chance:.3f})"
            sides.append((f"`{variant}`, {title}: {numbers}", rows[f"{side}_correlation"].dropna()))
    counts = [(int((c < 0).sum()), int((c > 0).sum())) for _, c in sides]
    adjusted = holm([float(mcnemar(*c)) if sum(c) else math.nan for c in counts])
    alpha = 1 - study.statistics.confidence
    lines = []
    for (sentence, correlation), (below, above), p in zip(sides, counts, adjusted, strict=True):
        if below + above:
            tendency = "to avoid it" if below > above else "to seek it"
            verdict = f"a tendency {tendency}" if p < alpha else "no tendency shown"
            sentence += (
                f"; correlation of gate and overlap {correlation.median():+.3f} (median), negative in"
                f" {below} of {len(correlation)} matrices: {verdict}"
            )
        lines.append(f"{sentence}.")
    return lines


def describe_bimodality(table: pd.DataFrame) -> Lines:
    """Say per variant whether gates gather at both ends, and whether a larger alpha opens them."""
    lines = []
    for variant, points in table.groupby("variant", sort=False):
        both = (points["coefficient"] > UNIFORM) & (points["shut"] >= ENDS) & (points["open"] >= ENDS)
        clauses = [
            f"both ends hold {ENDS:.0%} of the directions or more, with a bimodality coefficient above"
            f" {UNIFORM:.3f}, at {int(both.sum())} of {len(points)} {_pluralise('point', len(points))}"
        ]
        rising = steps = 0
        for _, line in points.groupby("strength", sort=True):
            opened = line.sort_values("alpha").groupby("alpha", sort=True)["open"].mean()
            rising += int((opened.diff().dropna() > 0).sum())
            steps += len(opened) - 1
        if steps:
            least, most = points.iloc[points["alpha"].argmin()], points.iloc[points["alpha"].argmax()]
            clauses.append(
                f"the share above 0.9 rises in {rising} of {steps} steps of alpha, from {least['open']:.1%}"
                f" at {least['alpha']:g} to {most['open']:.1%} at {most['alpha']:g}, that below 0.1 goes from"
                f" {least['shut']:.1%} to {most['shut']:.1%}"
            )
        lines.append(f"`{variant}`: {'; '.join(clauses)}.")
    return lines


def describe_sweeps(study: StudyConfig, selection: pd.DataFrame) -> Lines:
    """Say per FRISM variant which sweeps hold a point as good on both axes as its chosen one (dev)."""
    lines = []
    for standing in compare_standings(study, selection):
        point = standing.point
        without, holding = (_join_names(v) for v in (standing.unmatched, standing.matched))
        lines.append(
            f"`{standing.variant}` at its chosen point has dev perception"
            f" {_format_score(point, 'perception')} and dev reasoning {_format_score(point, 'reasoning')}."
            " Sweeps without a point as good on both axes:"
            f" {without}; with one: {holding}."
        )
    return lines


def describe_rank_blocks(table: pd.DataFrame) -> Lines:
    """Say per variant the best strength of each block within the budget, the best block, plain injection."""
    lines = []
    best = table[table["best"] == "yes"]
    whole = best[best["block"] == WHOLE]
    for variant, rows in table[~table["block"].isin([NONE, WHOLE])].groupby("variant", sort=False):
        best_rows = rows[rows["best"] == "yes"]
        blocks = sorted(set(rows["block"]), key=int)
        strengths = {b: best_rows.loc[best_rows["block"] == b, "strength"] for b in blocks}
        listed = ", ".join(
            f"block {b} {f'at {s.iloc[0]:g}' if len(s) else 'never'}" for b, s in strengths.items()
        )
        same = "the same for all" if best_rows["strength"].nunique() < 2 else "not the same for all"
        lines.append(f"`{variant}`, best strength within the budget by point estimates: {listed}; {same}.")
        if best_rows.empty:
            continue
        top = best_rows.iloc[best_rows["reasoning"].argmax()]
        lines.append(
            f"Best block: {top['block']} ({top['energy_share']:.1%} of tau_R's energy), reasoning"
            f" {_format_score(top, 'reasoning')} at perception {_format_score(top, 'perception')}."
        )
        if len(whole):
            plain = whole.iloc[whole["reasoning"].argmax()]
            more = top["reasoning_low"] > plain["reasoning_high"]
            less = top["reasoning_high"] < plain["reasoning_low"]
            word = "a single block reaches more" if more else "a single block reaches less"
            verdict = f"{word} (intervals apart)" if more or less else "not told apart (intervals overlap)"
            lines.append(
                f"`{plain['variant']}`, all ranks, within the budget: reasoning"
                f" {_format_score(plain, 'reasoning')} at strength {plain['strength']:g}: {verdict}."
            )
    return lines


def read_ablations(study: StudyConfig, table: pd.DataFrame) -> dict[str, list[Finding]]:
    """Read the finding on every ablation against FRISM, by group; {} where there are none."""
    findings: dict[str, list[Finding]] = {}
    for row in table.to_dict("records"):
        if not math.isnan(row["difference"]):
            findings.setdefault(row["group"], []).append(read_finding(study, row, row["against"]))
    return findings


def _format_score(row: pd.Series, axis: str) -> str:
    score = format_interval(row[axis], row[f"{axis}_low"], row[f"{axis}_high"])
    return f"{score} (n = {int(row[f'{axis}_n'])})"


def _join_names(variants: list[str]) -> str:
    return ", ".join(f"`{v}`" for v in variants) or "none"


def _pluralise(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"
