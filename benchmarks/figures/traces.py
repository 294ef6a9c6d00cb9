"""Draw what was measured inside models, hidden drift or attention: by layer, a panel per kind of token."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from benchmarks.figures.style import choose_marks, write_figure, write_sentence
from benchmarks.study.config import StudyConfig

LABELS = {"relative": "distance / norm of V's", "picture": "attention on picture"}


def draw(study: StudyConfig, table: pd.DataFrame, entry: str, measure: str, out: Path) -> Figure:
    """Write analysis_ENTRY.{png,svg} from a table of traces: a measure by layer, a row of panels per kind."""
    name, rows = f"analysis_{entry}", table[table["entry"] == entry]
    if rows.empty:
        return write_sentence(out, name, f"The analysis {entry} has nothing to draw.")
    axes, kinds, look = rows["axis"].unique(), rows["tokens"].unique(), choose_marks(study)
    with write_figure(out, name, 1.15 * len(kinds) + 0.45) as figure:
        panels = figure.subplots(len(kinds), len(axes), sharex=True, sharey=True, squeeze=False)
        for line, kind in zip(panels, kinds, strict=True):
            for ax, axis in zip(line, axes, strict=True):
                shown = rows[(rows["axis"] == axis) & (rows["tokens"] == kind)]
                if shown.empty:  # one-word answers have no quarters
                    ax.set_axis_off()
                    continue
                for variant, own in shown.groupby("variant", sort=False):
                    mark = look[str(variant)]
                    low, high = own[f"{measure}_low"], own[f"{measure}_high"]
                    ax.fill_between(own["layer"], low, high, color=mark.color, alpha=0.12, linewidth=0)
                    ax.plot(
                        own["layer"], own[measure], color=mark.color, linestyle=mark.dashes, linewidth=0.9,
                        marker=mark.marker, markersize=2.4, markerfacecolor=mark.face, label=str(variant),
                    )  # fmt: skip
                ax.set_title(f"{axis}: {kind}", pad=2)
                ax.set_ylim(0, None)
                ax.locator_params(axis="x", integer=True, nbins=6)
        for line in panels:
            next(ax for ax in line if ax.axison).tick_params(labelleft=True)
        for column in panels.T:
            lowest = [ax for ax in column if ax.axison][-1]
            lowest.set_xlabel("layer")
            lowest.tick_params(labelbottom=True)
        figure.supylabel(LABELS[measure], fontsize=7)
        handles = panels[0][0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside lower center", ncols=4, handlelength=2.6)
    return figure
