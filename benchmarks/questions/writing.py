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
from benchmarks.questions.item import DEFINITIONS, digest_picture
from benchmarks.questions.item import Item as Item
from benchmarks.questions.item import digest_json as digest
from benchmarks.questions.published import REPLACE, Question
from benchmarks.questions.reading import MANIFEST
from benchmarks.questions.source import QuestionSource
from benchmarks.registry.definition import Definition
from benchmarks.registry.lookup import find_file
from benchmarks.registry.vlmevalkit_package import get_version
from frism.errors import UserError
from frism.files import atomic_write, sha256_file, write_json
from frism.progress import Progress

log = logging.getLogger(__name__)


def write_items(
    folder: str | Path,
    definitions: list[Definition],
    splits: Mapping[str, Size],
    seed: int = 0,
    *,
    data: str | Path | None = None,
    family: Family | None = None,
    tolerant: bool = False,
) -> dict[str, Any]:
    """Write the items of every benchmark and split; return the manifest.

    The folder's former items are deleted first, so that no picture of another run survives under its number;
    a second process with the same folder waits.

    Args:
        splits: questions per split. Of published benchmarks a split has at most so many, and "all" means
            what the others leave over.
        data: the folder with the TSVs of published benchmarks.
        family: who writes the prompts; None leaves it to the dataset classes.
        tolerant: keep pictures that cannot be decoded as they are, for answering to count them.

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
    with _lock_folder(folder):
        return _write_all(folder, definitions, splits, seed, data, family, tolerant)


def _write_all(
    folder: Path,
    definitions: list[Definition],
    splits: Mapping[str, Size],
    seed: int,
    data: str | Path | None,
    family: Family | None,
    tolerant: bool,
) -> dict[str, Any]:
    _clear_folder(folder, splits)
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
            source = QuestionSource(definition, folder, splits, seed, data, family, tolerant)
            if source.file is not None:
                manifest["tsv"][definition.name] = {
                    "file": source.file.path.name, "bytes": source.file.size, "sha256": source.file.sha256,
                }  # fmt: skip
            for split, n in splits.items():
                questions = source.questions(split, n)
                if not questions:
                    continue
                items = [_make_item(folder, definition, split, question, tolerant) for question in questions]
                jsonl = folder / split / f"{definition.name}.jsonl"
                with atomic_write(jsonl) as temporary:
                    temporary.write_text("".join(_format_line(item) for item in items), encoding="utf-8")
                label = f"{split}-{n}-seed{seed}"
                content = digest([[i.content, i.answer] for i in items])
                _check_digest(definition, label, content)
                manifest["data"][f"{definition.name}/{label}"] = content
                manifest["questions"].setdefault(definition.name, {})[split] = len(items)
                tsv = folder / split / f"{definition.dataset}.tsv"
                manifest["files"] |= {str(f.relative_to(folder)): sha256_file(f) for f in (tsv, jsonl)}
                pictures.setdefault(split, {})[definition.name] = {i for item in items for i in item.images}
            progress.advance()
    manifest["shared"] = _count_shared_pictures(pictures)
    resolved = {d.name: d.model_dump(mode="json", by_alias=True) for d in definitions}
    write_json(folder / DEFINITIONS, resolved)
    write_json(folder / MANIFEST, manifest)  # last: it says that everything is there
    return manifest


def _count_shared_pictures(pictures: dict[str, dict[str, set[str]]]) -> dict[str, dict[str, int]]:
    """Count a benchmark's test pictures that another one has on dev, by the names of both; log them."""
    counts: dict[str, dict[str, int]] = {}
    for name, on_test in pictures.get("test", {}).items():
        for other, on_dev in pictures.get("dev", {}).items():
            if number := len(on_test & on_dev):
                counts.setdefault(name, {})[other] = number
                log.info("%s: %d pictures on test are on dev in %s", name, number, other)
    return counts


@contextmanager
def _lock_folder(folder: Path) -> Iterator[None]:
    """Lock a folder for this process; the system releases the lock however the process ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stream = (folder / ".lock").open("a")
    except OSError as error:
        raise _explain_unwritable(folder, error) from error
    with stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _clear_folder(folder: Path, splits: Iterable[str]) -> None:
    try:
        (folder / MANIFEST).unlink(missing_ok=True)
        for name in (*splits, "prepared"):
            if (folder / name).is_dir():
                shutil.rmtree(folder / name)
        for split in splits:
            (folder / split).mkdir(parents=True)
    except OSError as error:
        raise _explain_unwritable(folder, error) from error


def _explain_unwritable(folder: Path, error: OSError) -> UserError:
    return UserError(
        f"cannot write {folder} ({error.strerror or error}): choose a folder that you may write to."
    )


def _make_item(folder: Path, definition: Definition, split: str, question: Question, tolerant: bool) -> Item:
    parts, images = [], []
    for part in question.message:
        if part["type"] == "image":
            path = Path(part["value"])
            digest, sound = _digest_picture_file(path, path.stat().st_mtime_ns)
            if not sound:
                cause = f"a picture of question {question.index} of {definition.name} cannot be decoded"
                if not tolerant:
                    raise UserError(f"{path}: {cause}: {REPLACE}.")
                log.warning("%s: the question will count as unanswered", cause)
            images.append(digest)
            part = {"type": "image", "value": str(path.relative_to(folder.resolve()))}
        parts.append(part)
    return Item(
        definition.name, split, question.index, tuple(parts), question.answer, tuple(images), folder,
        question.cluster, definition.max_new_tokens,
    )  # fmt: skip


@lru_cache(maxsize=4096)  # several questions on one picture
def _digest_picture_file(path: Path, changed: int) -> tuple[str, bool]:
    return digest_picture(path.read_bytes())


def _format_line(item: Item) -> str:
    content = asdict(item)
    del content["folder"], content["sample"]  # of answers, not of questions
    return json.dumps(content, ensure_ascii=False) + "\n"


def _check_digest(definition: Definition, label: str, digest: str) -> None:
    expected = definition.sha256.get(label)
    if expected is not None and expected != digest:
        raise UserError(
            f"{find_file(definition)}: the data of {label} have sha256 {digest[:12]}..., not"
            f" {expected[:12]}...:"
            " restore the world and the questions, or record the new data (--record) and raise `version`."
        )
