"""Draw the questions of an analysis from those on dev, whole clusters at a time."""

from collections.abc import Mapping, Sequence

from benchmarks.questions.item import Item
from benchmarks.statistics.intervals import make_generator


def draw_questions(items: Mapping[str, Sequence[Item]], number: int, seed: int) -> dict[str, list[Item]]:
    """Draw about `number` questions of every benchmark, in their own order, the same for every variant.

    Questions of one cluster are drawn together: so many clusters, in an order that the seed gives, as reach
    the number.
    """
    return {name: _draw(name, group, number, seed) for name, group in items.items()}


def _draw(name: str, group: Sequence[Item], number: int, seed: int) -> list[Item]:
    clusters: dict[str, list[Item]] = {}
    for item in group:
        clusters.setdefault(item.cluster or f"question {item.index}", []).append(item)
    members = list(clusters.values())
    drawn: set[str] = set()
    for place in make_generator(seed, "analysis", name).permutation(len(members)):
        if len(drawn) >= number:
            break
        drawn |= {item.index for item in members[place]}
    return [item for item in group if item.index in drawn]
