"""Read the items of a study: questions with their pictures and prompts, checked by their sha256."""

import json
from pathlib import Path

from benchmarks.questions.item import AGAIN
from benchmarks.questions.item import Item as Item
from benchmarks.registry.lookup import find_all
from frism.errors import UserError
from frism.files import read_json, sha256_file

MANIFEST = "manifest.json"


def load_items(folder: str | Path, split: str, benchmarks: str | list[str]) -> dict[str, list[Item]]:
    """Read the items of some benchmarks, by name, in the order asked for.

    Raises UserError for a missing folder or benchmark, and for a file that was changed after it was
    written (another sha256).
    """
    folder = Path(folder)
    if not (folder / MANIFEST).is_file():
        raise UserError(f"{folder} holds no finished items ({MANIFEST} is missing): {AGAIN}.")
    files = read_json(folder / MANIFEST).get("files")
    if not isinstance(files, dict):
        raise UserError(f"{folder / MANIFEST} lists no files: {AGAIN}.")
    names = benchmarks if isinstance(benchmarks, list) else [d.name for d in find_all(benchmarks)]
    return {name: _read_items(folder, split, name, files) for name in names}


def _read_items(folder: Path, split: str, name: str, files: dict[str, str]) -> list[Item]:
    path = folder / split / f"{name}.jsonl"
    expected = files.get(f"{split}/{name}.jsonl")
    if expected is None or not path.is_file():
        raise UserError(f"{folder} has no items of benchmark {name} on split '{split}': {AGAIN}.")
    if sha256_file(path) != expected:
        raise UserError(f"{path} was changed after it was written (its sha256 is another): {AGAIN}.")
    items = []
    # Not splitlines: a question's text may hold other signs that end a line.
    for line in path.read_text(encoding="utf-8").rstrip("\n").split("\n"):
        row = json.loads(line)
        row["message"], row["images"] = tuple(row["message"]), tuple(row["images"])
        items.append(Item(**row, folder=folder))
    return items
