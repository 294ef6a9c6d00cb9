"""Public data in ../shared, beside the project: read where it is, else the test is skipped."""

import json
from pathlib import Path
from typing import Any

import pytest

SHARED = Path(__file__).resolve().parents[3] / "shared"


def find_shared(place: str) -> Path:
    """Find a file of ../shared; skip the test that asks where it is not."""
    path = SHARED / place
    if not path.is_file():
        pytest.skip(f"../shared/{place} is not here: it is public data that the project does not carry")
    return path


def read_records(place: str) -> list[dict[str, Any]]:
    """Read a file of JSON lines, or of one JSON list, or of one JSON object whose values are the records."""
    text = find_shared(place).read_text(encoding="utf-8")
    if place.endswith(".jsonl"):
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    content = json.loads(text)
    return list(content.values()) if isinstance(content, dict) else content
