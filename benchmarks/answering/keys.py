"""Make keys of predictions, and the file from which every key can be computed again without a model.

A key covers the weights (`origin`), the engine (`fingerprint`) and the contents of all items of its batch,
because neighbours in a batch may change an answer's last bits.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from frism.errors import UserError
from frism.files import atomic_write, read_json

VERSION = 1


def digest_json(value: Any) -> str:
    """Return the sha256 of a JSON value, 64 hex digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def digest_batch(origin: Mapping[str, Any], fingerprint: Mapping[str, Any], contents: Sequence[str]) -> str:
    """Identify a batch: return 64 hex digits."""
    return digest_json([origin, fingerprint, list(contents)])


def make_keys(batch: str, contents: Iterable[str]) -> tuple[str, ...]:
    """Return the key of each item of a batch with digest `batch`: 16 hex digits."""
    return tuple(digest_json([batch, content])[:16] for content in contents)


def get_provenance_path(predictions: str | Path) -> Path:
    """Return where a predictions file's provenance lies: V.jsonl has V.provenance.json beside it."""
    return Path(predictions).with_suffix(".provenance.json")


def write_provenance(
    predictions: str | Path,
    origin: Mapping[str, Any],
    fingerprint: Mapping[str, Any],
    batches: Mapping[str, Sequence[str]],
) -> None:
    """Write the provenance of a predictions file. `batches`: contents of the items by batch digest."""
    content = {
        "version": VERSION,
        "origin": origin,
        "engine": fingerprint,
        "batches": {name: list(contents) for name, contents in batches.items()},
    }
    with atomic_write(get_provenance_path(predictions)) as temporary:
        temporary.write_text(json.dumps(content) + "\n", encoding="utf-8")


def recompute_keys(predictions: str | Path) -> dict[str, str]:
    """Return the item's content that each key of a predictions file stands for, from its provenance alone.

    Raises UserError when the provenance is missing, of another version, or contradicts itself.
    """
    path = get_provenance_path(predictions)
    stored = read_json(path)
    if stored.get("version") != VERSION or not {"origin", "engine", "batches"} <= set(stored):
        raise UserError(
            f"{path} is not a provenance of version {VERSION}: run python -m benchmarks.stages.predict."
        )
    item_by_key: dict[str, str] = {}
    for name, contents in stored["batches"].items():
        if digest_batch(stored["origin"], stored["engine"], contents) != name:
            raise UserError(
                f"{path}: batch {name[:12]}... does not follow from its origin, engine and items, so it was"
                " changed: delete it and run python -m benchmarks.stages.predict again."
            )
        item_by_key.update(zip(make_keys(name, contents), contents, strict=True))
    return item_by_key
