"""Draw how much answers depend on tiles that matter and on others, beside the attention on them."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.figures.style import choose_marks, write_figure, write_sentence
from benchmarks.study.config import StudyConfig

SORTS = {"relevant": ("tile that matters", True), "other": ("another tile", False)}
MEASURES = (("blank", "changed"), ("swap", "changed"), ("blank", "attention"))
LABELS = {
    ("blank", "changed"): "changed by a blank tile",
    ("swap", "changed"): "changed by a swapped tile",
    ("blank", "attention"): "attention on a tile",
}


def draw(study: StudyConfig, table: pd.DataFrame, entry: str, out: Path) -> Figure:
    """Write analysis_ENTRY.{png,svg} from the table `tiles`: a panel per measure and axis."""
    name = f"analysis_{entry}"
    rows = table[(table["entry"] == entry) & table["tiles"].isin(SORTS)]
    if rows.empty:
        return write_sentence(out, name, f"The analysis {entry} has nothing to draw.")
    axes, variants = rows["axis"].unique(), list(dict.fromkeys(rows["variant"]))
    height = len(MEASURES) * (0.11 * len(variants) + 0.5) + 0.3
    with write_figure(out, name, height) as figure:
        panels = figure.subplots(len(MEASURES), len(axes), sharex="row", sharey=True, squeeze=False)
        for line, (change, measure) in zip(panels, MEASURES, strict=True):
            for ax, axis in zip(line, axes, strict=True):
                own = rows[(rows["axis"] == axis) & (rows["change"] == change)]
                _draw_panel(ax, study, own, measure, variants)
                ax.set_title(axis, pad=2)
                ax.set_xlabel(LABELS[change, measure], labelpad=1)
        panels[0, 0].set_ylim(len(variants) - 0.5, -0.5)
        handles = panels[0][0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside lower center", ncols=2)
    return figure


def _draw_panel(ax: Axes, study: StudyConfig, rows: pd.DataFrame, measure: str, variants: list[str]) -> None:
    look = choose_marks(study)
    for sort, (label, filled) in SORTS.items():
        own = rows[rows["tiles"] == sort].set_index("variant").reindex(variants)
        value, low, high = (own[f"{measure}{end}"].to_numpy(float) for end in ("", "_low", "_high"))
        places = np.arange(len(variants)) + (-0.15 if filled else 0.15)
        ax.hlines(places, low, high, color="0.6", linewidth=0.8)
        for place, x, variant in zip(places, value, variants, strict=True):
            color = look[variant].color
            ax.plot(x, place, "o", color=color, markerfacecolor=color if filled else "white", markersize=3.2)
        ax.plot([], [], "o", color="0.2", markerfacecolor="0.2" if filled else "white", markersize=3.2,
                label=label)  # fmt: skip
    ax.set_yticks(range(len(variants)), variants)
    ax.set_xlim(0, 1.03 if measure == "changed" else None)
