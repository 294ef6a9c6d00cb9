"""Items: every question with its pictures and prompt as VLMEvalKit builds them, in files that stages share.

python -m benchmarks.items --benchmarks a,b --splits '{"dev": 150, "test": 400}' --seed 0 --out FOLDER
writes FOLDER/<split>/<benchmark>.jsonl, the TSVs and pictures beside them, and FOLDER/manifest.json.
"""

import hashlib
import io
import json
import shutil
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from PIL import Image

from benchmarks.progress import Progress
from benchmarks.registry import Definition, find_all
from frism.errors import UserError, reported
from frism.files import atomic_write, read_json, sha256_file

MANIFEST = "manifest.json"
AGAIN = "run python -m benchmarks.items again"


@dataclass(frozen=True)
class Item:
    """One question.

    Attributes:
        message: VLMEvalKit's parts, {"type": "image" | "text", "value": ...}; a picture's value is its
            path in the items folder.
        images: a digest per picture (see `picture_digest`).
        folder: the items folder.
    """

    benchmark: str
    split: str
    index: str
    message: tuple[dict[str, str], ...]
    answer: str
    images: tuple[str, ...]
    folder: Path

    @cached_property
    def content(self) -> str:
        """16 hex digits for what a model gets: benchmark, index, texts and pictures; not the answer."""
        pictures = iter(self.images)
        parts = [next(pictures) if part["type"] == "image" else part["value"] for part in self.message]
        return _digest([self.benchmark, self.split, self.index, *parts])[:16]

    def pictures(self) -> list[Image.Image]:
        """The item's pictures, RGB. Raises UserError when one is missing or not the one described."""
        found = []
        for part, digest in zip((p for p in self.message if p["type"] == "image"), self.images, strict=True):
            path = self.folder / part["value"]
            try:
                content = path.read_bytes()
            except OSError as error:
                raise UserError(f"cannot read {path} ({error.strerror or error}): {AGAIN}.") from error
            if picture_digest(content) != digest:
                raise UserError(f"{path} is not the picture that the question was made with: {AGAIN}.")
            found.append(Image.open(io.BytesIO(content)).convert("RGB"))
        return found


def picture_digest(content: bytes) -> str:
    """16 hex digits of a picture: a PNG's pixels (compressors differ), another file's bytes."""
    try:
        image = Image.open(io.BytesIO(content))
        if image.format == "PNG":
            head = f"{image.mode} {image.size} ".encode()
            return hashlib.sha256(head + image.tobytes()).hexdigest()[:16]
    except (OSError, ValueError):
        pass  # whatever it is, its bytes identify it
    return hashlib.sha256(content).hexdigest()[:16]


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
    folder: str | Path, definitions: list[Definition], splits: dict[str, int], seed: int = 0
) -> dict[str, Any]:
    """Write the items of every benchmark and split; return the manifest.

    The folder's former items vanish first, so that no picture of another run survives under its number.
    Raises UserError when it cannot be written, or when the data are not those of a definition's sha256.
    """
    from benchmarks import vlmevalkit
    from benchmarks.miniature import suites

    folder = Path(folder)
    for split, n in splits.items():
        if n < 1:
            raise UserError(f"split '{split}' asks for {n} questions: ask for at least one.")
    _clear(folder, splits)
    files: dict[str, str] = {}
    data: dict[str, str] = {}
    with Progress("items", len(splits) * len(definitions)) as progress:
        for split, n in splits.items():
            for definition in definitions:
                tsv = folder / split / f"{definition.dataset}.tsv"
                suites.write_tsv(definition, split, n, seed, tsv)
                prompts = list(vlmevalkit.prompts(vlmevalkit.build(definition, folder / split)))
                items = [_item(folder, definition.name, split, *prompt) for prompt in prompts]
                jsonl = folder / split / f"{definition.name}.jsonl"
                with atomic_write(jsonl) as temporary:
                    temporary.write_text("".join(_line(item) for item in items), encoding="utf-8")
                label = f"{split}-{n}-seed{seed}"
                digest = _digest([[i.content, i.answer] for i in items])
                _verify(definition, label, digest)
                data[f"{definition.name}/{label}"] = digest
                files |= {str(f.relative_to(folder)): sha256_file(f) for f in (tsv, jsonl)}
                progress.advance()
    manifest = {
        "splits": splits,
        "seed": seed,
        "benchmarks": {d.name: d.version for d in definitions},
        "vlmeval": vlmevalkit.version(),
        "data": data,
        "files": files,
    }
    with atomic_write(folder / MANIFEST) as temporary:
        temporary.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return manifest


