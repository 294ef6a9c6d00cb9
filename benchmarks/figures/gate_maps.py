"""Draw where the gates opened: by layer and module, by rank, and the energy that each layer received."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.image import AxesImage

from benchmarks.figures.style import COLORS, CYCLE, Mark, marks, write_figure, write_sentence
from benchmarks.study.config import StudyConfig

ALL, TAIL = "all", "tail"  # as the tables write them
WRITTEN_UP_TO = 12  # layers; with more the numbers in the cells would be too small to read
SHORT = {"gate": "g", "up": "u", "down": "d"}  # beside q, k, v, o, where columns are narrow


def draw(
    study: StudyConfig, by_layer: pd.DataFrame, by_rank: pd.DataFrame, energy: pd.DataFrame, out: Path
) -> Figure:
    """Write gates.{png,svg} from the tables gates_by_layer, gates_by_rank and energy_by_layer."""
    maps = {str(v): heat(rows) for v, rows in by_layer.groupby("variant", sort=False)}
    if not maps:
        return write_sentence(out, "gates", "No variant of this study learned gates.")
    columns = 1 if len(maps) == 1 else 2
    rows = -(-len(maps) // columns)
    layers = max(len(m) for m in maps.values())
    written = layers <= WRITTEN_UP_TO
    each = 0.5 + (0.19 if written and columns == 1 else 0.085 if written else 0.06) * max(layers, 6)
    keyed = len(maps) > 1
    below = 1.75 + 0.14 * -(-len(maps) // 2) * keyed
    with write_figure(out, "gates", each * rows + below) as figure:
        upper, lower = figure.subfigures(2, 1, height_ratios=[each * rows, below], squeeze=False)[:, 0]
        panels = upper.subplots(rows, columns, squeeze=False)
        image = None
        for i, ax in enumerate(panels.flat):
            if i < len(maps):
                variant, frame = list(maps.items())[i]
                image = _heat_map(ax, frame, written and columns == 1, columns == 1)
                ax.set_title(f"{variant}: mean gate" if columns == 1 else variant)
                if i % columns == 0:
                    ax.set_ylabel("layer")
            else:
                ax.set_axis_off()
        bar = upper.colorbar(image, ax=panels, ticks=[0, 0.5, 1], fraction=0.05, pad=0.02, aspect=30)
        bar.ax.set_yticklabels(["0 shut", "0.5", "1 open"])
        bar.outline.set_linewidth(0.4)
        bar.ax.tick_params(width=0.4, length=2)
        _curves(lower, marks(study), list(maps), by_rank, energy, keyed)
    return figure


def heat(rows: pd.DataFrame) -> pd.DataFrame:
    """Return mean open fractions of one variant: a row per layer, a column per module, NaN for none."""
    cells = rows[(rows["layer"] != ALL) & (rows["module"] != ALL)]
    modules = list(dict.fromkeys(cells["module"]))
    frame = cells.assign(layer=cells["layer"].astype(int)).pivot(
        index="layer", columns="module", values="mean"
    )
    return frame.reindex(index=range(int(frame.index.max()) + 1), columns=modules)


def _heat_map(ax: Axes, gates: pd.DataFrame, written: bool, wide: bool) -> AxesImage:
    # Greys runs from white to black: nothing is lost in print.
    image = ax.imshow(gates, cmap="Greys", vmin=0, vmax=1, aspect="auto")
    ax.set_xticks(range(gates.shape[1]), [m if wide else SHORT.get(m, m) for m in gates.columns])
    step = 1 if len(gates) <= WRITTEN_UP_TO else 4
    ax.set_yticks(range(0, len(gates), step), [str(i) for i in gates.index[::step]])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    if written:
        for (row, column), value in np.ndenumerate(gates.to_numpy()):
            if not np.isnan(value):
                ink = "white" if value > 0.6 else "black"
                ax.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=6, color=ink)
    return image


def _curves(
    figure: SubFigure, look: dict[str, Mark], variants: list[str], by_rank: pd.DataFrame,
    energy: pd.DataFrame, keyed: bool,
) -> None:  # fmt: skip
    ranks, layers = figure.subplots(1, 2)
    everywhere = by_rank[(by_rank["module"] == ALL) & (by_rank["tenth"] != TAIL)]
    others = [v for v in variants if look[v].color == COLORS["baseline"]]
    for variant in variants:
        mark = look[variant]
        color = CYCLE[others.index(variant) % len(CYCLE)] if variant in others else mark.color
        style: dict[str, Any] = {
            "color": color, "linestyle": mark.dashes, "marker": mark.marker,
            "markerfacecolor": mark.face, "markersize": 2.8, "markeredgewidth": 0.6, "linewidth": 0.8,
        }  # fmt: skip
        tenths = everywhere[everywhere["variant"] == variant]
        ranks.plot(tenths["tenth"].astype(int), tenths["mean"], **style)
        received = energy[(energy["variant"] == variant) & (energy["layer"] != ALL)]
        layers.plot(received["layer"].astype(int), received["ratio"], label=variant, **style)
    ranks.set_title("mean gate by rank")
    ranks.set_xlabel("tenth of the spectrum, 1: largest")
    ranks.set_xticks([1, 4, 7, 10])
    _include(ranks, 0.0, 1.0)
    layers.set_title("injected / tau_R's energy")
    layers.set_xlabel("layer")
    _include(layers, 0.0)
    layers.locator_params(axis="x", integer=True, nbins=6)
    if keyed:
        figure.legend(loc="outside lower center", ncols=2, handlelength=2.6, columnspacing=1, borderpad=0)


def _include(ax: Axes, *values: float) -> None:
    """Widen the y axis to these values, with the margins that keep the marks at its ends whole."""
    ax.update_datalim([(0.0, value) for value in values], updatex=False)
    ax.autoscale_view()
