"""Say which tiles of a scene a question is about, where they lie, and paint one over.

What matters is read off the question's words: the tiles whose colour it names, for `color` the one whose
number it names, for `count` all of them. `existence` of what is not there is about no tile.
"""

import random

from PIL import Image

from benchmarks.miniature.world import CELL, COLORS, SIZE, Scene, Tile, number_word, render

Box = tuple[float, float, float, float]  # left, top, right, bottom, as shares of the picture's sides


def find_relevant(family: str, scene: Scene, question: str) -> tuple[Tile, ...]:
    """Return the tiles that the answer depends on.

    Args:
        family: a key of `question_families.FAMILIES`. question: with or without its request.
    """
    words = set(question.split())
    if family == "count":
        return scene
    if family == "color":
        return tuple(tile for tile in scene if number_word(tile.number) in words)
    return tuple(tile for tile in scene if tile.color in words)


def exchange(tile: Tile, scene: Scene, question: str, seed: str) -> Tile | None:
    """Draw another tile for the same place: a colour and a number that neither scene nor question names.

    So the right answer stays what it is wherever the tile does not matter. None where no colour is left.
    """
    words = set(question.split())
    colors = [color for color in COLORS if color not in words and all(color != t.color for t in scene)]
    taken = {t.number for t in scene}
    numbers = [n for n in range(10) if n not in taken and number_word(n) not in words]
    if not colors:
        return None
    rng = random.Random(seed)
    return Tile(tile.place, rng.choice(colors), rng.choice(numbers))


def locate(tile: Tile) -> Box:
    """Return the box of a tile's cell."""
    left, top = (tile.place % 3) * CELL, (tile.place // 3) * CELL
    return left / SIZE, top / SIZE, (left + CELL) / SIZE, (top + CELL) / SIZE


def repaint(picture: Image.Image, tile: Tile, other: Tile | None) -> Image.Image:
    """Return the picture with another tile, or bare ground, in a tile's cell, and nothing else changed."""
    left, top = (tile.place % 3) * CELL, (tile.place // 3) * CELL
    cell = (left, top, left + CELL, top + CELL)
    changed = picture.copy()
    changed.paste(render(() if other is None else (other,)).crop(cell), cell[:2])
    return changed
