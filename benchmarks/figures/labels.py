"""Labels beside points, placed so that they cover neither each other nor the marks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

Point = tuple[float, float]  # pixels
Box = tuple[float, float, float, float]  # left, bottom, right, top, pixels
ANGLES = tuple(
    math.radians(a) for a in (0, 180, 90, 270, 45, 315, 135, 225, 22, 338, 158, 202, 67, 293, 113, 247)
)
GAPS = (1.5, 4, 8, 13, 19, 26, 34)  # points between the mark and its label
TOLERATED = 2.0  # square pixels of overlap that nobody sees
# Costs in square pixels of overlap with a mark, which cost 1 each.
OVER_LABEL, CROSSING, ASTRAY, FARTHER, TURNED = 4.0, 25.0, 12.0, 2.0, 0.1


@dataclass(frozen=True)
class Label:
    """A text to be put beside (x, y) in data coordinates; `reach`: half the mark's size, points."""

    text: str
    x: float
    y: float
    color: str
    reach: float = 3.0
    weight: str = "normal"


def obstacles_of_line(ax: Axes, x: Sequence[float], y: Sequence[float], width: float = 1.5) -> list[Box]:
    """Small boxes along a polyline, in pixels."""
    pixels = [_pixels(ax, *point) for point in zip(x, y, strict=True)]
    return [box for a, b in pairwise(pixels) for box in _along(a, b, width)]


def place(ax: Axes, labels: Sequence[Label], obstacles: Sequence[Box], size: float) -> float:
    """Draw `labels` with thin leaders where they stand apart; return the overlap left, in square pixels.

    Greedy over candidate places (near ones first), then rounds of improvement; deterministic. Axis limits
    and the layout must be final.
    """
    figure = ax.get_figure(root=True)
    assert figure is not None
    ax.autoscale(False)  # a leader must not move the limits
    scale = figure.dpi / 72
    marks = [_pixels(ax, label.x, label.y) for label in labels]
    reaches = [label.reach * scale for label in labels]
    of_marks = [(x - r, y - r, x + r, y + r) for (x, y), r in zip(marks, reaches, strict=True)]
    solid = np.array([*obstacles, *of_marks])
    choices = [
        _candidates(ax, i, _extent(ax, label, size), marks, reaches[i], scale, solid)
        for i, label in enumerate(labels)
    ]
    placed: dict[int, Box] = {}
    # The most crowded labels choose first.
    order = sorted(range(len(labels)), key=lambda i: (-min(c for c, _ in choices[i]), i))
    for _ in range(4):
        for i in order:
            others = [(marks[j], box) for j, box in placed.items() if j != i]
            costs = [fixed + _clash(marks[i], box, others) for fixed, box in choices[i]]
            placed[i] = choices[i][costs.index(min(costs))][1]
    for i, label in enumerate(labels):
        far = math.dist(_nearest(placed[i], marks[i]), marks[i]) > reaches[i] + 5 * scale
        _draw(ax, label, placed[i], marks[i], size, leader=far or _astray(placed[i], i, marks))
    boxes = list(placed.values())
    left = sum(_overlap(a, b) for k, a in enumerate(boxes) for b in boxes[k + 1 :])
    return max(left + sum(_covered(box, solid) for box in boxes) - TOLERATED, 0.0)


def _candidates(
    ax: Axes, i: int, extent: Point, marks: Sequence[Point], reach: float, scale: float, solid: NDArray
) -> list[tuple[float, Box]]:
    """Places around mark `i` inside the axes, each with the part of its cost that no other label changes."""
    (width, height), (x, y) = extent, marks[i]
    frame = ax.get_window_extent()
    found = []
    for rank, gap in enumerate(GAPS):
        radius = reach + gap * scale
        for turn, angle in enumerate(ANGLES):
            left = x + math.cos(angle) * (radius + width / 2) - width / 2
            bottom = y + math.sin(angle) * (radius + height / 2) - height / 2
            box = (left, bottom, left + width, bottom + height)
            if frame.x0 <= left and box[2] <= frame.x1 and frame.y0 <= bottom and box[3] <= frame.y1:
                cost = _covered(box, solid) + FARTHER * rank + TURNED * turn
                found.append((cost + ASTRAY * _astray(box, i, marks), box))
    return found or [(0.0, (x + reach, y, x + reach + width, y + height))]


