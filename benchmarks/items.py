"""Items: every question with its pictures and prompt as VLMEvalKit builds them, in files that stages share.

python -m benchmarks.items --benchmarks a,b --splits '{"dev": 150, "test": 400}' --seed 0 --out FOLDER
    [--model V_FOLDER --prompting JSON] [--data FOLDER]
writes FOLDER/<split>/<benchmark>.jsonl, the TSVs and pictures beside them, FOLDER/benchmarks.json (the
definitions as they count here) and FOLDER/manifest.json, last.
"""

import fcntl
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from benchmarks.item import AGAIN, DEFINITIONS, digest, picture_digest
from benchmarks.item import Item as Item
from benchmarks.progress import Progress
from benchmarks.registry import Definition, find_all
from benchmarks.sources.drawing import Size
from benchmarks.sources.published import Prompting, Question
from benchmarks.sources.question_source import Source
from frism.errors import UserError, reported
from frism.files import atomic_write, read_json, sha256_file

MANIFEST = "manifest.json"


def load(folder: str | Path, split: str, benchmarks: str | list[str]) -> dict[str, list[Item]]:
    """The items of some benchmarks, by name, in the order asked for.

    Raises UserError for a missing folder or benchmark, and for a file that is not the one that was
    written (wrong sha256).
    """
    folder = Path(folder)
    if not (folder / MANIFEST).is_file():
        raise UserError(f"{folder} holds no finished items ({MANIFEST} is missing): {AGAIN}.")
    files = read_json(folder / MANIFEST).get("files", {})
    names = benchmarks if isinstance(benchmarks, list) else [d.name for d in find_all(benchmarks)]
    return {name: _read(folder, split, name, files) for name in names}


def write(
    folder: str | Path,
    definitions: list[Definition],
    splits: Mapping[str, Size],
    seed: int = 0,
    *,
    data: str | Path | None = None,
    family: Prompting | None = None,
) -> dict[str, Any]:
    """Write the items of every benchmark and split; return the manifest.

    The folder's former items vanish first, so that no picture of another run survives under its number; a
    second process with the same folder waits.

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
    family: Prompting | None,
) -> dict[str, Any]:
    from benchmarks import vlmevalkit

    _clear(folder, splits)
    manifest: dict[str, Any] = {
        "splits": dict(splits),
        "seed": seed,
        "benchmarks": {d.name: d.version for d in definitions},
        "vlmeval": vlmevalkit.version(),
        "family": family.fingerprint() if family else None,
        "data": {},
        "tsv": {},
        "questions": {},
        "files": {},
    }
    seen: dict[str, dict[str, set[str]]] = {}  # pictures by split and benchmark
    with Progress("items", len(definitions)) as progress:
        for definition in definitions:
            source = Source(definition, folder, splits, seed, data, family)
            if source.file is not None:
                about = {"file": source.file.path.name, "bytes": source.file.size}
                manifest["tsv"][definition.name] = about | {"sha256": source.file.sha256}
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
                seen.setdefault(split, {})[definition.name] = {i for item in items for i in item.images}
            progress.advance()
    manifest["shared"] = _shared(seen)
    resolved = {d.name: d.model_dump(mode="json", by_alias=True) for d in definitions}
    _dump(folder / DEFINITIONS, resolved)
    _dump(folder / MANIFEST, manifest)  # last: it says that everything is there
    return manifest


def _dump(path: Path, value: Any) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def _shared(seen: dict[str, dict[str, set[str]]]) -> dict[str, dict[str, int]]:
    """How many pictures on test another benchmark has on dev, by benchmark."""
    found: dict[str, dict[str, int]] = {}
    for name, pictures in seen.get("test", {}).items():
        for other, theirs in seen.get("dev", {}).items():
            if number := len(pictures & theirs):
                found.setdefault(name, {})[other] = number
                print(f"{name}: {number} pictures on test are on dev in {other}")
    return found


def record(manifest: dict[str, Any], definitions: list[Definition]) -> None:
    """Write the data digests of a manifest into the definitions' `sha256`.

    Raises UserError for a benchmark without a file of its own: its digest belongs into a study's config.
    """
    for definition in definitions:
        if definition.path.stem != definition.name:
            raise UserError(
                f"benchmark {definition.name} has no file of its own: pin the"
                " sha256 of its TSV in the study's config instead."
            )
        own = {
            key.partition("/")[2]: value
            for key, value in manifest["data"].items()
            if key.partition("/")[0] == definition.name
        }
        kept = definition.path.read_text(encoding="utf-8").partition("sha256:")[0]
        block = yaml.safe_dump({"sha256": {**definition.sha256, **own}}, sort_keys=True)
        with atomic_write(definition.path) as temporary:
            temporary.write_text(kept + block, encoding="utf-8")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time writes a folder; the system releases the lock however a process ends."""
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


def _read(folder: Path, split: str, name: str, files: dict[str, str]) -> list[Item]:
    path = folder / split / f"{name}.jsonl"
    expected = files.get(f"{split}/{name}.jsonl")
    if expected is None or not path.is_file():
        raise UserError(f"{folder} has no items of benchmark {name} on split '{split}': {AGAIN}.")
    if sha256_file(path) != expected:
        raise UserError(f"{path} was changed after it was written (its sha256 is another): {AGAIN}.")
    items = []
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        row["message"], row["images"] = tuple(row["message"]), tuple(row["images"])
        items.append(Item(**row, folder=folder))
    return items


def _verify(definition: Definition, label: str, digest: str) -> None:
    expected = definition.sha256.get(label)
    if expected is not None and expected != digest:
        raise UserError(
            f"{definition.path}: the data of {label} have sha256 {digest[:12]}..., not {expected[:12]}...:"
            " restore the world and the questions, or record the new data (--record) and raise `version`."
        )


def _json(text: str, option: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
        if isinstance(value, dict):
            return value
    except ValueError:
        pass
    raise UserError(f'{option} must be JSON like {{"key": value}}, not {text!r}.')


@reported()
def main(
    benchmarks: Annotated[str, typer.Option(help="names, separated by commas, or a JSON list")],
    splits: Annotated[str, typer.Option(help='questions per split as JSON: {"dev": 150, "test": "all"}')],
    out: Annotated[Path, typer.Option(help="the items folder")],
    seed: Annotated[int, typer.Option(help="another seed, other questions")] = 0,
    model: Annotated[Path | None, typer.Option(help="V's folder, whose family writes the prompts")] = None,
    data: Annotated[Path | None, typer.Option(help="the folder with published TSVs")] = None,
    prompting: Annotated[str, typer.Option(help="what differs from the family's rules, as JSON")] = "{}",
    record_hashes: Annotated[
        bool, typer.Option("--record", help="write the data's digests into the definitions")
    ] = False,
) -> None:
    """Write the items of benchmarks, and the TSVs that VLMEvalKit reads."""
    definitions = find_all(benchmarks)
    if record_hashes:
        definitions = [d.model_copy(update={"sha256": {}}) for d in definitions]
    wanted, overrides = _json(splits, "--splits"), _json(prompting, "--prompting")
    if not wanted or not all(type(n) is int or n == "all" for n in wanted.values()):
        raise UserError(f'--splits must be JSON like {{"dev": 150, "test": "all"}}, not {splits!r}.')
    if overrides and model is None:
        raise UserError("--prompting changes the rules of a model's family: give --model too.")
    family = None
    if model is not None:
        from benchmarks.families import family_of

        family = family_of(model, **overrides)
    manifest = write(out, definitions, wanted, seed, data=data, family=family)
    if record_hashes:
        record(manifest, definitions)


if __name__ == "__main__":
    typer.run(main)
