"""Draw what every block of layers is worth: score against layer, V beside its merges, a panel per module."""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.figures.style import choose_marks, write_figure, write_sentence
from benchmarks.study.config import StudyConfig

ROW = 1.25  # inches of a row of panels


def draw(study: StudyConfig, table: pd.DataFrame, entry: str, out: Path) -> Figure:
    """Write analysis_ENTRY.{png,svg} from the table `knock_outs`: a row per axis and action, as in the paper.

    Markers: the score with a block knocked out (or put in), at the block's middle; the thin line of the same
    colour: the variant as it is, or V's weights where the change is put in.
    """
    name = f"analysis_{entry}"
    rows = table[(table["entry"] == entry) & (table["first"] >= 0)]
    if rows.empty:
        return write_sentence(out, name, f"The analysis {entry} has nothing to draw.")
    modules = list(dict.fromkeys(rows["module"]))
    kinds = list(rows[["axis", "action", "unit"]].drop_duplicates().itertuples(index=False, name=None))
    kinds.sort(key=lambda kind: kind[1:])
    with write_figure(out, name, ROW * len(kinds) + 0.35) as figure:
        panels = figure.subplots(len(kinds), len(modules), sharey="row", squeeze=False)
        for line, (axis, action, unit) in zip(panels, kinds, strict=True):
            own = rows[(rows["axis"] == axis) & (rows["action"] == action) & (rows["unit"] == unit)]
            for ax, module in zip(line, modules, strict=True):
                _draw_panel(ax, study, own[own["module"] == module])
                ax.set_title(f"{action}: {module}", pad=2)
                ax.set_xlabel("layer" if unit == "layers" else "part of the spectrum", labelpad=1)
            line[0].set_ylabel(axis)
        handles = {
            label: h for ax in panels.flat for h, label in zip(*ax.get_legend_handles_labels(), strict=True)
        }
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4, handlelength=2.6)
    return figure


def _draw_panel(ax: Axes, study: StudyConfig, rows: pd.DataFrame) -> None:
    look = choose_marks(study)
    for variant, own in rows.groupby("variant", sort=False):
        mark, middle = look[str(variant)], (own["first"] + own["last"]) / 2
        ax.axhline(own["reference"].iloc[0], color=mark.color, linewidth=0.4, linestyle=mark.dashes, zorder=0)
        ax.fill_between(middle, own["low"], own["high"], color=mark.color, alpha=0.1, linewidth=0)
        ax.plot(
            middle, own["score"], color=mark.color, linestyle=mark.dashes, marker=mark.marker, markersize=2.8,
            linewidth=0.9, markerfacecolor=mark.face, markeredgewidth=0.6, label=str(variant),
        )  # fmt: skip
    ax.set_ylim(-0.03, 1.03)
    ax.locator_params(axis="x", integer=True, nbins=6)