def _clash(mark: Point, box: Box, others: Sequence[tuple[Point, Box]]) -> float:
    """What a place costs beside the labels placed already: overlap, and leaders that are read wrongly."""
    end = _nearest(box, mark)
    cost = 0.0
    for other_mark, other in others:
        cost += OVER_LABEL * _overlap(box, other)
        cost += CROSSING * (
            _meets(mark, end, other) or _cross(mark, end, other_mark, _nearest(other, other_mark))
        )
    return cost


def _draw(ax: Axes, label: Label, box: Box, mark: Point, size: float, leader: bool) -> None:
    back = ax.transData.inverted()
    x, y = back.transform(((box[0] + box[2]) / 2, (box[1] + box[3]) / 2))
    ax.text(x, y, label.text, fontsize=size, weight=label.weight, color=label.color, ha="center", va="center",
            zorder=6, gid="label")  # fmt: skip
    if leader:
        (x0, y0), (x1, y1) = back.transform(mark), back.transform(_nearest(box, mark))
        ax.plot([x0, x1], [y0, y1], color=label.color, linewidth=0.4, zorder=5, gid="label")


def _extent(ax: Axes, label: Label, size: float) -> Point:
    probe = ax.text(0, 0, label.text, fontsize=size, weight=label.weight)
    box = probe.get_window_extent()
    probe.remove()
    return box.width + 4, box.height


def _pixels(ax: Axes, x: float, y: float) -> Point:
    px, py = ax.transData.transform((x, y))
    return float(px), float(py)


def _nearest(box: Box, mark: Point) -> Point:
    return min(max(mark[0], box[0]), box[2]), min(max(mark[1], box[1]), box[3])


def _astray(box: Box, own: int, marks: Sequence[Point]) -> bool:
    """Whether another mark is as near to a label as its own: a reader would take it for that one's."""
    gaps = [math.dist(_nearest(box, mark), mark) for mark in marks]
    return any(gap < 1.5 * gaps[own] for i, gap in enumerate(gaps) if i != own)


def _overlap(a: Box, b: Box) -> float:
    return max(min(a[2], b[2]) - max(a[0], b[0]), 0.0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0.0)


def _covered(box: Box, solid: NDArray) -> float:
    """Square pixels of the boxes `solid` (m, 4) under one box."""
    width = np.minimum(box[2], solid[:, 2]) - np.maximum(box[0], solid[:, 0])
    height = np.minimum(box[3], solid[:, 3]) - np.maximum(box[1], solid[:, 1])
    return float((width.clip(min=0) * height.clip(min=0)).sum())


def _along(start: Point, end: Point, width: float) -> list[Box]:
    """Small boxes along a straight line."""
    steps = max(int(math.dist(start, end) / (2 * width)), 1)
    xs, ys = (np.linspace(start[k], end[k], steps + 1).tolist() for k in (0, 1))
    return [(x - width, y - width, x + width, y + width) for x, y in zip(xs, ys, strict=True)]


def _meets(start: Point, end: Point, box: Box) -> bool:
    """Whether a straight line enters a box (slab method)."""
    first, last = 0.0, 1.0
    for k in (0, 1):
        step, low, high = end[k] - start[k], box[k] - start[k], box[k + 2] - start[k]
        if step == 0:
            if low > 0 or high < 0:
                return False
        else:
            first, last = max(first, min(low / step, high / step)), min(last, max(low / step, high / step))
    return first < last


def _cross(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Whether the lines a-b and c-d cross."""

    def side(p: Point, q: Point, r: Point) -> float:
        return (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])

    return side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0
