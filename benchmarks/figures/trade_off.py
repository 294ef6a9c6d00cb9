"""Draw the trade-off of perception and reasoning: test points with ellipses and front, dev sweeps."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import chi2

from benchmarks.figures.labels import add_label, count_key_lines, draw_key, name_points, place_labels
from benchmarks.figures.style import Mark, choose_marks, fix_layout, write_figure, write_sentence
from benchmarks.study.compared import Compared


def draw(study: Compared, pareto: pd.DataFrame, selection: pd.DataFrame, out: Path) -> Figure:
    """Write trade_off.{png,svg} from the tables `pareto` and `selection`."""
    points = _read_points(study, pareto)
    if points.empty:
        return write_sentence(out, "trade_off", "This study asks for one axis alone.")
    look = choose_marks(study, set(points.index[points["front"]]))
    names, numbered = name_points(points.index, look)
    swept = [v for v in points.index if (selection["variant"] == v).sum() > 1]
    lines = count_key_lines(names, look) if numbered else 0
    panels = 2 if swept else 1
    with write_figure(out, "trade_off", 2.5 * panels + 0.3 + 0.14 * lines) as figure:
        upper = figure.subplots(panels, 1, squeeze=False)[:, 0]
        _draw_test(upper[0], points, look, study.statistics.confidence)
        if swept:
            _draw_sweeps(upper[1], selection, swept, look, study)
        if numbered:
            draw_key(figure, names, look)
        fix_layout(figure)
        _label_points(upper[0], points, names, look)
        if swept:
            _label_sweeps(upper[1], selection, swept, names, look, study)
    return figure


def _read_points(study: Compared, pareto: pd.DataFrame) -> pd.DataFrame:
    """Return per variant x, y, their bootstrap deviations and correlation, and whether it is on the front."""
    rows = pareto.set_index("variant").reindex([v for v in study.variants if v in set(pareto["variant"])])
    names = {"perception": "x", "reasoning": "y", "perception_sd": "sx", "reasoning_sd": "sy"}
    # A table that was written says yes; one that was just built has the truth value.
    rows = rows.assign(front=rows["front"].isin(["yes", True]))
    return rows.rename(columns=names)[["x", "y", "sx", "sy", "correlation", "front"]]


def _compute_ellipse(point: pd.Series, level: float) -> NDArray[np.float64]:
    """Return the outline (65, 2) of the ellipse with `level` of the normal law of a point's covariance."""
    covariance = np.array(
        [
            [point.sx**2, point.correlation * point.sx * point.sy],
            [point.correlation * point.sx * point.sy, point.sy**2],
        ]
    )
    values, vectors = np.linalg.eigh(covariance)
    turn = np.linspace(0, 2 * np.pi, 65)
    circle = np.vstack([np.cos(turn), np.sin(turn)]) * np.sqrt(chi2.ppf(level, 2))
    centre = np.array([point.x, point.y])
    outline: NDArray[np.float64] = (vectors @ (np.sqrt(np.maximum(values, 0))[:, None] * circle)).T + centre
    return outline


def _compute_staircase(points: pd.DataFrame) -> pd.DataFrame:
    """Return the corners of the area that the front dominates, from the top left to the bottom right."""
    front = points[points["front"]].sort_values(["x", "y"], ascending=[True, False])
    return pd.DataFrame({"x": front["x"].repeat(2).iloc[:-1], "y": front["y"].repeat(2).iloc[1:].to_numpy()})


def _draw_test(ax: Axes, points: pd.DataFrame, look: dict[str, Mark], level: float) -> None:
    for variant, p in points.iterrows():
        mark = look[str(variant)]
        if mark.named:
            outline = _compute_ellipse(p, level)
            ax.fill(*outline.T, color=mark.color, alpha=0.08, linewidth=0, zorder=1)
            ax.plot(*outline.T, color=mark.color, alpha=0.55, linewidth=0.5, zorder=2)
        ax.plot(
            p.x,
            p.y,
            mark.marker,
            color=mark.color,
            markerfacecolor=mark.face,
            markersize=mark.size,
            markeredgewidth=0.8,
            zorder=(3 if mark.marker == "*" else 4) if mark.named else 1,
            linestyle="none",
            gid=mark.gid,
        )
    stairs = _compute_staircase(points)
    ax.plot(stairs["x"], stairs["y"], color="0.35", linewidth=0.6, linestyle=(0, (1, 1.5)), zorder=1)
    reference = points.iloc[0]
    ax.axvline(reference.x, color="0.75", linewidth=0.5, zorder=0)
    ax.axhline(reference.y, color="0.75", linewidth=0.5, zorder=0)
    ax.margins(0.14, 0.1)
    ax.set_title(f"(a) test, chosen points, {level:.0%} ellipses; dotted: front")
    _name_axes(ax)


