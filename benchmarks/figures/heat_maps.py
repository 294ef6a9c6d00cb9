"""Draw where variants look, over the picture: V beside its merges, by question and third of the depth."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from benchmarks.figures.style import write_figure, write_sentence
from benchmarks.questions import reading
from benchmarks.questions.item import Item
from benchmarks.study.config import StudyConfig

SIDES = ["left", "top", "right", "bottom"]  # of the part of the picture that tokens cover
TRACED = ["tokens", "row", "column", "rows", "columns", *SIDES, "attention", "correct"]
QUESTIONS = 4  # drawn; the others are in the table
LONGEST = 300  # pixels of a picture's longer side in the figure
ROW = 0.62  # inches
VERDICTS = {True: "right", False: "wrong"}


def draw(study: StudyConfig, traced: pd.DataFrame, entry: str, items: Path, out: Path) -> Figure:
    """Write analysis_ENTRY.{png,svg}: attention on the picture's tokens, brighter where more is looked.

    Each map is scaled by its own largest value; the number below is the attention on the whole picture.

    Args:
        traced: a row per variant, question, band of layers and picture token.
        items: the folder of the questions.
    """
    name = f"analysis_{entry}"
    if traced.empty:
        return write_sentence(out, name, f"The analysis {entry} has nothing to draw.")
    asked = traced[["benchmark", "index"]].drop_duplicates().head(QUESTIONS)
    bands, variants = list(dict.fromkeys(traced["tokens"])), list(dict.fromkeys(traced["variant"]))
    found = reading.load_items(items, "dev", list(dict.fromkeys(asked["benchmark"])))
    rows = len(asked) * len(bands)
    with write_figure(out, name, ROW * rows + 0.22 * len(asked) + 0.2) as figure:
        parts = figure.subfigures(len(asked), 1, squeeze=False)[:, 0]
        for part, question in zip(parts, asked.to_dict("records"), strict=True):
            item = next(one for one in found[question["benchmark"]] if one.index == question["index"])
            part.suptitle(_write_title(item), fontsize=6.5, x=0.01, ha="left")
            panels = part.subplots(len(bands), 1 + len(variants), squeeze=False)
            same = traced[(traced["benchmark"] == item.benchmark) & (traced["index"] == item.index)]
            picture = _shrink(item.pictures()[0])
            for ax in panels[:, 0]:
                ax.set_axis_off()
            panels[0, 0].imshow(np.asarray(picture))
            for line, band in zip(panels[:, 1:], bands, strict=True):
                for ax, variant in zip(line, variants, strict=True):
                    cells = same[(same["variant"] == variant) & (same["tokens"] == band)]
                    _draw_map(ax, picture, cells)
                    if band == bands[0] and len(cells):
                        verdict = VERDICTS[bool(cells["correct"].iloc[0] > 0.5)]
                        ax.set_title(f"{variant}\n{verdict}", fontsize=5, loc="center", pad=2)
                line[0].set_ylabel(band, fontsize=5.5)
    return figure


def _draw_map(ax: Axes, picture: Image.Image, cells: pd.DataFrame) -> None:
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.imshow(np.asarray(picture.convert("L")), cmap="gray", vmin=-80, vmax=335, extent=(0, 1, 1, 0),
              aspect=picture.height / picture.width)  # fmt: skip
    if cells.empty:
        return
    one = cells.iloc[0]
    values = np.zeros((int(one["rows"]), int(one["columns"])))
    values[cells["row"].to_numpy(int), cells["column"].to_numpy(int)] = cells["attention"]
    extent = (one["left"], one["right"], one["bottom"], one["top"])
    ax.imshow(
        values / max(values.max(), 1e-12), cmap="inferno", alpha=0.55, vmin=0, vmax=1, extent=extent,
        interpolation="nearest", aspect=picture.height / picture.width,
    )  # fmt: skip
    ax.set_xlim(0, 1)
    ax.set_ylim(1, 0)
    ax.set_xlabel(f"{values.sum():.2f}", fontsize=5, labelpad=1)


def _write_title(item: Item) -> str:
    """Write the last line of the question's words, and the right answer."""
    words = " ".join(" ".join(part["value"].split()) for part in item.message if part["type"] == "text")
    return f"{words if len(words) < 60 else words[:28] + ' ... ' + words[-28:]}  ({item.answer})"


def _shrink(picture: Image.Image) -> Image.Image:
    small = picture.copy()
    small.thumbnail((LONGEST, LONGEST))
    return small
