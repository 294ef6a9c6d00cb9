"""Draw scores against the length of answers: fifths of each variant's, from the shortest on."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from benchmarks.figures.style import choose_marks, write_figure, write_sentence
from benchmarks.study.config import StudyConfig

AXES = ("perception", "reasoning")
PARTS = 5


def draw(study: StudyConfig, counts: pd.DataFrame, entry: str, out: Path) -> Figure:
    """Write analysis_ENTRY.{png,svg} from counts of answers: a panel per axis.

    Hard questions take longer, so a falling line does not say that length harms; the table `same_question`
    compares answers to one question.
    """
    name, rows = f"analysis_{entry}", counts[counts["entry"] == entry].dropna(subset=["tokens"])
    axes = [axis for axis in AXES if (rows["axis"] == axis).any()]
    if not axes:
        return write_sentence(out, name, "How many tokens these answers took is not known.")
    look = choose_marks(study)
    with write_figure(out, name, 1.9 * len(axes) + 0.35) as figure:
        panels = figure.subplots(len(axes), 1, squeeze=False)[:, 0]
        for ax, axis in zip(panels, axes, strict=True):
            for variant, own in rows[rows["axis"] == axis].groupby("variant", sort=False):
                ordered = own.sort_values("tokens", kind="stable")[["tokens", "correct"]].to_numpy(float)
                means = np.array([part.mean(0) for part in np.array_split(ordered, PARTS) if len(part)])
                mark = look[str(variant)]
                ax.plot(
                    means[:, 0], means[:, 1], color=mark.color, linestyle=mark.dashes, marker=mark.marker,
                    markersize=3.2, linewidth=0.9, markerfacecolor=mark.face, markeredgewidth=0.6,
                    label=str(variant),
                )  # fmt: skip
            ax.set_ylim(-0.03, 1.03)
            ax.set_ylabel(axis)
        panels[-1].set_xlabel("tokens of an answer (means of fifths)")
        figure.legend(
            *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, handlelength=2.6
        )
    return figure
