"""Draw scores against generated tokens, axis by axis: both intervals, and the front of few tokens."""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from benchmarks.figures.labels import add_label, count_key_lines, draw_key, name_points, place_labels
from benchmarks.figures.style import Mark, choose_marks, fix_layout, write_figure, write_sentence
from benchmarks.study.compared import Compared

AXES = ("reasoning", "perception")
LOGARITHMIC = 5  # from this ratio of the longest to the shortest mean answer of an axis on


def draw(study: Compared, tokens: pd.DataFrame, out: Path) -> Figure:
    """Write tokens.{png,svg} from the table `tokens`: a panel per axis."""
    axes = [axis for axis in AXES if (tokens["group"] == axis).any()]
    if not axes:
        return write_sentence(out, "tokens", "How many tokens these answers took is not known.")
    look = choose_marks(study, set(tokens.loc[tokens["front"] == "yes", "variant"]))
    names, numbered = name_points(study.variants, look)
    lines = count_key_lines(names, look) if numbered else 0
    with write_figure(out, "tokens", 2.3 * len(axes) + 0.3 + 0.14 * lines) as figure:
        panels = figure.subplots(len(axes), 1, squeeze=False)[:, 0]
        level = f"{study.statistics.confidence:.0%}"
        points = {axis: tokens[tokens["group"] == axis].set_index("variant") for axis in axes}
        logarithmic = any(p["tokens"].max() > LOGARITHMIC * p["tokens"].min() > 0 for p in points.values())
        for letter, ax, axis in zip("ab", panels, axes, strict=False):
            _draw_axis(ax, points[axis], look)
            if logarithmic:
                ax.set_xscale("log")
                ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
                ax.xaxis.set_minor_locator(NullLocator())
            ax.set_title(f"({letter}) test, {level} intervals; dotted: front")
            ax.set_xlabel("tokens per answer (mean)")
            ax.set_ylabel(f"{axis} (mean score)")
        if numbered:
            draw_key(figure, names, look)
        fix_layout(figure)
        for ax, axis in zip(panels, axes, strict=True):
            place_labels(
                ax,
                [
                    add_label(ax, p["tokens"], p["score"], names[str(v)], look[str(v)].color)
                    for v, p in points[axis].iterrows()
                    if v in names
                ],
            )
    return figure


def find_steps(points: pd.DataFrame) -> pd.DataFrame:
    """Return the corners (tokens, score) of the front, from the fewest tokens to the most."""
    front = points[points["front"] == "yes"].sort_values(["tokens", "score"])
    return pd.DataFrame(
        {"tokens": front["tokens"].repeat(2).iloc[1:].to_numpy(), "score": front["score"].repeat(2).iloc[:-1]}
    )


def _draw_axis(ax: Axes, points: pd.DataFrame, look: dict[str, Mark]) -> None:
    for variant, p in points.iterrows():
        mark = look[str(variant)]
        for x, y in (
            ([p["tokens_low"], p["tokens_high"]], [p["score"]] * 2),
            ([p["tokens"]] * 2, [p["low"], p["high"]]),
        ):
            if mark.named:
                ax.plot(x, y, color=mark.color, alpha=0.55, linewidth=0.5, zorder=2)
        ax.plot(
            p["tokens"], p["score"], mark.marker, color=mark.color, markerfacecolor=mark.face,
            markersize=mark.size, markeredgewidth=0.8, gid=mark.gid, linestyle="none",
            zorder=(3 if mark.marker == "*" else 4) if mark.named else 1,
        )  # fmt: skip
    steps = find_steps(points)
    ax.plot(steps["tokens"], steps["score"], color="0.35", linewidth=0.6, linestyle=(0, (1, 1.5)), zorder=1)
    ax.margins(0.14, 0.1)
