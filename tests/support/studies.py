"""Studies for tests: a config from the keys that matter to a test, and the record that stages read."""

import json
from pathlib import Path
from typing import Any

from benchmarks.study.config import StudyConfig

WEIGHTS = {role: f"benchmarks/miniature/weights/{role}" for role in ("base", "vlm", "lrm")}
# What a config must say, where a test does not care.
REQUIRED = {
    "study": "study",
    "triple": WEIGHTS,
    "engine": {"name": "transformers", "max_new_tokens": 48},
    "benchmarks": ["mini_number"],
    "questions": {"dev": 60, "test": 100},
    "variants": {"vlm": {"method": "vlm"}},
}


def study_of(settings: dict[str, Any]) -> StudyConfig:
    """The config with these keys, and with those that must be there."""
    return StudyConfig.make(REQUIRED | settings, "test")


def record(folder: Path, settings: dict[str, Any]) -> Path:
    """Write the record of a study into its results folder, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "study.json"
    path.write_text(json.dumps({"config": study_of(settings).model_dump(mode="json")}))
    return path
