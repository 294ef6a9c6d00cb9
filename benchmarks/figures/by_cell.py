"""Draw what every method gains and costs in each cell of a population: a method a line, an axis a panel."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.figures.forest import ALL, LINE, mark_differences
from benchmarks.figures.style import Mark, write_figure, write_sentence


def draw(
    triples: pd.DataFrame,
    overall: pd.DataFrame,
    groups: Sequence[str],
    look: Mapping[str, Mark],
    out: Path,
    name: str,
    label: str,
) -> Figure:
    """Write NAME.{png,svg}: small marks are triples, large ones means over bases with intervals over triples.

    Args:
        triples: a row per variant, group and triple: variant, group, cell, difference. overall: per variant,
            group and cell, and for ALL: variant, group, cell, estimate, estimate_low, estimate_high (NaN
            where there is one base). look: the variants to draw, in order. label: what is shown.
    """
    if triples.empty:
        return write_sentence(out, name, "No triple has what this figure compares.")
    cells = list(dict.fromkeys(triples["cell"]))
    blocks = [*(cells if len(cells) > 1 else []), ALL]
    step = len(look) + 1.4  # a line for the cell's name, and a gap
    with write_figure(out, name, LINE * step * len(blocks) + 0.7) as figure:
        panels = figure.subplots(1, len(groups), sharey=True, squeeze=False)[0]
        for ax, group in zip(panels, groups, strict=True):
            own, whole = (frame[frame["group"] == group] for frame in (triples, overall))
            for number, cell in enumerate(blocks):
                below = own if cell == ALL else own[own["cell"] == cell]
                _draw_block(ax, below, whole[whole["cell"] == cell], look, number * step)
            mark_differences(ax)
            ax.set_title(group, pad=3)
        lines = [
            (number * step + line, name) for number in range(len(blocks)) for line, name in enumerate(look, 1)
        ]
        panels[0].set_yticks([at for at, _ in lines], [name for _, name in lines])
        panels[0].set_ylim(step * len(blocks) - 0.6, -0.8)
        for number, cell in enumerate(blocks):
            panels[0].text(
                -0.02, number * step, cell, transform=panels[0].get_yaxis_transform(),
                ha="right", va="center", weight="bold", fontsize=6.5,
            )  # fmt: skip
        figure.supxlabel(f"{label}\n(dots: triples; large marks: means over bases)", fontsize=6.5)
    return figure


def _draw_block(
    ax: Axes, triples: pd.DataFrame, overall: pd.DataFrame, look: Mapping[str, Mark], top: float
) -> None:
    """Draw the methods of one cell, from `top` downwards."""
    for line, (variant, mark) in enumerate(look.items(), 1):
        at = top + line
        values = triples[triples["variant"] == variant]["difference"]
        above = [at - 0.36] * len(values)  # off the interval's line, which would hide them
        ax.plot(values, above, ".", markersize=2.6, markeredgewidth=0, color="0.25", zorder=4)
        for row in overall[overall["variant"] == variant].to_dict("records"):
            if pd.notna(row["estimate_low"]):
                ends = [row["estimate_low"], row["estimate_high"]]
                ax.plot(ends, [at, at], color=mark.color, linewidth=0.9, zorder=2)
            ax.plot(
                row["estimate"], at, marker=mark.marker, markersize=3.4, color=mark.color,
                markerfacecolor=mark.face, markeredgewidth=0.7, linestyle="none", zorder=3,
            )  # fmt: skip
