"""Bring a picture of any mode to RGB as people see it: transparency on white, deep greys scaled to 8 bits.

Pillow's `convert("RGB")` drops transparency, so that black ink on nothing becomes black on black; it clips
greys of 16 or 32 bits at 255, and it cannot read LAB.
"""

from functools import cache
from typing import Any

import numpy as np
from PIL import Image, ImageCms

WHITE, SCALED = "on white", "scaled"


def find_rule(picture: Image.Image) -> str:
    """Name what `to_rgb` does beyond Pillow's conversion: WHITE, SCALED, or "" for an ordinary picture."""
    if picture.mode.startswith(("I", "F")):
        return SCALED
    if not picture.has_transparency_data:
        return ""
    opaque = np.asarray(picture.convert("RGBA").getchannel("A")).min() == 255
    return "" if opaque else WHITE


def to_rgb(picture: Image.Image) -> Image.Image:
    """Return a picture in RGB.

    Deep greys: of mode I;16 the 16 bits are scaled. Modes I and F have no range of their own: values up to
    255 stay, up to 65,535 are scaled as 16 bits, a fraction up to 1 as a share of white, and others are
    stretched from their least to their largest. What is no number is black.
    """
    rule = find_rule(picture)
    if rule == SCALED:
        return _scale_greys(picture).convert("RGB")
    if rule == WHITE:
        layer = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    if picture.mode == "LAB":
        converted = ImageCms.applyTransform(picture, _make_lab_transform())
        assert converted is not None  # None is for changes in place
        return converted
    return picture.convert("RGB")


def _scale_greys(picture: Image.Image) -> Image.Image:
    values = np.nan_to_num(np.asarray(picture, dtype=np.float64), nan=0, posinf=0, neginf=0)
    low, high = float(values.min()), float(values.max())
    if picture.mode.startswith("I;16"):
        values = values / 257
    elif low < 0 or high > 65_535 or (picture.mode == "F" and high > 255):
        values = (values - low) * (255 / max(high - low, 1e-300))
    elif high > 255:
        values = values / 257
    elif picture.mode == "F" and high <= 1:
        values = values * 255
    return Image.fromarray(np.rint(values).astype(np.uint8))


@cache
def _make_lab_transform() -> Any:
    profiles = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(*profiles, "LAB", "RGB")
