"""Draw histograms of the gates, and the shares shut and open against alpha: do gates run to either end?"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmarks.figures.style import COLORS, DASHES, write_figure, write_sentence
from benchmarks.study.config import StudyConfig

METHOD = "frism"
MOST = 12  # histograms
# What a share is of: colour, marker.
SHARES = {"open": ("#C0410A", "D"), "between": ("#7A7A7A", "o"), "shut": ("#0A5C94", "s")}


def draw(study: StudyConfig, table: pd.DataFrame, out: Path) -> Figure:
    """Write bimodality.{png,svg} from the table of that name."""
    if table.empty:
        return write_sentence(
            out, "bimodality", "No variant of this study learned gates that depend on alpha."
        )
    first = swept(study, table)
    shown = histograms(table, first)
    against = table[table["variant"] == first]
    with_shares = against["alpha"].nunique() > 1
    heights = [0.42 * len(shown) + 0.35, 1.75]
    with write_figure(out, "bimodality", heights[0] + heights[1] * with_shares) as figure:
        parts = figure.subfigures(1 + with_shares, 1, height_ratios=heights[: 1 + with_shares], squeeze=False)
        panels = parts[0, 0].subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
        for ax, (_, row) in zip(panels, shown.iterrows(), strict=True):
            _histogram(ax, row)
        panels[0].set_title("dark: chosen; bc: bimodality coefficient")
        panels[-1].set_xlabel("open fraction of a direction")
        if with_shares:
            _shares(parts[1, 0].subplots(), against)
    return figure


def swept(study: StudyConfig, table: pd.DataFrame) -> str:
    """Return the variant to show against alpha: the one with most alphas, of FRISM if there is one."""
    counts = table.groupby("variant", sort=False)["alpha"].nunique()
    of_frism = [v for v in counts.index if v in study.variants and study.variants[v].method == METHOD]
    return str(max(of_frism or list(counts.index), key=lambda v: counts[v]))


def histograms(table: pd.DataFrame, first: str) -> pd.DataFrame:
    """Select the points to show: of `first` every alpha at the chosen strength, of others the chosen one."""
    points, others = table[table["variant"] == first], table[table["variant"] != first]
    chosen = points[points["chosen"] == "yes"]
    strength = float((chosen if len(chosen) else points)["strength"].iloc[0])
    points = points[points["strength"] == strength].drop_duplicates("alpha").sort_values("alpha")
    return pd.concat([points, others[others["chosen"] == "yes"]])[:MOST]


def _histogram(ax: Axes, row: pd.Series) -> None:
    counts = np.array(json.loads(row["histogram"]), float)
    edges = np.linspace(0, 1, len(counts) + 1)
    color = COLORS["learned"] if row["chosen"] == "yes" else "#D9A98F"
    ax.bar(edges[:-1], counts / counts.sum(), np.diff(edges), align="edge", color=color, linewidth=0)
    ax.set_xlim(0, 1)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    coefficient = "" if np.isnan(row["coefficient"]) else f"bc {row['coefficient']:.2f}"
    ax.set_ylabel(
        f"{row['variant']}\nalpha {row['alpha']:g}", rotation=0, ha="right", va="center", fontsize=6.5
    )
    ax.annotate(
        coefficient, (1.01, 0.5), xycoords="axes fraction", fontsize=6.5, va="center", annotation_clip=False
    )


def _shares(ax: Axes, rows: pd.DataFrame) -> None:
    """Plot shares against alpha: a colour and marker for each share, a line style for each strength."""
    strengths = sorted(rows["strength"].unique())
    look: dict[str, Any] = {
        "markersize": 3.2,
        "markerfacecolor": "white",
        "markeredgewidth": 0.7,
        "linewidth": 0.9,
    }
    handles = [Line2D([], [], color=c, marker=m, label=share, **look) for share, (c, m) in SHARES.items()]
    for dashes, strength in zip(DASHES, strengths, strict=False):
        part = rows[rows["strength"] == strength].sort_values("alpha")
        for share, (color, marker) in SHARES.items():
            ax.plot(
                part["alpha"],
                part[share],
                color=color,
                marker=marker,
                linestyle=dashes,
                clip_on=False,
                **look,
            )
        if len(strengths) > 1:
            dashed: dict[str, Any] = {"color": "black", "linestyle": dashes, "linewidth": 0.9}
            handles.append(Line2D([], [], label=f"strength {strength:g}", **dashed))
    alphas = sorted(rows["alpha"].unique())
    if alphas[0] > 0:
        ax.set_xscale("log")
    ax.set_xticks(alphas, [f"{a:g}" for a in alphas])
    ax.minorticks_off()
    ax.set_ylim(0, 1)
    ax.set_xlabel("alpha")
    ax.set_ylabel("share of directions")
    ax.set_title("open: gate above 0.9, shut: below 0.1")
    ax.legend(
        handles=handles, ncols=1, loc="center left", bbox_to_anchor=(1, 0.5), handlelength=2.4, borderpad=0
    )
