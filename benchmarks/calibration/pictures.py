"""Open a picture file as a model gets it: upright, RGB, no larger than a limit.

Photographs carry their rotation in EXIF; processors ignore it, so it is applied here. A limit in pixels
matters for photographs of a telephone: twelve megapixels are 16,000 visual tokens for some models.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from math import sqrt
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from frism.errors import UserError

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
# Pillow raises these for files that are no pictures, cut short, or absurdly large.
_BAD = (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError)


def opened(path: Path, max_pixels: int | None = None) -> Image.Image:
    """Read a picture: rotated as its EXIF says, RGB, shrunk to at most `max_pixels` at equal proportions.

    Raises UserError naming the file when it is missing, cut short or no picture.
    """
    with _explain_errors(path), Image.open(path) as file:
        picture: Image.Image = file
        if picture.mode not in ("RGB", "L"):  # a palette cannot be shrunk, transparency is dropped as it is
            picture = picture.convert("RGB")
        width, height = picture.size
        if max_pixels is not None and width * height > max_pixels:
            ratio = sqrt(max_pixels / (width * height))
            size = max(1, int(width * ratio)), max(1, int(height * ratio))
            # Decodes a JPEG at a fraction of its size where that is enough.
            picture.draft("RGB", (2 * size[0], 2 * size[1]))
            picture = picture.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)
        return ImageOps.exif_transpose(picture).convert("RGB")


def check(path: Path) -> None:
    """Decode a picture, at a fraction of its size where its format allows that, and discard it.

    Raises UserError as `opened`.
    """
    with _explain_errors(path), Image.open(path) as picture:
        picture.draft("L", (64, 64))
        picture.load()


@contextmanager
def _explain_errors(path: Path) -> Iterator[None]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large pictures and odd EXIF entries
            yield
    except FileNotFoundError:
        raise UserError(f"the calibration picture {path} is missing: put it there.") from None
    except _BAD as error:
        reason = "no picture that can be read" if isinstance(error, UnidentifiedImageError) else error
        raise UserError(
            f"cannot read the calibration picture {path} ({reason}): restore or remove it."
        ) from error
