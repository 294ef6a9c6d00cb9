"""Heat maps: where on the picture a variant looks while it says its answer, token by token of the picture.

FRISM (arXiv 2601.21187) shows such maps of chosen examples; how they were made is not known, so these are of
this project: the attention on each picture token, mean over heads, over the layers of a third of the depth
(early, middle, late) and over the tokens at which the answer is said. `answers` says which answer: own, the
variant's, or vlm, V's. For few questions, one a benchmark: they show, they prove nothing. A picture token has
seen the whole picture in the vision tower, so that a map is where tokens lie, not what they know.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from benchmarks.analyses.measuring.attention import (
    listen,
    plain_attention,
    refuse_unless_in_sight,
    sum_over,
)
from benchmarks.analyses.measuring.blocks import THIRDS, cut_evenly
from benchmarks.analyses.measuring.ground import Ground
from benchmarks.analyses.measuring.picture_grid import Grid
from benchmarks.analyses.measuring.scenes import find_picture_grid
from benchmarks.analyses.measuring.tracing import Reading, Row
from frism.errors import UserError


@torch.inference_mode()
def trace(
    ground: Ground, readings: Sequence[Reading], *, answers: Literal["own", "vlm"] = "own"
) -> list[list[Row]]:
    """Return of every reading a row per band of layers and picture token: its place, and the attention on it.

    Raises UserError for a family whose picture tokens have no place.
    """
    refuse_unless_in_sight(ground.model)
    found = []
    with plain_attention(ground.model):
        for reading in readings:
            grid = find_picture_grid(ground.model.config, reading)
            if grid is None:
                raise UserError(
                    f"the picture tokens of {type(ground.model).__name__} have no place on question"
                    f" {reading.item.index} of {reading.item.benchmark}: leave heat_maps out."
                )
            found.append(list_cells(grid, measure_maps(ground, reading, grid)))
    return found


def measure_maps(ground: Ground, reading: Reading, grid: Grid) -> list[Tensor]:
    """Measure the mean attention on each token of a grid by band of layers: (rows, columns) each."""
    places = grid.tokens.flatten()
    groups = torch.zeros(len(reading.kinds), len(places))
    groups[places, torch.arange(len(places))] = 1.0
    layers: list[Tensor] = []

    def take(layer: int, weights: Tensor) -> None:
        said = weights[:, reading.speaking.to(weights.device)]
        layers.append(sum_over(said, groups).mean((0, 1)))

    listen(ground, reading.inputs, take)
    return [
        torch.stack([layers[layer] for layer in band]).mean(0).view(grid.tokens.shape)
        for band in cut_evenly(len(layers), len(THIRDS))
    ]


def list_cells(grid: Grid, maps: Sequence[Tensor]) -> list[Row]:
    """List a map's cells: place, size of the grid, the part of the picture that it covers, attention."""
    rows, columns = grid.tokens.shape
    sides = dict(zip(("left", "top", "right", "bottom"), (round(x, 4) for x in grid.seen), strict=True))
    return [
        {"tokens": band, "row": row, "column": column, "rows": rows, "columns": columns, **sides,
         "attention": round(float(values[row, column]), 6)}
        for band, values in zip(THIRDS, maps, strict=False)
        for row in range(rows) for column in range(columns)
    ]  # fmt: skip
