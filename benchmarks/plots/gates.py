"""Where the gates opened: mean open fraction by layer and module, a heat map per variant with gates."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from safetensors import SafetensorError
from safetensors.numpy import load_file

from benchmarks.plots.style import drawn
from benchmarks.study import Study
from frism.errors import UserError

KEY = re.compile(r"layers\.(\d+)\.(?:\w+\.)*?(\w+?)(?:_proj)?\.weight/open")
MODULES = ("q", "k", "v", "o", "gate", "up", "down")
WRITTEN_UP_TO = 12  # layers; with more the numbers in the cells would be too small to read


def draw(results: Path, study: Study, out: Path) -> None:
    """Write gates.{png,svg} from variants/*/coefficients.safetensors: "<tensor name>/open"."""
    maps = {v: m for v in study.variants if (m := mean_gates(results, v)) is not None}
    layers = max((len(m) for m in maps.values()), default=4)
    height = 0.55 + 0.35 + (0.19 if layers <= WRITTEN_UP_TO else 0.1) * layers
    with drawn(out, "gates", max(height, 1.2) * max(len(maps), 1)) as figure:
        panels = figure.subplots(max(len(maps), 1), 1, squeeze=False)[:, 0]
        if not maps:
            panels[0].set_axis_off()
            panels[0].text(0.5, 0.5, "No variant of this study learned gates.", ha="center", va="center")
        for ax, (variant, gates) in zip(panels, maps.items(), strict=False):
            _heat_map(ax, gates)
            ax.set_title(f"{variant}: mean gate, 0 shut, 1 open")


def mean_gates(results: Path, variant: str) -> pd.DataFrame | None:
    """Mean open fraction: rows layers, columns modules, NaN where there is none; None without gates."""
    path = results / "variants" / variant / "coefficients.safetensors"
    if not path.exists():
        return None
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(
            f"{path} is not a readable safetensors file ({error}): delete it and run again."
        ) from None
    found = {key: KEY.fullmatch(key) for key in tensors}
    means = {(int(m[1]), m[2]): float(tensors[k].astype(np.float64).mean()) for k, m in found.items() if m}
    if not means:
        return None
    frame = pd.Series(means).unstack()
    known = [m for m in MODULES if m in frame.columns]
    frame = frame.reindex(columns=known + sorted(set(frame.columns) - set(known)))
    return frame.reindex(index=range(int(frame.index.max()) + 1))


def _heat_map(ax: Axes, gates: pd.DataFrame) -> None:
    # Greys runs from white to black: nothing is lost in print.
    image = ax.imshow(gates, cmap="Greys", vmin=0, vmax=1, aspect="auto")
    ax.set_xticks(range(gates.shape[1]), gates.columns)
    step = 1 if len(gates) <= WRITTEN_UP_TO else 4
    ax.set_yticks(range(0, len(gates), step), [str(i) for i in gates.index[::step]])
    ax.set_ylabel("layer")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    figure = ax.get_figure(root=True)
    assert figure is not None
    bar = figure.colorbar(image, ax=ax, ticks=[0, 0.5, 1], fraction=0.05, pad=0.02)
    bar.outline.set_linewidth(0.4)
    bar.ax.tick_params(width=0.4, length=2)
    if len(gates) <= WRITTEN_UP_TO:
        for (row, column), value in np.ndenumerate(gates.to_numpy()):
            if not np.isnan(value):
                ink = "white" if value > 0.6 else "black"
                ax.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=6, color=ink)