def record(manifest: dict[str, Any], definitions: list[Definition]) -> None:
    """Write the data digests of a manifest into the definitions' `sha256`."""
    for definition in definitions:
        own = {
            key.partition("/")[2]: value
            for key, value in manifest["data"].items()
            if key.partition("/")[0] == definition.name
        }
        kept = definition.path.read_text(encoding="utf-8").partition("sha256:")[0]
        block = yaml.safe_dump({"sha256": {**definition.sha256, **own}}, sort_keys=True)
        with atomic_write(definition.path) as temporary:
            temporary.write_text(kept + block, encoding="utf-8")


def _clear(folder: Path, splits: dict[str, int]) -> None:
    try:
        (folder / MANIFEST).unlink(missing_ok=True)
        for name in (*splits, "prepared"):
            if (folder / name).is_dir():
                shutil.rmtree(folder / name)
        for split in splits:
            (folder / split).mkdir(parents=True)
    except OSError as error:
        raise UserError(
            f"cannot write {folder} ({error.strerror or error}): choose a folder that you may write to."
        ) from error


def _item(
    folder: Path, benchmark: str, split: str, index: str, message: list[dict[str, str]], answer: str
) -> Item:
    parts, images = [], []
    for part in message:
        if part["type"] == "image":
            path = Path(part["value"])
            images.append(picture_digest(path.read_bytes()))
            part = {"type": "image", "value": str(path.relative_to(folder.resolve()))}
        parts.append(part)
    return Item(benchmark, split, index, tuple(parts), answer, tuple(images), folder)


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
        parts, images = tuple(row["message"]), tuple(row["images"])
        items.append(Item(row["benchmark"], row["split"], row["index"], parts, row["answer"], images, folder))
    return items


def _verify(definition: Definition, label: str, digest: str) -> None:
    expected = definition.sha256.get(label)
    if expected is not None and expected != digest:
        raise UserError(
            f"{definition.path}: the data of {label} have sha256 {digest[:12]}..., not {expected[:12]}...:"
            " restore the world and the questions, or record the new data (--record) and raise `version`."
        )


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, ensure_ascii=False).encode()).hexdigest()


@reported()
def main(
    benchmarks: Annotated[str, typer.Option(help="names, separated by commas")],
    splits: Annotated[str, typer.Option(help='questions per split as JSON: {"dev": 150, "test": 400}')],
    out: Annotated[Path, typer.Option(help="the items folder")],
    seed: Annotated[int, typer.Option(help="another seed, other questions")] = 0,
    record_hashes: Annotated[
        bool, typer.Option("--record", help="write the data's digests into the definitions")
    ] = False,
) -> None:
    """Write the items of benchmarks, and the TSVs that VLMEvalKit reads."""
    definitions = find_all(benchmarks)
    if record_hashes:
        definitions = [d.model_copy(update={"sha256": {}}) for d in definitions]
    try:
        wanted = json.loads(splits)
        if not isinstance(wanted, dict) or not all(type(n) is int for n in wanted.values()):
            raise ValueError
    except ValueError:
        raise UserError(f'--splits must be JSON like {{"dev": 150}}, not {splits!r}.') from None
    manifest = write(out, definitions, wanted, seed)
    if record_hashes:
        record(manifest, definitions)


if __name__ == "__main__":
    typer.run(main)
