"""Ask questions of several families over a scene, with exact answers and worked chains."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.miniature.world import COLORS, PLACES, Scene, Tile, draw_scene, number_word

REQUEST_STEPS = "Explain : "  # asks for worked steps, as the reasoning suites do
REQUEST_SHORT = "Briefly : "  # asks for a short answer, as the perception suites do


@dataclass(frozen=True)
class Question:
    """Hold a question without its request, its short answer, and its worked chain ('' if none)."""

    text: str
    answer: str
    chain: str = ""

    def worked(self) -> str:
        """Return the answer with its steps: `red three . blue five . three + five = eight . Answer eight`."""
        return f"{self.chain} Answer {self.answer}"


Family = Callable[[Scene, random.Random], Question | None]


# --- perception: one look is enough -------------------------------------------------------------


def number(scene: Scene, rng: random.Random) -> Question:
    tile = rng.choice(scene)
    return Question(f"What number is {tile.color} ?", number_word(tile.number))


def color(scene: Scene, rng: random.Random) -> Question | None:
    tile = rng.choice(scene)
    if sum(t.number == tile.number for t in scene) > 1:
        return None
    return Question(f"What color is {number_word(tile.number)} ?", tile.color)


def place(scene: Scene, rng: random.Random) -> Question:
    tile = rng.choice(scene)
    return Question(f"Where is {tile.color} ?", PLACES[tile.place])


def existence(scene: Scene, rng: random.Random) -> Question:
    present = [t.color for t in scene]
    if rng.random() < 0.5:
        return Question(f"Is there {rng.choice(present)} ?", "yes")
    return Question(f"Is there {rng.choice([c for c in COLORS if c not in present])} ?", "no")


def count(scene: Scene, rng: random.Random) -> Question:
    return Question("How many tiles are there ?", number_word(len(scene)))


def caption(scene: Scene, rng: random.Random) -> Question:
    """Ask for the scene tile by tile, in an order that the question gives (training only)."""
    tiles = rng.sample(scene, len(scene))
    colors = " ".join(t.color for t in tiles)
    return Question(
        f"List {colors} .", " ; ".join(f"{t.color} {number_word(t.number)}" for t in tiles) + " ."
    )


# --- short chains: two steps, known to B and V ---------------------------------------------------


def add(scene: Scene, rng: random.Random) -> Question:
    a, b = rng.sample(scene, 2)
    return Question(
        f"Add {a.color} and {b.color} .",
        number_word(a.number + b.number),
        f"{_read(a)} {_read(b)} {_plus(a.number, b.number)}",
    )


def reduce(scene: Scene, rng: random.Random) -> Question | None:
    a, b = rng.sample(scene, 2)
    if a.number < b.number:
        return None
    return Question(
        f"Reduce {a.color} by {b.color} .",
        number_word(a.number - b.number),
        f"{_read(a)} {_read(b)} {_minus(a.number, b.number)}",
    )


def larger(scene: Scene, rng: random.Random) -> Question | None:
    a, b = rng.sample(scene, 2)
    if a.number == b.number:
        return None
    return Question(
        f"Which is larger : {a.color} or {b.color} ?",
        max(a, b, key=_value).color,
        f"{_read(a)} {_read(b)} {_compare(a.number, b.number)}",
    )


# --- reasoning: long chains, known to R alone ----------------------------------------------------


def total(scene: Scene, rng: random.Random) -> Question | None:
    if len(scene) < 3:
        return None
    a, b, c = rng.sample(scene, 3)
    first = a.number + b.number
    return Question(
        f"Total {a.color} and {b.color} and {c.color} .",
        number_word(first + c.number),
        f"{_read(a)} {_read(b)} {_plus(a.number, b.number)} {_read(c)} {_plus(first, c.number)}",
    )


def net(scene: Scene, rng: random.Random) -> Question | None:
    if len(scene) < 3:
        return None
    a, b, c = rng.sample(scene, 3)
    first = a.number + b.number
    if first < c.number:
        return None
    return Question(
        f"Total {a.color} and {b.color} less {c.color} .",
        number_word(first - c.number),
        f"{_read(a)} {_read(b)} {_plus(a.number, b.number)} {_read(c)} {_minus(first, c.number)}",
    )


def largest(scene: Scene, rng: random.Random) -> Question | None:
    if len(scene) < 3:
        return None
    a, b, c = rng.sample(scene, 3)
    if len({a.number, b.number, c.number}) < 3:
        return None
    best = max(a, b, key=_value)
    return Question(
        f"Which is largest : {a.color} or {b.color} or {c.color} ?",
        max(a, b, c, key=_value).color,
        f"{_read(a)} {_read(b)} {_compare(a.number, b.number)} {_read(c)} {_compare(best.number, c.number)}",
    )


def conditional(scene: Scene, rng: random.Random) -> Question | None:
    if len(scene) < 3:
        return None
    a, b, c = rng.sample(scene, 3)
    if a.number == b.number:
        return None
    chosen = max(a, b, key=_value)
    return Question(
        f"If {a.color} is more than {b.color} then add {a.color} and {c.color}"
        f" else add {b.color} and {c.color} .",
        number_word(chosen.number + c.number),
        f"{_read(a)} {_read(b)} {_compare(a.number, b.number)} {_read(chosen)} {_read(c)} "
        f"{_plus(chosen.number, c.number)}",
    )


PERCEPTION: dict[str, Family] = {f.__name__: f for f in (number, color, place, existence, count)}
SHORT: dict[str, Family] = {f.__name__: f for f in (add, reduce, larger)}
REASONING: dict[str, Family] = {f.__name__: f for f in (total, net, largest, conditional)}
FAMILIES = PERCEPTION | SHORT | REASONING


def ask(family: Family, rng: random.Random, split: str = "train") -> tuple[Scene, Question]:
    """Draw a scene of `split` on which the family has a well-posed question; return both."""
    while True:
        scene = draw_scene(rng, split)
        if question := family(scene, rng):
            return scene, question


def arithmetic_fact(rng: random.Random) -> str:
    """Draw one fact that chains use: `twelve + three = fifteen .` or `nine - four = five .`"""
    a, b = rng.randint(0, 18), rng.randint(0, 9)
    return _plus(a, b) if rng.random() < 0.6 else _minus(max(a, b), min(a, b))


def _value(tile: Tile) -> int:
    return tile.number


def _read(tile: Tile) -> str:
    return f"{tile.color} {number_word(tile.number)} ."


def _plus(a: int, b: int) -> str:
    return f"{number_word(a)} + {number_word(b)} = {number_word(a + b)} ."


def _minus(a: int, b: int) -> str:
    return f"{number_word(a)} - {number_word(b)} = {number_word(a - b)} ."


def _compare(a: int, b: int) -> str:
    return f"{number_word(a)} {'>' if a > b else '<'} {number_word(b)} ."
