"""Digest calibration questions: sha256 over the bytes of their pictures and over their texts.

Thousands of photographs are hashed once: the digest is remembered for as long as no file changes. While they
are read for the first time every picture is decoded too, so that a damaged one is named before anything is
learned, not an hour later.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from PIL.Image import Image

from benchmarks.calibration import pictures
from frism.cache import read_file_state, remember
from frism.files import sha256_file
from frism.progress import Progress

_VERSION = "calibration 1"  # raise it when a picture comes to reach the model in another way


def of_files(files: Sequence[Path], texts: Sequence[str], max_pixels: int | None) -> str:
    """Return the digest of questions whose pictures are files, shown with at most `max_pixels`.

    Raises UserError naming the first picture that is missing or cannot be decoded.
    """
    states = [read_file_state(file) for file in files]
    key = _joined("state", max_pixels, [state.key for state in states], texts)
    changed = max((state.changed for state in states), default=0.0)
    return remember(key, changed, lambda: _joined(_VERSION, max_pixels, _contents(files), texts))


def of_pictures(images: Sequence[Image], texts: Sequence[str]) -> str:
    """Return the digest of questions whose pictures are in memory."""
    contents = [hashlib.sha256(f"{p.mode} {p.size} ".encode() + p.tobytes()).hexdigest() for p in images]
    return _joined(_VERSION, None, contents, texts)


def _contents(files: Sequence[Path]) -> list[str]:
    digests: dict[Path, str] = {}
    with Progress("calibration pictures", len(files), "pictures") as progress:
        for file in files:
            if file not in digests:
                pictures.check(file)
                digests[file] = sha256_file(file)
            progress.advance(1)
    return [digests[file] for file in files]


def _joined(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
