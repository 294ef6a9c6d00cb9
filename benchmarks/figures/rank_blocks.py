"""Draw the paper's Figure 3: scores with one block of singular directions injected, by strength."""

from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.figures.style import MARKERS, write_figure, write_sentence
from benchmarks.study.config import StudyConfig
from benchmarks.tables.gates.block_names import NONE, WHOLE

AXES = ("reasoning", "perception")


def draw(study: StudyConfig, table: pd.DataFrame, out: Path) -> Figure:
    """Write rank_blocks.{png,svg} from the table of that name: two panels for each variant."""
    blocks = table[~table["block"].isin([NONE, WHOLE])]
    variants = list(dict.fromkeys(blocks["variant"]))
    if not variants:
        sentence = "This study injects no single blocks of ranks (method rank_block)."
        return write_sentence(out, "rank_blocks", sentence)
    longest = max(blocks.loc[blocks["variant"] == v, "block"].nunique() for v in variants)
    lines = -(-(longest + 2) // 3)
    with write_figure(out, "rank_blocks", (3.65 + 0.14 * lines) * len(variants)) as figure:
        for part, variant in zip(
            figure.subfigures(len(variants), 1, squeeze=False)[:, 0], variants, strict=True
        ):
            rows = blocks[blocks["variant"] == variant]
            split = {"count": "equal count", "energy": "equal energy"}.get(rows["split"].iloc[0], "")
            panels = part.subplots(2, 1, sharex=True)
            for ax, axis in zip(panels, AXES, strict=True):
                _draw_panel(ax, table, rows, axis)
                suite = getattr(study.explain, axis)
                ax.set_ylabel(f"{axis}\n({suite or 'mean score'}, dev)")
            title = f"blocks of {split}" if split else "one block of ranks"
            panels[0].set_title(f"{variant}: {title}")
            panels[1].set_xlabel("strength")
            handles, labels = panels[0].get_legend_handles_labels()
            part.legend(
                handles, labels, loc="outside lower center", ncols=3, handlelength=2.4, columnspacing=0.9,
                labelspacing=0.25, borderpad=0,
                title="in brackets: share of tau_R's energy; full: best within budget", title_fontsize=6.5,
            )  # fmt: skip
    return figure


def _draw_panel(ax: Axes, table: pd.DataFrame, blocks: pd.DataFrame, axis: str) -> None:
    unmodified = table[table["block"] == NONE].iloc[0]
    ax.axhspan(unmodified[f"{axis}_low"], unmodified[f"{axis}_high"], color="0.9", linewidth=0, zorder=0)
    ax.axhline(unmodified[axis], color="0.45", linewidth=0.7, zorder=1, label="unmodified")
    numbers = sorted(blocks["block"].astype(int).unique())
    strengths = sorted(blocks["strength"].unique())
    wide = strengths[-1] > 10 * strengths[0] > 0
    reach = 0 if wide else 0.008 * (strengths[-1] - strengths[0])
    shades = mpl.colormaps["viridis"].resampled(256)
    for i, number in enumerate(numbers):
        color = shades(0.85 * i / max(len(numbers) - 1, 1))
        rows = blocks[blocks["block"].astype(int) == number].sort_values("strength")
        share = rows["energy_share"].iloc[0]
        apart = rows["strength"] + reach * (i - (len(numbers) - 1) / 2)  # so that intervals can be seen
        ax.plot(
            apart, rows[axis], color=color, marker=MARKERS[i % len(MARKERS)], markersize=3,
            markerfacecolor="white", markeredgewidth=0.7, linewidth=0.9, zorder=3,
            label=f"block {number} ({share:.0%})" if share >= 0.005 else f"block {number} (<1%)",
        )  # fmt: skip
        best = rows[rows["best"] == "yes"]
        low, high = best[axis] - best[f"{axis}_low"], best[f"{axis}_high"] - best[axis]
        ax.errorbar(
            apart[best.index], best[axis], yerr=[low.clip(lower=0), high.clip(lower=0)], color=color,
            marker=MARKERS[i % len(MARKERS)], markersize=4.2, elinewidth=0.7, linestyle="none", zorder=4,
        )  # fmt: skip
    whole = table[table["block"] == WHOLE].sort_values("strength")
    whole = whole[whole["strength"].between(blocks["strength"].min() * 0.5, blocks["strength"].max() * 1.01)]
    if len(whole):
        ax.plot(
            whole["strength"], whole[axis], color="black", linestyle=(0, (4, 1.5)), linewidth=0.9,
            marker="x", markersize=3, markeredgewidth=0.7, zorder=2, label="all ranks",
        )  # fmt: skip
    if wide:
        ax.set_xscale("log")
    ax.set_xticks(strengths, [f"{s:g}" for s in strengths])
    ax.minorticks_off()
