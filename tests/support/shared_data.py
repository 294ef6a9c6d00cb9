"""Real data beside the project, in ../shared/data, on machines that have them; else a test is skipped."""

from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[3] / "shared/data"
# A real benchmark with its pictures, in VLMEvalKit's columns; not the published file.
MATH_VISION = {
    "name": "MathVision_MINI",
    "sha256": {"tsv": "bae356999cb2688200fe9c2c545640db5f1af788db638de22b857120646ebb21"},
}


def find_shared(name: str) -> Path:
    """Return a file or folder of the real data, or skip the test that asks for it."""
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"no real data beside the project: ../shared/data/{name}")
    return path


def link_data(folder: Path) -> Path:
    """Make a data folder of a study with the real benchmark and the mirrored text data, by links."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in (find_shared("MathVision_MINI.tsv"), *sorted(find_shared("mirror").iterdir())):
        (folder / path.name).symlink_to(path)
    return folder
