"""Write an items folder with some of another's questions: the same items, the table without other rows."""

import csv
import os
from collections.abc import Sequence
from pathlib import Path

from benchmarks.questions.item import DEFINITIONS, read_definition
from benchmarks.questions.reading import MANIFEST, load_items
from benchmarks.questions.tsv import read_csv_rows
from frism.files import atomic_write, sha256_file, write_json


def restrict_items(whole: Path, folder: Path, split: str, benchmark: str, indices: Sequence[str]) -> None:
    """Write the items of `indices` of one benchmark into `folder`; pictures are linked to, not copied.

    Raises UserError for a folder that was changed, and when the disk refuses.
    """
    items, wanted = load_items(whole, split, [benchmark])[benchmark], set(indices)
    name = read_definition(items[0]).dataset
    lines = (whole / split / f"{benchmark}.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for item, line in zip(items, lines, strict=True) if item.index in wanted]
    jsonl, table = folder / split / f"{benchmark}.jsonl", folder / split / f"{name}.tsv"
    with atomic_write(jsonl) as temporary:
        temporary.write_text("".join(kept), encoding="utf-8")
    _filter_table(whole / split / f"{name}.tsv", table, wanted)
    pictures = folder / split / "images"
    if not pictures.is_symlink() and (whole / split / "images").is_dir():
        pictures.symlink_to(os.path.relpath(whole / split / "images", pictures.parent))
    with atomic_write(folder / DEFINITIONS) as temporary:
        temporary.write_bytes((whole / DEFINITIONS).read_bytes())
    manifest = {
        "subset_of": sha256_file(whole / MANIFEST),
        "questions": {benchmark: {split: len(kept)}},
        "files": {f"{split}/{path.name}": sha256_file(path) for path in (jsonl, table)},
    }
    write_json(folder / MANIFEST, manifest)


def _filter_table(source: Path, target: Path, wanted: set[str]) -> None:
    with (
        source.open("rb") as stream,
        atomic_write(target) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as written,
    ):
        rows = (cells for _, cells in read_csv_rows(stream, source))
        writer = csv.writer(written, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_ALL)
        header = next(rows)
        writer.writerow(header)
        writer.writerows(cells for cells in rows if cells[header.index("index")] in wanted)
