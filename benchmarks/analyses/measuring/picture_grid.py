"""Find where on the picture each of its tokens lies, for the families whose tokens have a place.

Families that read a picture in one go give its tokens row by row, in the grid that the processor names
(Qwen-VL) or in a square. Those that cut a large picture into parts also look at the whole, made small, before
or behind the parts (AnyRes, InternVL, Idefics3): that view is the one with places. Resamplers (Idefics2) have
none, and neither have questions with several pictures.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

FIRST, LAST = "first", "last"
# Where the tokens of the whole picture are among all of its tokens.
WHOLE = {
    "llava": FIRST, "llava_next": FIRST, "llava_onevision": FIRST, "paligemma": FIRST, "gemma3": FIRST,
    "internvl": LAST, "idefics3": LAST, "smolvlm": LAST,
}  # fmt: skip
CENTRED = ("llava",)  # of a long picture only the square in the middle is seen
Box = tuple[float, float, float, float]  # left, top, right, bottom, as shares of the picture's sides


@dataclass(frozen=True)
class Grid:
    """Holds the places of a picture's tokens.

    Attributes:
        tokens: their places in the sequence: (rows, columns). seen: the part of the picture that they cover.
    """

    tokens: Tensor
    seen: Box = (0.0, 0.0, 1.0, 1.0)

    def find_inside(self, box: Box) -> Tensor:
        """Return the places in the sequence of the tokens whose middle lies in a box: (k,)."""
        rows, columns = self.tokens.shape
        left, top, right, bottom = self.seen
        x = left + (right - left) * (torch.arange(columns) + 0.5) / columns
        y = top + (bottom - top) * (torch.arange(rows) + 0.5) / rows
        inside = ((y >= box[1]) & (y < box[3]))[:, None] & ((x >= box[0]) & (x < box[2]))[None, :]
        return self.tokens[inside]


def find_grid(
    config: Any, inputs: Mapping[str, Tensor], picture: Tensor, size: tuple[int, int], pictures: int = 1
) -> Grid | None:
    """Find the places of a picture's tokens; None where they have none.

    Args:
        config: the model's. inputs: of its forward pass. picture: bool (tokens,), which are the picture's.
        size: width and height in pixels, as the processor got it. pictures: how many the question has.
    """
    places = picture.nonzero().flatten().cpu()
    if pictures != 1 or not len(places):
        return None
    if "image_grid_thw" in inputs:
        merge = int(config.vision_config.spatial_merge_size)
        _, rows, columns = (int(n) for n in inputs["image_grid_thw"][0])
        return _shape(places, rows // merge, columns // merge, (0.0, 0.0, 1.0, 1.0))
    end, side = WHOLE.get(config.model_type), _count_side(config)
    if end is None or side is None:
        return None
    whole = places[: side**2] if end == FIRST else places[-(side**2) :]
    seen = _centre(*size) if config.model_type in CENTRED else (0.0, 0.0, 1.0, 1.0)
    return _shape(whole, side, side, seen)


def _shape(places: Tensor, rows: int, columns: int, seen: Box) -> Grid | None:
    return Grid(places.view(rows, columns), seen) if len(places) == rows * columns else None


def _count_side(config: Any) -> int | None:
    """Count the tokens along a side of the whole picture's view, by the names that families give it."""
    if (tokens := getattr(config, "mm_tokens_per_image", None)) is not None:
        return math.isqrt(int(tokens))
    vision = config.vision_config
    image, patch = (
        int(value[0] if isinstance(value, list | tuple) else value)
        for value in (vision.image_size, vision.patch_size)
    )
    merge = getattr(config, "scale_factor", None) or 1 / (getattr(config, "downsample_ratio", None) or 1)
    return round(image // patch / merge) or None


def _centre(width: int, height: int) -> Box:
    """Return the square in the middle of a picture."""
    side = min(width, height)
    across, down = (1 - side / width) / 2, (1 - side / height) / 2
    return across, down, 1 - across, 1 - down
