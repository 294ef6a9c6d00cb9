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


def paint(quadrant: tuple[int, int] | None) -> Image.Image:
    picture = Image.new("RGB", (SIDE, SIDE), (90, 120, 60))
    if quadrant is not None:
        row, column = quadrant
        half = SIDE // 2
        picture.paste((250, 20, 240), (column * half, row * half, (column + 1) * half, (row + 1) * half))
    return picture


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
def test_the_token_of_a_place_is_the_one_that_changes_with_it(family: str) -> None:
    model, processor = tiny_vlms.make(family)
    row, plain = encode(model, processor, paint(None))
    picture = row["input_ids"][0] == model.config.image_token_id
    assert len(plain) == picture.sum()
    grid = find_grid(model.config, row, picture, (SIDE, SIDE))
    assert grid is not None and grid.seen == (0, 0, 1, 1)
    rows, columns = grid.tokens.shape
    assert rows >= 2 and columns >= 2
    order = {int(place): number for number, place in enumerate(picture.nonzero().flatten())}
    whole = torch.tensor([order[int(place)] for place in grid.tokens.flatten()])
    for quadrant in ((0, 0), (0, 1), (1, 0), (1, 1)):
        _, changed = encode(model, processor, paint(quadrant))
        moved = (changed - plain).norm(dim=-1)[whole].view(rows, columns)
        top, left = quadrant[0] * rows // 2, quadrant[1] * columns // 2
        inside = moved[top : top + rows // 2, left : left + columns // 2]
        assert inside.mean() > 1.5 * (moved.sum() - inside.sum()) / (moved.numel() - inside.numel())


@pytest.mark.parametrize("family", WITHOUT)
def test_families_without_places_have_no_grid(family: str) -> None:
    model, processor = tiny_vlms.make(family)
    row = prepare_questions(processor, [(paint(None), "What is it ?")], [0])[0]
    picture = row["input_ids"][0] == getattr(model.config, "image_token_id", model.config.image_token_index)
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