def _draw_sweeps(
    ax: Axes, selection: pd.DataFrame, swept: list[str], look: dict[str, Mark], study: Compared
) -> None:
    for variant in swept:
        mark = look[variant]
        for line in split_into_lines(selection, variant):
            ax.plot(
                line["perception"],
                line["reasoning"],
                color=mark.color,
                linestyle=mark.dashes,
                linewidth=0.8 if mark.named else 0.3,
                marker=mark.marker,
                markersize=2.8 if mark.named else 1,
                markerfacecolor="white",
                markeredgewidth=0.6 if mark.named else 0.3,
                zorder=3 if mark.named else 1,
                gid=mark.gid,
            )
        chosen = selection[(selection["variant"] == variant) & (selection["chosen"] == "yes")]
        ax.plot(
            chosen["perception"],
            chosen["reasoning"],
            mark.marker,
            color=mark.color,
            markersize=4.5 if mark.named else 2,
            markeredgewidth=0.8,
            zorder=5 if mark.named else 1,
            gid=mark.gid,
        )
    reference = selection[selection["variant"] == study.reference]
    if len(reference):
        ax.plot(reference["perception"], reference["reasoning"], "*", color="black", markersize=8, zorder=2)
        floor = float(reference["perception"].iloc[0]) - study.selection.perception_budget
        ax.axvline(floor, color="0.35", linewidth=0.6, linestyle=(0, (1, 1.5)), zorder=0)
        ax.annotate(
            "budget ",
            (floor, 1),
            xycoords=("data", "axes fraction"),
            ha="right",
            va="top",
            fontsize=6,
            color="0.35",
        )
    ax.margins(0.08)
    ax.set_title("(b) dev, every point of each sweep; full: chosen")
    _name_axes(ax)


def split_into_lines(selection: pd.DataFrame, variant: str) -> list[pd.DataFrame]:
    """Cut a sweep into lines: along its longest parameter, one per combination of the others."""
    points = selection[selection["variant"] == variant].sort_values("point")
    params = pd.DataFrame([json.loads(p) for p in points["params"]], index=points.index)
    if params.shape[1] < 2:
        return [points]
    varied = [c for c in params.columns if params[c].nunique() > 1]
    along = max(varied, key=lambda c: params[c].nunique(), default=None)
    others = [c for c in varied if c != along]
    if not others:
        return [points]
    return [part for _, part in points.groupby([params[c] for c in others], sort=False)]


def _name_axes(ax: Axes) -> None:
    ax.set_xlabel("perception (mean score)")
    ax.set_ylabel("reasoning (mean score)")


def _label_points(ax: Axes, points: pd.DataFrame, names: dict[str, str], look: dict[str, Mark]) -> None:
    named = points.loc[list(names)]
    place_labels(
        ax, [add_label(ax, p.x, p.y, names[str(v)], look[str(v)].color) for v, p in named.iterrows()]
    )


def _label_sweeps(
    ax: Axes, selection: pd.DataFrame, swept: list[str], names: dict[str, str], look: dict[str, Mark],
    study: Compared,
) -> None:  # fmt: skip
    named = [variant for variant in swept if variant in names]
    ends = {variant: split_into_lines(selection, variant)[-1].iloc[-1] for variant in named}
    reference = selection[selection["variant"] == study.reference]
    if len(reference):
        ends[study.reference] = reference.iloc[0]
    place_labels(
        ax,
        [add_label(ax, p["perception"], p["reasoning"], names[v], look[v].color) for v, p in ends.items()],
    )
