"""Write the items of a study: every question with its pictures and prompt as VLMEvalKit builds them."""

import fcntl
import json
import logging
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from benchmarks.prompting.families import Family
from benchmarks.questions.drawing import Size
from benchmarks.questions.item import DEFINITIONS, digest, picture_digest
from benchmarks.questions.item import Item as Item
from benchmarks.questions.published import Question
from benchmarks.questions.reading import MANIFEST
from benchmarks.questions.source import QuestionSource
from benchmarks.registry.definition import Definition
from benchmarks.registry.lookup import path_of
from benchmarks.registry.vlmevalkit_package import get_version
from frism.errors import UserError
from frism.files import atomic_write, sha256_file
from frism.progress import Progress

log = logging.getLogger(__name__)


def write(
    folder: str | Path,
    definitions: list[Definition],
    splits: Mapping[str, Size],
    seed: int = 0,
    *,
    data: str | Path | None = None,
    family: Family | None = None,
) -> dict[str, Any]:
    """Write the items of every benchmark and split; return the manifest.

    The folder's former items are deleted first, so that no picture of another run survives under its number;
    a second process with the same folder waits.

    Args:
        splits: questions per split. Of published benchmarks a split has at most so many, and "all" means
            what the others leave over.
        data: the folder with the TSVs of published benchmarks.
        family: who writes the prompts; None leaves it to the dataset classes.

    Raises UserError when it cannot be written, or when the data are not those that a definition names.
    """
    folder = Path(folder)
    for split, n in splits.items():
        if n != "all" and n < 1:
            raise UserError(f"split '{split}' asks for {n} questions: ask for at least one.")
    tables = {d.dataset: d.name for d in definitions}
    for definition in definitions:
        if tables[definition.dataset] != definition.name:
            raise UserError(
                f"benchmarks {definition.name} and {tables[definition.dataset]} are both on"
                f" {definition.dataset}.tsv: drop one."
            )
    with _alone(folder):
        return _write(folder, definitions, splits, seed, data, family)


def _write(
    folder: Path,
    definitions: list[Definition],
    splits: Mapping[str, Size],
    seed: int,
    data: str | Path | None,
    family: Family | None,
) -> dict[str, Any]:
    _clear(folder, splits)
    manifest: dict[str, Any] = {
        "splits": dict(splits),
        "seed": seed,
        "benchmarks": {d.name: d.version for d in definitions},
        "vlmeval": get_version(),
        "family": family.fingerprint() if family else None,
        "data": {},
        "tsv": {},
        "questions": {},
        "files": {},
    }
    pictures: dict[str, dict[str, set[str]]] = {}  # digests by split and benchmark
    with Progress("items", len(definitions)) as progress:
        for definition in definitions:
            source = QuestionSource(definition, folder, splits, seed, data, family)
            if source.file is not None:
                manifest["tsv"][definition.name] = {
                    "file": source.file.path.name, "bytes": source.file.size, "sha256": source.file.sha256,
                }  # fmt: skip
            for split, n in splits.items():
                questions = source.questions(split, n)
                if not questions:
                    continue
                items = [_item(folder, definition, split, question) for question in questions]
                jsonl = folder / split / f"{definition.name}.jsonl"
                with atomic_write(jsonl) as temporary:
                    temporary.write_text("".join(_line(item) for item in items), encoding="utf-8")
                label = f"{split}-{n}-seed{seed}"
                content = digest([[i.content, i.answer] for i in items])
                _verify(definition, label, content)
                manifest["data"][f"{definition.name}/{label}"] = content
                manifest["questions"].setdefault(definition.name, {})[split] = len(items)
                tsv = folder / split / f"{definition.dataset}.tsv"
                manifest["files"] |= {str(f.relative_to(folder)): sha256_file(f) for f in (tsv, jsonl)}
                pictures.setdefault(split, {})[definition.name] = {i for item in items for i in item.images}
            progress.advance()
    manifest["shared"] = _shared(pictures)
    resolved = {d.name: d.model_dump(mode="json", by_alias=True) for d in definitions}
    _dump(folder / DEFINITIONS, resolved)
    _dump(folder / MANIFEST, manifest)  # last: it says that everything is there
    return manifest


def _dump(path: Path, value: object) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def _shared(pictures: dict[str, dict[str, set[str]]]) -> dict[str, dict[str, int]]:
    """Count a benchmark's test pictures that another one has on dev, by the names of both; log them."""
    counts: dict[str, dict[str, int]] = {}
    for name, on_test in pictures.get("test", {}).items():
        for other, on_dev in pictures.get("dev", {}).items():
            if number := len(on_test & on_dev):
                counts.setdefault(name, {})[other] = number
                log.info("%s: %d pictures on test are on dev in %s", name, number, other)
    return counts


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Lock a folder for this process; the system releases the lock however the process ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stream = (folder / ".lock").open("a")
    except OSError as error:
        raise _unwritable(folder, error) from error
    with stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _clear(folder: Path, splits: Iterable[str]) -> None:
    try:
        (folder / MANIFEST).unlink(missing_ok=True)
        for name in (*splits, "prepared"):
            if (folder / name).is_dir():
                shutil.rmtree(folder / name)
        for split in splits:
            (folder / split).mkdir(parents=True)
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(folder: Path, error: OSError) -> UserError:
    return UserError(
        f"cannot write {folder} ({error.strerror or error}): choose a folder that you may write to."
    )


def _item(folder: Path, definition: Definition, split: str, question: Question) -> Item:
    parts, images = [], []
    for part in question.message:
        if part["type"] == "image":
            path = Path(part["value"])
            images.append(_digest_of(path, path.stat().st_mtime_ns))
            part = {"type": "image", "value": str(path.relative_to(folder.resolve()))}
        parts.append(part)
    return Item(
        definition.name, split, question.index, tuple(parts), question.answer, tuple(images), folder,
        question.cluster, definition.max_new_tokens,
    )  # fmt: skip


@lru_cache(maxsize=4096)  # several questions on one picture
def _digest_of(path: Path, changed: int) -> str:
    return picture_digest(path.read_bytes())


def _line(item: Item) -> str:
    content = asdict(item)
    del content["folder"]
    return json.dumps(content, ensure_ascii=False) + "\n"


def _verify(definition: Definition, label: str, digest: str) -> None:
    expected = definition.sha256.get(label)
    if expected is not None and expected != digest:
        raise UserError(
            f"{path_of(definition)}: the data of {label} have sha256 {digest[:12]}..., not"
            f" {expected[:12]}...:"
            " restore the world and the questions, or record the new data (--record) and raise `version`."
        )
