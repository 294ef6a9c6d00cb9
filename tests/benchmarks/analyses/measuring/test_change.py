"""A change is taken apart exactly: nothing out is the merge, everything in is the merge, parts add up."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.analyses import delta_knock_in, delta_knock_out
from benchmarks.analyses.measuring.blocks import MODULES, Window
from benchmarks.analyses.measuring.ground import Ground
from benchmarks.analyses.measuring.intervention import BARE, Intervention
from benchmarks.answering.transformers_engine import TransformersEngine
from frism.method.recipe import Recipe
from frism.triples.triple import Triple

SCOPE = "mat+bias+norm"


@pytest.fixture
def ground(triple_folders: dict[str, Any], engine: TransformersEngine) -> Ground:
    wide = Triple.open(**triple_folders, scope=SCOPE)
    engine.become(wide, Recipe.make(wide, "inject", {"strength": 0.7}, scope=SCOPE))
    return Ground(wide, lambda: engine.model)


def held(ground: Ground) -> dict[str, Tensor]:
    return {name: ground.parameter(name).clone() for name in ground.touched}


def under(ground: Ground, steps: Iterator[Intervention]) -> list[dict[str, Tensor]]:
    """What the tensors are under every step."""
    states = []
    for step in steps:
        with step.within(), step.apply():
            states.append(held(ground))
    return states


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert all(torch.equal(one[name], other[name]) for name in other)


@pytest.mark.parametrize("analysis", [delta_knock_out, delta_knock_in])
@pytest.mark.parametrize("unit", ["layers", "spectrum"])
def test_first_comes_the_merge_then_v_and_the_model_is_left_as_it_was(
    ground: Ground, analysis: Any, unit: str
) -> None:
    merged, vlm = held(ground), {name: ground.read_vlm(name) for name in ground.touched}
    steps = list(analysis.intervene(ground, unit=unit, parts=2))
    assert [step.action for step in steps[:2]] == ["intact", BARE]
    states = under(ground, iter(steps))
    assert_same(states[0], merged)
    assert_same(states[1], vlm)
    assert_same(held(ground), merged)


def test_everything_knocked_in_is_the_merge_and_everything_knocked_out_is_v(ground: Ground) -> None:
    merged, whole = held(ground), Window(block=6)
    assert_same(under(ground, delta_knock_in.intervene(ground, window=whole))[2], merged)
    assert_same(
        under(ground, delta_knock_out.intervene(ground, window=whole))[2],
        {n: ground.read_vlm(n) for n in merged},
    )


@pytest.mark.parametrize("module", ["all", *MODULES])
@pytest.mark.parametrize("block", [1, 4])
def test_a_knock_out_and_the_knock_in_of_the_same_block_share_out_the_change(
    ground: Ground, module: str, block: int
) -> None:
    """Of every tensor one of the two has V's bits and the other the merge's."""
    merged, window = held(ground), Window(block)
    without = under(ground, delta_knock_out.intervene(ground, module=module, window=window))[2:]
    alone = under(ground, delta_knock_in.intervene(ground, module=module, window=window))[2:]
    for left, put in zip(without, alone, strict=True):
        for name, value in merged.items():
            vlm = ground.read_vlm(name)
            pair = (left[name], put[name])
            assert (torch.equal(pair[0], vlm) and torch.equal(pair[1], value)) or (
                torch.equal(pair[0], value) and torch.equal(pair[1], vlm)
            )


def test_blocks_and_modules_side_by_side_cover_the_change_exactly(ground: Ground) -> None:
    """Every tensor is the merge's in exactly one of the knock-ins, and V's in all others."""
    merged = held(ground)
    states = [
        state
        for module in MODULES
        for state in under(ground, delta_knock_in.intervene(ground, module=module, window=Window(2)))[2:]
    ]
    assert len(states) == 6
    for name, value in merged.items():
        vlm = ground.read_vlm(name)
        assert not torch.equal(value, vlm)
        found = [torch.equal(state[name], value) for state in states]
        assert sum(found) == 1
        assert all(there or torch.equal(state[name], vlm) for there, state in zip(found, states, strict=True))


def test_parts_of_the_spectrum_add_up_to_the_change_and_are_orthogonal(ground: Ground) -> None:
    merged = held(ground)
    states = under(ground, delta_knock_in.intervene(ground, unit="spectrum", parts=3))[2:]
    without = under(ground, delta_knock_out.intervene(ground, unit="spectrum", parts=3))[2:]
    assert len(states) == len(without) == 3
    for name, value in merged.items():
        vlm = ground.read_vlm(name)
        pieces = [state[name] - vlm for state in states]
        torch.testing.assert_close(sum(pieces), value - vlm, atol=1e-6, rtol=1e-5)
        for piece, left in zip(pieces, without, strict=True):
            torch.testing.assert_close(left[name] + piece, value, atol=1e-6, rtol=1e-5)
        if value.ndim == 2:
            norms = [float(piece.norm()) for piece in pieces]
            assert norms == sorted(norms, reverse=True)
            assert abs(float((pieces[0] * pieces[1]).sum())) < 1e-5 * norms[0] * norms[0]
        else:
            assert not pieces[1].any() and not pieces[2].any()
