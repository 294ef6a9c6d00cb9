"""Where picture tokens lie: painting a part of a picture changes most the tokens said to lie there."""

import inspect
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

from benchmarks.analyses.measuring.picture_grid import Grid, find_grid
from benchmarks.answering.features import flatten_outputs
from frism.distillation.prompts import prepare_questions
from tests.support import tiny_vlms

WITHOUT = {"idefics2": "a resampler", "mllama": "no picture tokens"}
SIDE = 112
CORNER = 36
CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))


def paint(corner: tuple[int, int] | None) -> Image.Image:
    picture = Image.new("RGB", (SIDE, SIDE), (90, 120, 60))
    if corner is not None:
        row, column = (side * (SIDE - CORNER) for side in corner)
        picture.paste((250, 20, 240), (column, row, column + CORNER, row + CORNER))
    return picture


def part_patches(model: Any) -> None:
    """Let a vision tower's patches not see each other: what their attention puts out is nothing."""
    tower = [module for name, module in model.base_model.named_children() if "vis" in name]
    silenced = 0
    for name, module in tower[0].named_modules():
        owner, _, last = name.rpartition(".")
        if last in ("out_proj", "proj", "projection_layer") and "att" in owner.rpartition(".")[2]:
            silenced += 1
            for parameter in module.parameters():
                parameter.data.zero_()
    assert silenced == 2  # layers


def encode(model: Any, processor: Any, picture: Image.Image) -> tuple[Any, torch.Tensor]:
    """Return the inputs, and what the vision tower gives for the picture's tokens in their order."""
    row = prepare_questions(processor, [(picture, "What is it ?")], [0])[0]
    taken = inspect.signature(model.base_model.get_image_features).parameters
    with torch.inference_mode():
        outputs = model.base_model.get_image_features(
            **{name: value for name, value in row.items() if name in taken}, return_dict=True
        )
    tensors = flatten_outputs([outputs])
    return row, tensors["list" if "list" in tensors else "tensor"].flatten(0, -2)


@pytest.mark.parametrize("family", [f for f in tiny_vlms.FAMILIES if f not in WITHOUT])
def test_tokens_lie_where_painting_changes_them(family: str) -> None:
    """Every corner changes a token of the whole picture, the one that is said to lie there."""
    model, processor = tiny_vlms.make(family)
    part_patches(model)
    row, plain = encode(model, processor, paint(None))
    picture = row["input_ids"][0] == model.config.image_token_id
    assert len(plain) == picture.sum()
    grid = find_grid(model.config, row, picture, (SIDE, SIDE))
    assert grid is not None and grid.seen == (0, 0, 1, 1)
    moved = torch.stack(
        [(encode(model, processor, paint(corner))[1] - plain).norm(dim=-1) for corner in CORNERS]
    )
    order = {int(place): number for number, place in enumerate(picture.nonzero().flatten())}
    rows, columns = grid.tokens.shape
    if rows > 1:
        for changes, (down, across) in zip(moved, CORNERS, strict=True):
            place = int(grid.tokens[down * (rows - 1), across * (columns - 1)])
            whole = changes[[order[int(token)] for token in grid.tokens.flatten()]]
            assert changes[order[place]] == whole.max() > 0
            assert (whole > 1e-3).sum() <= whole.numel() / 4
    else:  # one token for the whole picture: it alone sees every corner
        seen = (moved > 1e-3).all(0)
        assert seen.nonzero().flatten().tolist() == [order[int(grid.tokens[0, 0])]]


@pytest.mark.parametrize("family", WITHOUT)
def test_families_without_places_have_no_grid(family: str) -> None:
    model, processor = tiny_vlms.make(family)
    row = prepare_questions(processor, [(paint(None), "What is it ?")], [0])[0]
    picture = row["input_ids"][0] == model.config.image_token_id
    assert find_grid(model.config, row, picture, (SIDE, SIDE)) is None


def test_a_box_holds_the_tokens_whose_middle_lies_in_it() -> None:
    grid = Grid(torch.arange(36).view(6, 6))
    assert grid.find_inside((0, 0, 1 / 3, 1 / 3)).tolist() == [0, 1, 6, 7]
    assert grid.find_inside((2 / 3, 1 / 3, 1, 2 / 3)).tolist() == [16, 17, 22, 23]
    assert grid.find_inside((0, 0, 1, 1)).tolist() == list(range(36))
    cropped = Grid(torch.arange(4).view(2, 2), (0.25, 0, 0.75, 1))
    assert cropped.find_inside((0, 0, 0.5, 1)).tolist() == [0, 2]
    assert cropped.find_inside((0, 0, 0.25, 1)).tolist() == []


def test_several_pictures_and_other_numbers_have_no_grid() -> None:
    config = SimpleNamespace(
        model_type="llava", vision_config=SimpleNamespace(image_size=28, patch_size=14)
    )  # fmt: skip
    picture = torch.tensor([False, True, True, True, True])
    grid = find_grid(config, {}, picture, (200, 100))
    assert grid is not None and grid.tokens.tolist() == [[1, 2], [3, 4]]
    assert grid.seen == (0.25, 0, 0.75, 1)
    assert find_grid(config, {}, picture, (100, 100), pictures=2) is None
    assert find_grid(config, {}, torch.tensor([True] * 3), (100, 100)) is None
    assert find_grid(config, {}, torch.zeros(3, dtype=torch.bool), (100, 100)) is None
