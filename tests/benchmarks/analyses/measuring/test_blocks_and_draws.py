"""Blocks cover what they are cut from; draws take whole clusters and depend on the seed alone."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.analyses.measuring.blocks import ALL, MODULES, Window, cut_evenly, select
from benchmarks.analyses.measuring.draw import draw_questions
from benchmarks.questions.item import Item
from frism.triples.triple import Triple

numbers = st.integers(1, 40)


@given(numbers, numbers)
def test_blocks_side_by_side_hold_every_layer_once(total: int, size: int) -> None:
    assert [layer for block in Window(size).slide(total) for layer in block] == list(range(total))


@given(numbers, numbers, numbers)
def test_sliding_blocks_end_with_the_last_layer(total: int, size: int, stride: int) -> None:
    if stride > size:
        with pytest.raises(ValueError, match="leaves layers out"):
            Window(size, stride)
        return
    blocks = list(Window(size, stride).slide(total))
    assert blocks[-1][-1] == total - 1 and len(blocks) == len(set(blocks))
    assert {layer for block in blocks for layer in block} == set(range(total))


@given(numbers, numbers)
def test_parts_are_of_nearly_one_size(total: int, parts: int) -> None:
    cut = cut_evenly(total, parts)
    assert [n for part in cut for n in part] == list(range(total))
    assert max(map(len, cut)) - min(map(len, cut)) <= 1


def test_modules_and_layers_share_out_every_tensor(triple: Triple) -> None:
    names = triple.tower_names("mat+bias+norm")
    parts = [select(names, range(n, n + 1), module, triple.layers) for n in range(6) for module in MODULES]
    assert sorted(name for part in parts for name in part) == sorted(names)
    assert sorted(select(names, range(6), ALL, 6)) == sorted(names)
    assert "norm.weight" in parts[-1] and "layers.5.mlp.down_proj.weight" in parts[-1]
    assert "layers.0.self_attn.q_proj.weight" in parts[0] and "layers.0.input_layernorm.weight" in parts[0]


def item(number: int, cluster: str = "") -> Item:
    return Item("b", "dev", str(number), (), "", (), Path(), cluster)


@pytest.mark.parametrize("seed", range(3))
def test_a_draw_takes_whole_clusters_in_order(seed: int) -> None:
    items = {"b": [item(n, f"pair {n // 2}") for n in range(20)], "few": [item(n) for n in range(3)]}
    drawn = draw_questions(items, 6, seed)
    assert len(drawn["b"]) == 6 and len(drawn["few"]) == 3
    numbers = [int(one.index) for one in drawn["b"]]
    assert numbers == sorted(numbers) and all(n ^ 1 in numbers for n in numbers)
    assert draw_questions(items, 6, seed) == drawn
    assert any(draw_questions(items, 6, other) != drawn for other in range(5))
