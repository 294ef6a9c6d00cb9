"""Draw the gated tau_R's overlap with tau_V by layer and variant: does it avoid what vision changed?"""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from benchmarks.figures.style import marks, write_figure, write_sentence
from benchmarks.study.config import StudyConfig

SIDES = {"left": "output side", "right": "input side"}
LINES = {  # measure: label, colour, dashes, marker
    "opened": ("opened", "#C0410A", "-", "D"),
    "shut": ("held back", "#0A5C94", (0, (4, 1.5)), "s"),
    "whole": ("tau_R", "#555555", (0, (1, 1)), "o"),
    "chance": ("chance", "#999999", (0, (5, 1, 1, 1)), ""),
}


def draw(study: StudyConfig, table: pd.DataFrame, out: Path) -> Figure:
    """Write overlap.{png,svg} from the table of that name."""
    variants = list(dict.fromkeys(table["variant"]))
    if not variants:
        return write_sentence(out, "overlap", "No variant of this study has gates on singular directions.")
    first = next((v for v in variants if study.variants[v].method == "frism"), variants[0])
    # One gate for a whole matrix correlates with nothing.
    variants = [v for v in variants if table.loc[table["variant"] == v, "left_correlation"].notna().any()]
    compared = len(variants) > 1
    below = 0.8 + 0.14 * len(variants)
    with write_figure(out, "overlap", 2.0 + below * compared) as figure:
        parts = figure.subfigures(1 + compared, 1, height_ratios=[2.0, below][: 1 + compared], squeeze=False)
        panels = parts[0, 0].subplots(1, 2)
        for ax, side in zip(panels, SIDES, strict=True):
            _by_layer(ax, table[table["variant"] == first], side)
        panels[0].set_ylabel("overlap with tau_V")
        handles, labels = panels[0].get_legend_handles_labels()
        parts[0, 0].legend(
            handles,
            labels,
            loc="outside lower center",
            ncols=4,
            handlelength=2.6,
            columnspacing=1,
            borderpad=0,
        )
        _heading(parts[0, 0], f"{first}: share of energy in tau_V's leading directions")
        if compared:
            _by_variant(parts[1, 0].subplots(1, 2, sharey=True), study, table, variants)
            _heading(parts[1, 0], "correlation of gate and overlap, rank held fixed")
    return figure


def _heading(part: SubFigure, text: str) -> None:
    part.suptitle(text, fontsize=7.5, x=0.02, ha="left")


def _by_layer(ax: Axes, rows: pd.DataFrame, side: str) -> None:
    means = rows.assign(layer=rows["layer"].astype(int)).groupby("layer")
    for measure, (label, color, dashes, marker) in LINES.items():
        line = means[f"{side}_{measure}"].mean()
        ax.plot(
            line.index, line, color=color, linestyle=dashes, marker=marker, markersize=2.8, linewidth=0.9,
            markerfacecolor="white", markeredgewidth=0.6, label=label,
        )  # fmt: skip
    ax.set_title(SIDES[side])
    ax.set_xlabel("layer")
    ax.set_ylim(0, None)
    ax.locator_params(axis="x", integer=True, nbins=6)


def _by_variant(panels: list[Axes], study: StudyConfig, table: pd.DataFrame, variants: list[str]) -> None:
    """Plot per variant the rank correlation of gate and overlap: median and middle half of the matrices."""
    look, heights = marks(study), np.arange(len(variants))[::-1]
    for ax, side in zip(panels, SIDES, strict=True):
        for variant, height in zip(variants, heights, strict=True):
            correlations = table.loc[table["variant"] == variant, f"{side}_correlation"].dropna()
            low, middle, high = np.quantile(correlations, [0.25, 0.5, 0.75])
            mark = look[variant]
            ax.plot([low, high], [height, height], color=mark.color, linewidth=1.0)
            ax.plot(middle, height, mark.marker, color=mark.color, markerfacecolor=mark.face, markersize=4)
        ax.axvline(0, color="0.6", linewidth=0.6, zorder=0)
        ax.set_ylim(-0.6, len(variants) - 0.4)
        ax.set_yticks(heights, variants)
        ax.tick_params(axis="y", length=0)
        ax.set_xlabel(f"{SIDES[side]}, middle half")
