"""Scenes, pictures, splits and number words."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.miniature.world import (
    CELL,
    COLORS,
    SPLITS,
    Tile,
    describe,
    draw_scene,
    number_word,
    render,
    split_of,
)  # fmt: skip

SEEDS = st.integers(0, 10**6)


@given(SEEDS, st.sampled_from(list(SPLITS)))
def test_a_drawn_scene_belongs_to_its_split_and_no_other(seed: int, split: str) -> None:
    scene = draw_scene(random.Random(seed), split)
    assert split_of(scene) == split


def test_splits_cover_all_buckets_once() -> None:
    owners = [name for bucket in range(100) for name, (low, high) in SPLITS.items() if low <= bucket < high]
    assert len(owners) == 100


@given(SEEDS)
def test_a_scene_has_distinct_colors_and_places_in_reading_order(seed: int) -> None:
    scene = draw_scene(random.Random(seed))
    assert 2 <= len(scene) <= 5
    assert len({t.color for t in scene}) == len(scene)
    assert [t.place for t in scene] == sorted({t.place for t in scene})


@given(SEEDS)
def test_the_description_says_the_whole_scene(seed: int) -> None:
    scene = draw_scene(random.Random(seed))
    parts = describe(scene).removeprefix("Scene : ").removesuffix(" .").split(" ; ")
    assert [p.split()[1] for p in parts] == [t.color for t in scene]
    assert [p.split()[2] for p in parts] == [number_word(t.number) for t in scene]


@given(SEEDS)
def test_each_cell_shows_its_tile_color(seed: int) -> None:
    scene = draw_scene(random.Random(seed))
    pixels = np.asarray(render(scene, random.Random(seed)))
    for tile in scene:
        y, x = tile.place // 3 * CELL + 6, tile.place % 3 * CELL + 7
        assert tuple(pixels[y, x]) == COLORS[tile.color]


def test_all_numbers_look_different() -> None:
    pictures = {np.asarray(render((Tile(4, "red", n),))).tobytes() for n in range(10)}
    assert len(pictures) == 10


@pytest.mark.parametrize(
    ("number", "word"), [(0, "zero"), (9, "nine"), (19, "nineteen"), (20, "twenty"), (27, "twenty-seven")]
)
def test_number_words(number: int, word: str) -> None:
    assert number_word(number) == word
