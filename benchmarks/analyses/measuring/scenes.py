"""Tell which tokens show what a question of the miniature world is about: it alone says what matters."""

import random
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from torch import Tensor

from benchmarks.analyses.measuring.picture_grid import Grid, find_grid
from benchmarks.analyses.measuring.tracing import KINDS, Reading
from benchmarks.miniature.relevance import find_relevant, locate
from benchmarks.miniature.world import Scene, Tile, render
from benchmarks.questions.item import Item, read_definition
from benchmarks.questions.miniature import MiniatureRow, make_rows
from benchmarks.registry.definition import Definition
from benchmarks.registry.lookup import find as find_benchmark
from frism.errors import UserError

TOGETHER = 128  # questions that are made again at a time


@dataclass(frozen=True)
class ShownTile:
    """Holds a tile of a question's scene: whether the answer depends on it, and its tokens: (k,)."""

    tile: Tile
    relevant: bool
    tokens: Tensor


@dataclass(frozen=True)
class ShownScene:
    """Holds what a question of the miniature world shows, with the question's words."""

    scene: Scene
    question: str
    tiles: tuple[ShownTile, ...]


def find_scene(config: Any, reading: Reading, seed: int) -> ShownScene | None:
    """Find what a question shows; None where it is not of the miniature world.

    Args:
        config: the model's. seed: of the study's questions.

    Raises UserError for a picture that is not of that seed's question.
    """
    definition, item = read_definition(reading.item), reading.item
    if definition.source.miniature is None:
        return None
    row = _find_row(definition, item, seed)
    picture = item.pictures()[0]
    if picture.tobytes() != render(row.scene, random.Random(row.picture_seed)).tobytes():
        raise UserError(
            f"question {item.index} of {item.benchmark} in {item.folder} is not that of seed {seed}: make the"
            " questions with the study's own seed."
        )
    grid = find_picture_grid(config, reading)
    if grid is None:
        return None
    relevant = find_relevant(definition.source.miniature.family, row.scene, row.question)
    tiles = tuple(ShownTile(t, t in relevant, grid.find_inside(locate(t))) for t in row.scene)
    return ShownScene(row.scene, row.question, tiles)


def find_picture_grid(config: Any, reading: Reading) -> Grid | None:
    """Find where a question's picture tokens lie on it; None where they have no place."""
    pictures = reading.item.pictures()
    size = pictures[0].size if pictures else (1, 1)
    return find_grid(config, reading.inputs, reading.kinds == KINDS.index("picture"), size, len(pictures))


def _find_row(definition: Definition, item: Item, seed: int) -> MiniatureRow:
    number = int(item.index)
    rows = _make_rows(definition.name, item.split, -(-(number + 1) // TOGETHER) * TOGETHER, seed)
    return rows[number]


@lru_cache(maxsize=64)
def _make_rows(benchmark: str, split: str, number: int, seed: int) -> list[MiniatureRow]:
    return make_rows(find_benchmark(benchmark), split, number, seed)
