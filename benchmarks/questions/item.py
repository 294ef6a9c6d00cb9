"""Define an item: one question with its message, its pictures on disk, and the digest of both."""

import hashlib
import io
import json
import struct
import zlib
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

from PIL import Image
from pydantic import ValidationError

from benchmarks.questions.picture_modes import find_rule, to_rgb
from benchmarks.questions.unanswerable import UnanswerableError
from benchmarks.registry.definition import Definition
from frism.errors import UserError, describe_first_fault
from frism.files import read_json

DEFINITIONS = "benchmarks.json"  # in an items folder: how its benchmarks were defined
AGAIN = "run python -m benchmarks.stages.items again"
# What Pillow raises for a picture that is cut short, broken or absurdly large.
UNDECODABLE = (
    OSError, ValueError, SyntaxError, EOFError, IndexError, OverflowError, struct.error, zlib.error,
    Image.DecompressionBombError,
)  # fmt: skip


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
        sample: which of several answers that are drawn at random, from 0; None where one is decoded greedily.
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
    sample: int | None = None

    @cached_property
    def content(self) -> str:
        """Return 16 hex digits of what a model gets: benchmark, index, texts, pictures, limit, no answer.

        Samples of one question have different ones.
        """
        if self.sample is not None:
            return digest_json([self.question.content, "sample", self.sample])[:16]
        pictures = iter(self.images)
        parts = [
            next(pictures) if part["type"] == "image" else part.get("role", "") + part["value"]
            for part in self.message
        ]
        limit = [] if self.max_new_tokens is None else [self.max_new_tokens]
        return digest_json([self.benchmark, self.split, self.index, *parts, *limit])[:16]

    @cached_property
    def question(self) -> "Item":
        """Return the question that this is a sample of; itself where it is none."""
        return self if self.sample is None else replace(self, sample=None)

    def pictures(self) -> list[Image.Image]:
        """Read the item's pictures, RGB, transparent parts white.

        Raises UserError when one is missing or not the one described, UnanswerableError when it never could
        be decoded.
        """
        pictures = []
        paths = (self.folder / part["value"] for part in self.message if part["type"] == "image")
        for path, expected in zip(paths, self.images, strict=True):
            try:
                content = path.read_bytes()
            except OSError as error:
                raise UserError(f"cannot read {path} ({error.strerror or error}): {AGAIN}.") from error
            image = _decode(content)
            if _digest_image(image, content) != expected:
                raise UserError(f"{path} is not the picture that the question was made with: {AGAIN}.")
            if image is None:
                raise UnanswerableError(
                    "picture",
                    f"{path}, the picture of question {self.index} of {self.benchmark}, cannot be decoded:"
                    " fetch its table again, or count such questions as unanswered (engine.failures).",
                )
            pictures.append(to_rgb(image))  # decoded once: it is most of a picture's time
        return pictures


def digest_picture(content: bytes) -> tuple[str, bool]:
    """Return 16 hex digits of a picture, and whether it can be decoded.

    They are of a PNG's pixels (compressors differ), of another file's bytes, and of how the mode is brought
    to RGB where that is not Pillow's way.
    """
    image = _decode(content)
    return _digest_image(image, content), image is not None


def _decode(content: bytes) -> Image.Image | None:
    try:
        image = Image.open(io.BytesIO(content))
        image.load()
        return image
    except UNDECODABLE:
        return None


def _digest_image(image: Image.Image | None, content: bytes) -> str:
    rule = find_rule(image).encode() if image is not None else b""
    if image is not None and image.format == "PNG":
        head = f"{image.mode} {image.size} ".encode()
        return hashlib.sha256(head + image.tobytes() + rule).hexdigest()[:16]
    return hashlib.sha256(content + rule).hexdigest()[:16]  # whatever it is, its bytes identify it


def digest_json(value: object) -> str:
    """Return the sha256 of a JSON value, 64 hex digits."""
    return hashlib.sha256(json.dumps(value, ensure_ascii=False).encode()).hexdigest()


def read_definition(item: Item) -> Definition:
    """Return the definition that an item was made by, from its folder. Raises UserError when it is absent."""
    path = item.folder / DEFINITIONS
    try:
        return _read_definitions(path, path.stat().st_mtime_ns)[item.benchmark]
    except (OSError, KeyError, ValueError) as error:
        reason = describe_first_fault(error) if isinstance(error, ValidationError) else error
        raise UserError(f"{path} does not describe {item.benchmark} ({reason}): {AGAIN}.") from None


@lru_cache(maxsize=8)
def _read_definitions(path: Path, changed: int) -> dict[str, Definition]:
    contents = read_json(path)
    return {name: Definition.model_validate(content) for name, content in contents.items()}
