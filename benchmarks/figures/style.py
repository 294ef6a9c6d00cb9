"""Style all figures alike: column width, legible in grey, the same bytes for the same numbers."""

import re
import textwrap
from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from benchmarks.study.compared import Compared
from frism.files import atomic_write

COLUMN = 3.4  # inches, one column of a two-column page
MARKERS = ("o", "s", "^", "v", "P", "X", "<", ">", "p", "h", "d", "8", "H")
DASHES = (
    "-",
    (0, (4, 1.5)),
    (0, (1, 1)),
    (0, (5, 1, 1, 1)),
    (0, (2, 1)),
    (0, (6, 1, 1, 1, 1, 1)),
    (0, (8, 2)),
)
# Colours of Okabe and Ito, of different lightness, never the only thing that tells two marks apart.
COLORS = {"reference": "#000000", "learned": "#C0410A", "control": "#8A6A00", "baseline": "#0A5C94"}
MANY = 24  # from so many variants on, most of them are drawn as background
BACKGROUND = "background"  # gid of what labels need not keep off
CLIP = re.compile(r"(?<=[\"#])p[0-9a-f]{10}(?=[\")])")
# For several variants of one role, which are told apart by lines.
CYCLE = ("#0A5C94", "#2E8B6B", "#555555", "#8E4585", "#3A9BB5", "#8A6A00")
# Inside of a mark: the second once every marker was used.
FACES = {"baseline": ("white", "#8FB4CE"), "control": ("#D9D9D9", "#A8925A")}
SETTINGS: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # ships with matplotlib: the same glyphs on every machine
    "font.size": 7,
    "axes.titlesize": 7.5,
    "axes.titlelocation": "left",
    "axes.labelsize": 7,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "lines.linewidth": 1.0,
    "svg.hashsalt": "frism",  # ids in the SVG are hashes, otherwise random
    "svg.fonttype": "path",
}


@dataclass(frozen=True)
class Mark:
    """Say how one variant is drawn in every figure."""

    marker: str
    color: str
    face: str
    size: float
    dashes: str | tuple[int, tuple[float, ...]]
    named: bool = True

    @property
    def gid(self) -> str | None:
        """What marks a drawing as background."""
        return None if self.named else BACKGROUND


def choose_marks(study: Compared, front: Container[str] = ()) -> dict[str, Mark]:
    """Choose each variant's mark by its role: star, diamond (learned), grey (control), open (baseline).

    Of MANY variants, baselines that are neither on the `front` nor rivals are small grey dots without a name.
    """
    result, turn = {}, 0
    for name in study.variants:
        role = study.role(name)
        plain = role == "baseline" and name not in front and name not in study.statistics.rivals
        if plain and len(study.variants) >= MANY:
            result[name] = Mark("o", "0.7", "0.85", 2.5, "-", named=False)
            continue
        color = COLORS[role]
        if role == "reference":
            result[name] = Mark("*", color, color, 8, "-")
        elif role == "learned":
            result[name] = Mark("D", color, color, 5, "-")
        else:
            face = FACES[role][turn // len(MARKERS) % 2]
            result[name] = Mark(MARKERS[turn % len(MARKERS)], color, face, 4.5, DASHES[turn % len(DASHES)])
            turn += 1
    return result


def write_sentence(out: Path, name: str, sentence: str) -> Figure:
    """Write a figure that says why there is nothing to draw, and return it."""
    with write_figure(out, name, 1.2) as figure:
        ax = figure.subplots()
        ax.set_axis_off()
        ax.text(0.5, 0.5, textwrap.fill(sentence, 60), ha="center", va="center", transform=ax.transAxes)
    return figure


@contextmanager
def write_figure(out: Path, name: str, height: float) -> Iterator[Figure]:
    """Yield an empty figure one column wide; write it to `out` as PNG (300 dpi) and SVG afterwards."""
    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(COLUMN, height), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure
        with atomic_write(out / f"{name}.png") as path:
            figure.savefig(path, dpi=300, metadata={"Software": None})
        with atomic_write(out / f"{name}.svg") as path:
            figure.savefig(path, metadata={"Date": None, "Creator": None})
            path.write_text(_number_clips(path.read_text(encoding="utf-8")), encoding="utf-8")


def fix_layout(figure: Figure) -> None:
    """Lay the figure out for good, so that pixels mean something from here on.

    The solver's last bits vary from run to run; the labels' search must not depend on them.
    """
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for ax in figure.axes:
        ax.set_position(Bbox(ax.get_position().get_points().round(5)))


def _number_clips(svg: str) -> str:
    """Number clip paths, whose names are hashes of coordinates down to the layout solver's last bits."""
    names: dict[str, str] = {}
    return CLIP.sub(lambda name: names.setdefault(name[0], f"clip{len(names)}"), svg)
