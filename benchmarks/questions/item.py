"""Define an item: one question with its message, its pictures on disk, and the digest of both."""

import hashlib
import io
import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from PIL import Image

from benchmarks.registry.definition import Definition
from frism.errors import UserError

DEFINITIONS = "benchmarks.json"  # in an items folder: how its benchmarks were defined
AGAIN = "run python -m benchmarks.stages.items again"


@dataclass(frozen=True)
class Item:
    """Hold one question.

    Attributes:
        message: VLMEvalKit's parts, {"type": "image" | "text", "value": ...}; a picture's value is its
            path in the items folder.
        images: a digest per picture (see `picture_digest`).
        folder: the items folder.
        cluster: questions of one benchmark with the same text here are right or wrong together; "" for none.
        max_new_tokens: limit of the answer's length; None leaves it to the engine.
    """

    benchmark: str
    split: str
    index: str
    message: tuple[dict[str, str], ...]
    answer: str
    images: tuple[str, ...]
    folder: Path
    cluster: str = ""
    max_new_tokens: int | None = None

    @cached_property
    def content(self) -> str:
        """Return 16 hex digits of what a model gets: benchmark, index, texts, pictures, limit, no answer."""
        pictures = iter(self.images)
        parts = [
            next(pictures) if part["type"] == "image" else part.get("role", "") + part["value"]
            for part in self.message
        ]
        limit = [] if self.max_new_tokens is None else [self.max_new_tokens]
        return digest([self.benchmark, self.split, self.index, *parts, *limit])[:16]

    def pictures(self) -> list[Image.Image]:
        """Read the item's pictures, RGB. Raises UserError when one is missing or not the one described."""
        pictures = []
        paths = (self.folder / part["value"] for part in self.message if part["type"] == "image")
        for path, expected in zip(paths, self.images, strict=True):
            try:
                content = path.read_bytes()
            except OSError as error:
                raise UserError(f"cannot read {path} ({error.strerror or error}): {AGAIN}.") from error
            image = _decoded(content)
            if image is None or _digest_of(image, content) != expected:
                raise UserError(f"{path} is not the picture that the question was made with: {AGAIN}.")
            pictures.append(image.convert("RGB"))  # decoded once: it is most of a picture's time
        return pictures


def picture_digest(content: bytes) -> str:
    """Return 16 hex digits of a picture: of a PNG's pixels (compressors differ), of another file's bytes."""
    return _digest_of(_decoded(content), content)


def _decoded(content: bytes) -> Image.Image | None:
    try:
        image = Image.open(io.BytesIO(content))
        image.load()
        return image
    except (OSError, ValueError):
        return None


def _digest_of(image: Image.Image | None, content: bytes) -> str:
    if image is not None and image.format == "PNG":
        head = f"{image.mode} {image.size} ".encode()
        return hashlib.sha256(head + image.tobytes()).hexdigest()[:16]
    return hashlib.sha256(content).hexdigest()[:16]  # whatever it is, its bytes identify it


def digest(value: object) -> str:
    """Return the sha256 of a JSON value, 64 hex digits."""
    return hashlib.sha256(json.dumps(value, ensure_ascii=False).encode()).hexdigest()


def definition_of(item: Item) -> Definition:
    """Return the definition that an item was made by, from its folder. Raises UserError when it is absent."""
    path = item.folder / DEFINITIONS
    try:
        return _definitions(path, path.stat().st_mtime_ns)[item.benchmark]
    except (OSError, KeyError, ValueError) as error:
        raise UserError(f"{path} does not describe {item.benchmark} ({error}): {AGAIN}.") from None


@lru_cache(maxsize=8)
def _definitions(path: Path, changed: int) -> dict[str, Definition]:
    contents = json.loads(path.read_text(encoding="utf-8"))
    return {name: Definition.model_validate(content) for name, content in contents.items()}
