"""Define the world: scenes of coloured tiles with numbers on a 3x3 grid, as pictures and as words."""

import hashlib
import random
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

COLORS = {
    "red": (220, 50, 47),
    "green": (60, 160, 60),
    "blue": (50, 90, 220),
    "yellow": (230, 200, 40),
    "purple": (150, 60, 180),
    "orange": (240, 130, 30),
}
PLACES = ("northwest", "north", "northeast", "west", "center", "east", "southwest", "south", "southeast")
UNITS = (
    *(
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
    ),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
TILE_COUNTS = (2, 3, 3, 4, 4, 5)  # drawn from uniformly, so three and four tiles are the rule
CELL = 56  # pixels: 2x2 visual tokens of Qwen2.5-VL (patch 14, spatial merge 2) cover one cell
SIZE = 3 * CELL
# The scenes of each split, in percent of all by hash.
SPLITS = {"calibration": (0, 5), "dev": (5, 10), "test": (10, 20), "train": (20, 100)}

# Segments a to g of a seven-segment display, per number.
_SEGMENTS = {0: "abcdef", 1: "bc", 2: "abged", 3: "abgcd", 4: "fgbc",
             5: "afgcd", 6: "afgedc", 7: "abc", 8: "abcdefg", 9: "abcdfg"}  # fmt: skip


@dataclass(frozen=True, order=True)
class Tile:
    """Hold one tile: `place` is an index into PLACES (reading order), `number` is 0 to 9."""

    place: int
    color: str
    number: int


Scene = tuple[Tile, ...]


def number_word(number: int) -> str:
    """Return the number in words, 0 to 99: one token below twenty, two above ("twenty-one")."""
    if number < 20:
        return UNITS[number]
    tens = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")[number // 10 - 2]
    return tens if number % 10 == 0 else f"{tens}-{UNITS[number % 10]}"


def draw_scene(rng: random.Random, split: str = "train", tiles: int | None = None) -> Scene:
    """Draw a random scene that belongs to `split`: 2 to 5 tiles of different colours, in reading order.

    Splits are disjoint by construction: a scene's content decides which one it belongs to.
    """
    while True:
        count = tiles or rng.choice(TILE_COUNTS)
        colors = rng.sample(list(COLORS), count)
        places = rng.sample(range(9), count)
        scene = tuple(sorted(Tile(p, c, rng.randint(0, 9)) for p, c in zip(places, colors, strict=True)))
        if split_of(scene) == split:
            return scene


def split_of(scene: Scene) -> str:
    """Return the split that a scene belongs to, from the SHA-256 of its description."""
    bucket = int.from_bytes(hashlib.sha256(describe(scene).encode()).digest()[:8], "big") % 100
    return next(name for name, (low, high) in SPLITS.items() if low <= bucket < high)


def describe(scene: Scene) -> str:
    """Return the scene in words, for text-only models: `Scene : north red three ; east blue five .`"""
    return (
        "Scene : " + " ; ".join(f"{PLACES[t.place]} {t.color} {number_word(t.number)}" for t in scene) + " ."
    )


def render(scene: Scene, jitter: random.Random | None = None) -> Image.Image:
    """Draw the scene as a 168x168 RGB picture; `jitter` moves each number by up to one pixel.

    The number stands in the tile's lower left quarter, as on a playing card. The background
    is shaded from corner to corner, so that places look different: without it a tower this small
    cannot tell them apart.
    """
    rows, columns = np.mgrid[0:SIZE, 0:SIZE]
    background = np.stack([150 + columns // 2, np.full_like(rows, 200), 150 + rows // 2], -1).astype("uint8")
    image = Image.fromarray(background)
    draw = ImageDraw.Draw(image)
    for tile in scene:
        x, y = (tile.place % 3) * CELL, (tile.place // 3) * CELL
        draw.rectangle([x + 5, y + 4, x + 50, y + 51], fill=COLORS[tile.color])
        dx, dy = (jitter.randint(-1, 1), jitter.randint(-1, 1)) if jitter else (0, 0)
        for box in _segment_boxes(x + 12 + dx, y + 31 + dy, tile.number):
            draw.rectangle(box, fill=(255, 255, 255))
    return image


def _segment_boxes(x: int, y: int, number: int) -> list[tuple[int, int, int, int]]:
    width, height = 9, 16
    half = height // 2
    boxes = {
        "a": (x, y, x + width, y + 2),
        "g": (x, y + half - 1, x + width, y + half + 1),
        "d": (x, y + height - 2, x + width, y + height),
        "f": (x, y, x + 2, y + half),
        "b": (x + width - 2, y, x + width, y + half),
        "e": (x, y + half, x + 2, y + height),
        "c": (x + width - 2, y + half, x + width, y + height),
    }
    return [boxes[s] for s in _SEGMENTS[number]]
