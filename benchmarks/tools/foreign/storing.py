"""Store foreign answers as the project's own predictions, with a provenance that names their file."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.answering import keys
from benchmarks.answering.predictions import StoredPrediction, compute_checksum
from benchmarks.tools.foreign.answer import ForeignAnswer, ForeignFile
from benchmarks.tools.foreign.matching import Matched
from frism.errors import UserError
from frism.files import atomic_write, read_json

ENGINE = {"engine": "imported", "version": 1}


def describe_import(
    file: ForeignFile, label: str, benchmark: str, matched: Matched, asked: int
) -> dict[str, Any]:
    """Describe where answers come from, and which questions of the benchmark they are to."""
    return {
        "imported": {
            "label": label,
            "file": file.path.name,
            "sha256": file.sha256,
            "format": file.format,
            "index_key": matched.key,
            "benchmark": benchmark,
            "questions": asked,
            "answered": len(matched.answers),
            "surplus": len(matched.surplus),
            "reworded": len(matched.reworded),
            "notes": list(file.notes),
        }
    }


def check_free(predictions: Path, file: ForeignFile, overwrite: bool) -> None:
    """Raise UserError if the label holds the answers of another file."""
    path = keys.get_provenance_path(predictions)
    if overwrite or not predictions.is_file() or not path.is_file():
        return
    origin = read_json(path).get("origin", {})
    before = origin.get("imported", {}).get("sha256") if isinstance(origin, dict) else None
    if before != file.sha256:
        raise UserError(
            f"{predictions} holds the answers of another file: choose another label (--as), or --overwrite."
        )


def store_answers(
    predictions: Path,
    origin: Mapping[str, Any],
    benchmark: str,
    answers: Mapping[str, ForeignAnswer],
    contents: Mapping[str, str],
) -> list[StoredPrediction]:
    """Write predictions and their provenance; return the lines, in the order of `answers`.

    Args:
        contents: the digest of every question, by index.
    """
    digests = [contents[index] for index in answers]
    batch = keys.digest_batch(origin, ENGINE, digests)
    stored = [
        _make_line(key, benchmark, index, contents[index], answer)
        for (index, answer), key in zip(answers.items(), keys.make_keys(batch, digests), strict=True)
    ]
    keys.write_provenance(predictions, origin, ENGINE, {batch: digests})
    with atomic_write(predictions) as temporary:
        temporary.write_text("".join(line.text() for line in stored), encoding="utf-8")
    return stored


def discard(files: Sequence[Path]) -> None:
    """Delete what an import that failed has written."""
    for path in files:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _make_line(key: str, benchmark: str, index: str, content: str, answer: ForeignAnswer) -> StoredPrediction:
    fields: dict[str, Any] = {
        "key": key, "benchmark": benchmark, "index": index, "item": content, "raw": answer.text,
        "tokens": answer.tokens, "truncated": answer.truncated, "seconds": answer.seconds,
    }  # fmt: skip
    return StoredPrediction(**fields, sum=compute_checksum(fields))
