"""Draw effects over triples as forest plots: a triple a line, below them the cells and all together."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter

from benchmarks.figures.style import COLORS, write_figure, write_sentence

LINE = 0.135  # inches of one line
ALL = "all triples"
GROUP_COLORS = ("#0A5C94", "#C0410A", "#2E8B6B", "#8E4585", "#8A6A00", "#555555")


def draw(
    triples: pd.DataFrame, overall: pd.DataFrame, titles: Sequence[str], out: Path, name: str, label: str
) -> Figure:
    """Write NAME.{png,svg}: a panel per title, with lines in common.

    Args:
        triples: a row per panel and triple: panel, study, cell, difference, difference_low, difference_high
            (over questions). overall: per panel and cell, and for ALL: panel, cell, estimate, estimate_low,
            estimate_high (over triples; NaN where there is one base). label: what is compared.
    """
    if triples.empty:
        return write_sentence(out, name, "No triple has what this figure compares.")
    cells = list(dict.fromkeys(triples["cell"]))
    lines = [
        (cell, study) for cell in cells for study in dict.fromkeys(triples[triples["cell"] == cell]["study"])
    ]
    sums = [*(cells if len(cells) > 1 else []), ALL]
    height = LINE * (len(lines) + len(sums) + len(cells) + 1) + 0.75
    with write_figure(out, name, height) as figure:
        panels = figure.subplots(1, len(titles), sharey=True, squeeze=False)[0]
        places = _place(lines, sums)
        for ax, title in zip(panels, titles, strict=True):
            own, whole = (frame[frame["panel"] == title] for frame in (triples, overall))
            _draw_panel(ax, own, whole, cells, places)
            ax.set_title(title, pad=3)
        panels[0].set_yticks(list(places.values()), [_name(key) for key in places])
        panels[0].set_ylim(max(places.values()) + 0.8, -0.8)
        figure.supxlabel(f"{label} (squares: over questions; diamonds: over triples)", fontsize=6.5)
    return figure


def mark_differences(ax: Axes) -> None:
    """Make an axis of differences along x: a line at 0, few ticks, names instead of ticks along y."""
    ax.axvline(0, color="0.5", linewidth=0.6, zorder=0)
    ax.locator_params(axis="x", nbins=3)
    ax.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    ax.tick_params(axis="y", length=0)


def _place(lines: Sequence[tuple[str, str]], sums: Sequence[str]) -> dict[tuple[str, str], float]:
    """Place lines from the top, with a gap between cells and before the sums."""
    places: dict[tuple[str, str], float] = {}
    at, before = 0.0, None
    for cell, study in lines:
        at += 0.6 if before not in (None, cell) else 0.0
        places[cell, study] = at
        at, before = at + 1, cell
    at += 0.6
    for cell in sums:
        places[cell, ""] = at
        at += 1
    return places


def _name(key: tuple[str, str]) -> str:
    cell, study = key
    return study.replace("population_", "").replace("_", " ") if study else cell


def _draw_panel(
    ax: Axes,
    triples: pd.DataFrame,
    overall: pd.DataFrame,
    cells: Sequence[str],
    places: dict[tuple[str, str], float],
) -> None:
    mark_differences(ax)
    for row in triples.to_dict("records"):
        color = GROUP_COLORS[cells.index(row["cell"]) % len(GROUP_COLORS)]
        at = places[row["cell"], row["study"]]
        ax.plot([row["difference_low"], row["difference_high"]], [at, at], color=color, linewidth=0.9)
        ax.plot(row["difference"], at, marker="s", markersize=2.6, color=color, linestyle="none")
    for row in overall.to_dict("records"):
        if (row["cell"], "") not in places:
            continue
        at, last = places[row["cell"], ""], row["cell"] == ALL
        color = COLORS["reference"] if last else GROUP_COLORS[cells.index(row["cell"]) % len(GROUP_COLORS)]
        if pd.notna(row["estimate_low"]):
            ax.plot(
                [row["estimate_low"], row["estimate_high"]],
                [at, at],
                color=color,
                linewidth=1.6 if last else 1.1,
            )
        ax.plot(row["estimate"], at, marker="D", markersize=4, color=color, linestyle="none")
