"""Draw the paper's Figure 2: other methods' scores as a coefficient is swept, with FRISM's points."""

import json
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.figures.style import COLORS, CYCLE, DASHES, MARKERS, write_figure, write_sentence
from benchmarks.figures.trade_off import split_into_lines
from benchmarks.study.config import StudyConfig
from benchmarks.tables.gates.sweeps import list_shown, list_swept
from frism.method.discovery import find, list_names


def draw(study: StudyConfig, selection: pd.DataFrame, out: Path) -> Figure:
    """Write sweep.{png,svg} from the table `selection`: dev scores of every point of each sweep."""
    lines, points = list_swept(study, selection), list_shown(study, selection)
    if not lines:
        names = [name for name in list_names() if find(name).swept]
        return write_sentence(out, "sweep", "This study sweeps none of " + ", ".join(names) + ".")
    methods = list(dict.fromkeys(study.variants[variant].method for variant in lines))
    with write_figure(out, "sweep", 2.5 + 0.14 * (len(lines) + len(points) + 1)) as figure:
        ax = figure.subplots()
        for variant in lines:
            number = methods.index(study.variants[variant].method)
            _draw_line(ax, study, selection[selection["variant"] == variant], variant, number)
        for variant in points:
            _draw_points(ax, selection[selection["variant"] == variant], variant)
        _draw_reference(ax, study, selection)
        ax.margins(0.08)
        ax.set_xlabel("perception (mean score, dev)")
        ax.set_ylabel("reasoning (mean score, dev)")
        ax.set_title(f"sweeps; full: chosen; bars: {study.statistics.confidence:.0%} intervals")
        figure.legend(loc="outside lower center", ncols=1, handlelength=3.2, labelspacing=0.25, borderpad=0)
    return figure


def describe_range(study: StudyConfig, rows: pd.DataFrame, variant: str) -> str:
    """Describe the swept parameters by their first and last values, in grid order: `strength 0.25 to 1.5`."""
    params = [json.loads(p) for p in rows.sort_values("point")["params"]]
    parts = []
    for name in study.variants[variant].swept:
        values = list(dict.fromkeys(p[name] for p in params if name in p))
        if len(values) > 1:
            parts.append(f"{name} {values[0]:g} to {values[-1]:g}" if _are_numbers(values) else name)
    return ", ".join(parts)


def _are_numbers(values: list[object]) -> bool:
    return all(isinstance(v, int | float) for v in values)


def _draw_line(ax: Axes, study: StudyConfig, rows: pd.DataFrame, variant: str, number: int) -> None:
    """Draw one sweep; those of different methods are distinct in lightness, marker and dashes, too."""
    color, marker, dashes = (looks[number % len(looks)] for looks in (CYCLE, MARKERS, DASHES))
    for i, part in enumerate(split_into_lines(rows, variant)):
        ax.plot(
            part["perception"], part["reasoning"], color=color, marker=marker, linestyle=dashes,
            markersize=3.2, markerfacecolor="white", markeredgewidth=0.7, linewidth=0.9, zorder=3,
            label=f"{variant}: {describe_range(study, rows, variant)}" if i == 0 else None,
        )  # fmt: skip
    chosen = rows[rows["chosen"] == "yes"]
    ax.plot(chosen["perception"], chosen["reasoning"], marker, color=color, markersize=4.5, zorder=4)


def _draw_points(ax: Axes, rows: pd.DataFrame, variant: str) -> None:
    color = COLORS["learned"]
    _draw_bars(ax, rows[rows["chosen"] == "yes"], color)
    ax.plot(
        rows["perception"], rows["reasoning"], "D", color=color, markersize=3.5, markerfacecolor="white",
        markeredgewidth=0.7, zorder=5,
    )  # fmt: skip
    chosen = rows[rows["chosen"] == "yes"]
    ax.plot(
        chosen["perception"], chosen["reasoning"], "D", color=color, markersize=5.5, zorder=6,
        label=f"{variant}: every point of its grid" if len(rows) > 1 else variant,
    )  # fmt: skip


def _draw_reference(ax: Axes, study: StudyConfig, selection: pd.DataFrame) -> None:
    rows = selection[selection["variant"] == study.reference]
    if rows.empty:
        return
    _draw_bars(ax, rows, "black")
    ax.plot(
        rows["perception"], rows["reasoning"], "*", color="black", markersize=8, zorder=4,
        label=f"{study.reference}, unmodified; dotted: budget of perception",
    )  # fmt: skip
    floor = float(rows["perception"].iloc[0]) - study.selection.perception_budget
    ax.axvline(floor, color="0.35", linewidth=0.6, linestyle=(0, (1, 1.5)), zorder=0)


def _draw_bars(ax: Axes, rows: pd.DataFrame, color: str) -> None:
    below, above = (
        [(rows[axis] - rows[f"{axis}_low"]).clip(lower=0), (rows[f"{axis}_high"] - rows[axis]).clip(lower=0)]
        for axis in ("perception", "reasoning")
    )
    ax.errorbar(
        rows["perception"], rows["reasoning"], xerr=below, yerr=above, fmt="none", ecolor=color,
        elinewidth=0.6, zorder=2,
    )  # fmt: skip
