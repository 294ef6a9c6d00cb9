"""Name points, and place labels beside them with adjustText, off each other and off the drawing."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from adjustText import adjust_text
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from benchmarks.figures.style import BACKGROUND, Mark

NAMES_UP_TO = 6  # more variants than this are numbered, with a key below
STEP = 6.0  # pixels between the points of a line that labels keep off: less than a label is high
SETTINGS: dict[str, Any] = {
    "iter_lim": 300,  # and no limit of time, which would make figures depend on the machine
    "avoid_self": False,  # the point of a label has a mark, which is avoided
    "expand": (1.4, 1.4),
    "force_text": 0.3,
    "force_static": 0.7,
    "force_explode": (0.6, 1.0),
    "arrowprops": {"arrowstyle": "-", "linewidth": 0.4, "shrinkA": 0, "shrinkB": 0},
}


def name_points(variants: Iterable[str], look: Mapping[str, Mark]) -> tuple[dict[str, str], bool]:
    """Name every variant's point: by itself, or, of many, by a number that a key explains; and say which.

    What is drawn as background has no name.
    """
    listed = [variant for variant in variants if look[variant].named]
    numbered = len(listed) > NAMES_UP_TO
    return {v: str(i) if numbered else v for i, v in enumerate(listed, 1)}, numbered


def count_key_lines(names: Mapping[str, str], look: Mapping[str, Mark]) -> int:
    """Count the lines of the key that `draw_key` draws."""
    return -(-len(names) // _count_columns(look))


def _count_columns(look: Mapping[str, Mark]) -> int:
    """Count the columns of a key: of many variants some have long names."""
    return 3 if all(mark.named for mark in look.values()) else 2


def draw_key(figure: Figure, names: Mapping[str, str], look: Mapping[str, Mark]) -> None:
    """Draw the key of numbered variants below a figure."""
    handles = [
        Line2D(
            [],
            [],
            linestyle="none",
            marker=look[v].marker,
            color=look[v].color,
            markerfacecolor=look[v].face,
            markersize=min(look[v].size, 6),
            markeredgewidth=0.8,
            label=f"{number} {v}",
        )
        for v, number in names.items()
    ]
    background = next((mark for mark in look.values() if not mark.named), None)
    if background is not None:
        others = sum(not mark.named for mark in look.values())
        handles.append(
            Line2D(
                [], [], linestyle="none", marker=background.marker, color=background.color,
                markerfacecolor=background.face, markersize=background.size, label=f"{others} others",
            )
        )  # fmt: skip
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=_count_columns(look),
        handletextpad=0.1,
        columnspacing=0.8,
        labelspacing=0.25,
        borderpad=0,
    )


def add_label(ax: Axes, x: float, y: float, text: str, color: str) -> Text:
    """Write a label on its point, for `place_labels` to move."""
    return ax.text(x, y, text, color=color, fontsize=6.5, weight="bold")


def place_labels(ax: Axes, labels: Sequence[Text]) -> None:
    """Move labels, drawn on their points, off each other and off the axes' lines, marks and other texts.

    A label that had to go far gets a leader to its point. Axis limits and the layout must be final.
    """
    if not labels:
        return
    ax.autoscale(False)  # a leader must not move the limits
    lines = [
        line
        for line in ax.get_lines()
        if line.get_transform() == ax.transData and line.get_gid() != BACKGROUND  # no axvline
    ]
    boxes = [box for line in lines for box in _list_marks(ax, line)]
    boxes += [text.get_window_extent() for text in ax.texts if text not in labels]
    x, y = ax.transData.inverted().transform(np.concatenate([_trace(ax, line) for line in lines])).T
    for label in labels:
        label.set(ha="center", va="center", zorder=6, gid="label")
    objects = [box.transformed(ax.transData.inverted()) for box in boxes]
    _, leaders = adjust_text(list(labels), x, y, objects=objects or None, ax=ax, **SETTINGS)
    for leader in leaders:
        leader.set(color=leader.patchA.get_color(), zorder=5, gid="label")


def _trace(ax: Axes, line: Line2D) -> NDArray[np.float64]:
    """Return points (n, 2) along a line in pixels, STEP apart; of a line of marks alone, their points."""
    corners = ax.transData.transform(line.get_xydata())
    if line.get_linestyle() == "None" or len(corners) < 2:
        return corners
    lengths = np.concatenate([[0.0], np.hypot(*np.diff(corners, axis=0).T).cumsum()])
    along = np.linspace(0.0, lengths[-1], int(lengths[-1] / STEP) + 2)
    return np.column_stack([np.interp(along, lengths, corners[:, k]) for k in (0, 1)])


def _list_marks(ax: Axes, line: Line2D) -> Iterator[Bbox]:
    """Yield the boxes of a line's marks, in pixels."""
    if line.get_marker() in ("", " ", "None", None):
        return
    figure = ax.get_figure(root=True)
    assert figure is not None
    reach = line.get_markersize() / 2 * figure.dpi / 72
    for x, y in ax.transData.transform(line.get_xydata()):
        yield Bbox([(x - reach, y - reach), (x + reach, y + reach)])
