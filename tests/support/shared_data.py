"""Public data in ../shared, beside the project: read where it is, else the test is skipped."""

import json
from pathlib import Path
from typing import Any

import pytest

SHARED = Path(__file__).resolve().parents[3] / "shared"
# A real benchmark with its pictures, in VLMEvalKit's columns; not the published file.
MATH_VISION = {
    "name": "MathVision_MINI",
    "sha256": {"tsv": "bae356999cb2688200fe9c2c545640db5f1af788db638de22b857120646ebb21"},
}


def find_shared(place: str) -> Path:
    """Find a file or folder of ../shared; skip the test that asks where it is not."""
    path = SHARED / place
    if not path.exists():
        pytest.skip(f"../shared/{place} is not here: it is public data that the project does not carry")
    return path


def read_records(place: str) -> list[dict[str, Any]]:
    """Read a file of JSON lines, or of one JSON list, or of one JSON object whose values are the records."""
    text = find_shared(place).read_text(encoding="utf-8")
    if place.endswith(".jsonl"):
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    content = json.loads(text)
    return list(content.values()) if isinstance(content, dict) else content


def link_data(folder: Path) -> Path:
    """Make a data folder of a study with the real benchmark and the mirrored text data, by links."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in (find_shared("data/MathVision_MINI.tsv"), *sorted(find_shared("data/mirror").iterdir())):
        (folder / path.name).symlink_to(path)
    return folder
