"""Which tiles matter: what chains read and answers say agrees, and painting one over changes nothing else."""

import random
import re

import numpy as np
import pytest

from benchmarks.miniature import question_families as q
from benchmarks.miniature.relevance import exchange, find_relevant, locate, repaint
from benchmarks.miniature.world import COLORS, PLACES, SIZE, Tile, number_word, render

N = 60
READ = re.compile(rf"\b({'|'.join(COLORS)}) \S+ \.")


def questions(family: str):
    rng = random.Random(family)
    return [q.ask(q.FAMILIES[family], rng, "dev") for _ in range(N)]


@pytest.mark.parametrize("family", [*q.SHORT, *q.REASONING])
def test_what_a_chain_reads_is_what_matters(family: str) -> None:
    for scene, question in questions(family):
        read = set(READ.findall(question.chain))
        assert {tile.color for tile in find_relevant(family, scene, question.text)} == read


def test_what_an_answer_says_is_what_matters() -> None:
    said = {
        "number": lambda tile: number_word(tile.number),
        "color": lambda tile: tile.color,
        "place": lambda tile: PLACES[tile.place],
    }
    for family, say in said.items():
        for scene, question in questions(family):
            (tile,) = find_relevant(family, scene, q.REQUEST_SHORT + question.text)
            assert say(tile) == question.answer
    for scene, question in questions("existence"):
        assert bool(find_relevant("existence", scene, question.text)) == (question.answer == "yes")
    for scene, question in questions("count"):
        assert find_relevant("count", scene, question.text) == scene


@pytest.mark.parametrize("family", q.FAMILIES)
def test_another_tile_is_one_that_nobody_speaks_of(family: str) -> None:
    found = 0
    for scene, question in questions(family):
        relevant = find_relevant(family, scene, question.text)
        for tile in scene:
            other = exchange(tile, scene, question.text, "seed")
            if other is None:
                continue
            found += 1
            assert other.place == tile.place and other.color not in question.text
            changed = tuple(other if one is tile else one for one in scene)
            left = find_relevant(family, changed, question.text)
            if family != "count":
                assert left == tuple(one for one in relevant if one != tile)
            assert len({one.color for one in changed}) == len(changed)
    assert found > N


def test_an_exchange_follows_its_seed() -> None:
    scene = (Tile(0, "red", 3), Tile(4, "blue", 5))
    drawn = {exchange(scene[0], scene, "What number is red ?", str(seed)) for seed in range(30)}
    assert len(drawn) > 5 and exchange(scene[0], scene, "", "1") == exchange(scene[0], scene, "", "1")
    full = tuple(Tile(place, color, place) for place, color in enumerate(list(COLORS)[:5]))
    assert exchange(full[0], full, f"Is there {list(COLORS)[5]} ?", "1") is None


def test_nothing_but_the_cell_is_painted_over() -> None:
    scene = (Tile(0, "red", 3), Tile(4, "blue", 5), Tile(8, "green", 7))
    picture = render(scene, random.Random(3))
    without, blank = np.asarray(render(scene[:1] + scene[2:])), np.asarray(repaint(picture, scene[1], None))
    left, top, right, bottom = (round(SIZE * share) for share in locate(scene[1]))
    assert (left, top, right, bottom) == (56, 56, 112, 112)
    inside = np.zeros((SIZE, SIZE), bool)
    inside[top:bottom, left:right] = True
    before = np.asarray(picture)
    assert (blank[inside] == without[inside]).all() and (blank[~inside] == before[~inside]).all()
    other = np.asarray(repaint(picture, scene[1], Tile(4, "purple", 1)))
    assert (other[~inside] == before[~inside]).all()
    assert ((other != before).any(-1) & inside).sum() > 1000
    assert (np.asarray(picture) == before).all()  # the picture itself is left alone
