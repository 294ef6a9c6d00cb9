"""Put the pictures of questions into a page as files that every browser shows and none executes."""

import io
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from benchmarks.page.folders import link_or_copy
from benchmarks.questions.item import UNDECODABLE, Item
from benchmarks.questions.picture_modes import to_rgb
from frism.errors import UserError
from frism.files import explain_refusal

# What browsers show. Never SVG, which is a program: whatever a file is called, its content decides.
SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp", "GIF": ".gif"}


@dataclass
class PictureFolder:
    """Holds the pictures of a page, each once however many questions show it.

    Attributes:
        known: by the picture's digest, [file name, width, height]; None for one that cannot be decoded.
    """

    folder: Path
    known: dict[str, list[str | int] | None] = field(default_factory=dict)

    def add(self, item: Item) -> list[list[str | int] | None]:
        """Add the pictures of a question and describe each. Raises UserError when one is missing."""
        paths = [item.folder / part["value"] for part in item.message if part["type"] == "image"]
        return [self._add(path, digest) for path, digest in zip(paths, item.images, strict=True)]

    def _add(self, path: Path, digest: str) -> list[str | int] | None:
        if digest not in self.known:
            self.known[digest] = self._take(path, digest)
        return self.known[digest]

    def _take(self, path: Path, digest: str) -> list[str | int] | None:
        try:
            with Image.open(path) as image:
                width, height = image.size
                suffix = SUFFIXES.get(image.format or "")
                if suffix is None:
                    image.load()
                    return self._convert(image, digest)
        except FileNotFoundError:
            raise UserError(f"{path} is missing: run snakemake again.") from None
        except UNDECODABLE:
            return None
        link_or_copy(path, self.folder / f"{digest}{suffix}")
        return [f"{digest}{suffix}", width, height]

    def _convert(self, image: Image.Image, digest: str) -> list[str | int]:
        """Write a picture of a format that browsers do not know as PNG."""
        target, buffer = self.folder / f"{digest}.png", io.BytesIO()
        to_rgb(image).save(buffer, format="PNG")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(buffer.getvalue())
        except OSError as error:
            raise explain_refusal(target, error) from error
        return [target.name, image.width, image.height]
