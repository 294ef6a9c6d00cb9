"""Draw learning curves: KL, injected energy and gates by step; losses of the triple's training."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from benchmarks.figures.style import DASHES, write_figure, write_sentence
from benchmarks.study.config import StudyConfig
from benchmarks.study.results import read_table

GREYS = ("#000000", "#C0410A", "#0A5C94", "#7A7A7A")
BANDS = 3  # variants up to which the bands are filled: more would hide each other
LOSS_COLUMNS = ["stage", "step", "loss"]


def draw(results: Path, study: StudyConfig, out: Path) -> Figure:
    """Write learning.{png,svg} from variants/*/learning.csv and the curves beside the triple's weights.

    A curve is any CSV with the columns stage, step, loss in a checkpoint's folder; real
    checkpoints come without, and the panels are left out.
    """
    curves = _learning_curves(results, study)
    losses = _loss_curves(study)
    rows = 3 * bool(curves) + bool(losses)
    if not rows:
        return write_sentence(out, "learning", "No variant of this study learned anything.")
    key = 0.14 * -(-len(curves) // 2) * (len(curves) > 1)  # a line of the legend takes that much
    with write_figure(out, "learning", 1.35 * rows + 0.15 + key) as figure:
        upper: FigureBase = figure
        lower: FigureBase = figure
        if curves and losses:
            upper, lower = figure.subfigures(2, 1, height_ratios=[3 + key / 1.35, 1.15], squeeze=False)[:, 0]
        if curves:
            panels = upper.subplots(3, 1, sharex=True)
            _gate_panels(panels, curves)
            if key:
                entries = panels[1].get_legend_handles_labels()
                upper.legend(*entries, loc="outside lower center", ncols=2, labelspacing=0.25, borderpad=0)
        if losses:
            _loss_panels(lower.subplots(1, len(losses), sharey=True, squeeze=False)[0], losses, bool(curves))
    return figure


def _learning_curves(results: Path, study: StudyConfig) -> dict[str, pd.DataFrame]:
    curves = {}
    for variant in study.variants:
        path = results / "variants" / variant / "learning.csv"
        if path.exists() and len(frame := read_table(path)):
            curves[variant] = frame.rename(columns={f"gate_q{q}": f"q{q}" for q in (10, 50, 90)})
    return curves


def _loss_curves(study: StudyConfig) -> dict[str, pd.DataFrame]:
    curves = {}
    for role, folder in study.triple.folders.items():
        for path in sorted(Path(str(folder)).glob("*.csv")):
            frame = read_table(path)
            if list(frame.columns) == LOSS_COLUMNS and len(frame):
                curves[role] = frame
    return curves


def _logarithmic(ax: Axes) -> None:
    """Make the y axis logarithmic, with plain numbers (0.02, 0.05, 0.1)."""
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.yaxis.set_minor_locator(NullLocator())


def _looks() -> Iterator[dict[str, Any]]:
    # Four colours and seven dashes: twenty-eight pairs before one comes again.
    pairs = zip(itertools.cycle(GREYS), itertools.cycle(DASHES), strict=False)
    return ({"color": color, "linestyle": dashes} for color, dashes in pairs)


def _gate_panels(panels: list[Axes], curves: dict[str, pd.DataFrame]) -> None:
    kl, energy, gates = panels
    for (variant, frame), look in zip(curves.items(), _looks(), strict=False):
        if "kl" in frame:
            kl.plot(frame["step"], frame["kl"], **look)
        if "held_out_kl" in frame:
            kl.plot(frame["step"], frame["held_out_kl"], **look | {"linewidth": 0.4})
        if "injected_energy" in frame:
            energy.plot(frame["step"], frame["injected_energy"], label=variant, **look)
        if {"q10", "q50", "q90"} <= set(frame.columns):
            if len(curves) <= BANDS:
                gates.fill_between(
                    frame["step"], frame["q10"], frame["q90"], color=look["color"], alpha=0.12, linewidth=0
                )
            gates.plot(frame["step"], frame["q50"], **look)
            for edge in ("q10", "q90"):
                gates.plot(frame["step"], frame[edge], color=look["color"], linewidth=0.4)
    held_out = any("held_out_kl" in frame for frame in curves.values())
    kl.set_title("KL to the VLM, nats per answer token" + ("; thin: held out" if held_out else ""))
    _logarithmic(kl)
    energy.set_title("injected energy, share of that of tau_R")
    energy.set_ylim(0, None)
    gates.set_title("gates: median, 10 to 90 % band")
    low, high = gates.get_ylim()
    gates.set_ylim(min(low, 0), max(high, 1))  # signed gates go beyond
    gates.set_xlabel("step")


def _loss_panels(panels: list[Axes], losses: dict[str, pd.DataFrame], below: bool) -> None:
    titles = {"base": "base", "lrm": "LRM", "vlm": "VLM"}
    for ax, (role, frame) in zip(panels, losses.items(), strict=True):
        start = 0.0
        for (_, stage), look in zip(frame.groupby("stage", sort=False), _looks(), strict=False):
            ax.plot(start + stage["step"], stage["loss"], **look)
            start += float(stage["step"].max())
            ax.axvline(start, color="0.8", linewidth=0.4, zorder=0)
        _logarithmic(ax)
        ax.set_title(titles.get(role, role))
        ax.locator_params(axis="x", nbins=3)
        ax.set_xlabel("step")
    panels[0].set_ylabel("training loss" if below else "loss")
