"""Draw the scores of runs side by side: a point with its interval for every run, benchmark by benchmark."""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.figures.style import choose_marks, write_figure
from benchmarks.study.compared import Compared

LINE = 0.13  # inches that a run takes


def draw(study: Compared, benchmarks: pd.DataFrame, out: Path) -> Figure:
    """Write scores.{png,svg} from the table `benchmarks`: one panel each, the reference as a grey line."""
    names, variants = list(study.benchmark_names), list(study.variants)
    height = len(names) * (LINE * (len(variants) + 1) + 0.22) + 0.35
    with write_figure(out, "scores", height) as figure:
        axes = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
        for ax, name in zip(axes, names, strict=True):
            rows = benchmarks[benchmarks["benchmark"] == name].set_index("variant").loc[variants]
            _draw_benchmark(ax, study, rows)
            ax.set_title(f"{name}, n = {int(rows['n'].iloc[0]):,}")
        axes[-1].set_xlabel(f"score, {study.statistics.confidence:.0%} intervals; line: {study.reference}")
    return figure


def _draw_benchmark(ax: Axes, study: Compared, rows: pd.DataFrame) -> None:
    look = choose_marks(study)
    for place, (variant, row) in enumerate(rows.iterrows()):
        mark = look[str(variant)]
        ax.plot([row["low"], row["high"]], [place, place], color=mark.color, linewidth=0.8, zorder=2)
        ax.plot(
            row["score"], place, marker=mark.marker, markersize=mark.size, color=mark.color,
            markerfacecolor=mark.face, markeredgewidth=0.8, linestyle="none", zorder=3,
        )  # fmt: skip
    ax.axvline(float(rows["score"][study.reference]), color="0.75", linewidth=0.5, zorder=0)
    ax.set_yticks(range(len(rows)), [str(variant) for variant in rows.index])
    ax.set_ylim(len(rows) - 0.4, -0.6)
