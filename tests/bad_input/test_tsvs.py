"""Tables of questions: damaged TSVs, hostile cells and pictures, through VLMEvalKit's own classes."""

import base64
import csv
import io
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import strategies as st
from PIL import Image

from benchmarks.questions import reading, tsv, writing
from benchmarks.questions.item import Item
from benchmarks.questions.unanswerable import UnanswerableError
from benchmarks.registry.lookup import find
from tests.bad_input.conftest import Refusal, Try, attempt
from tests.bad_input.damage import HOSTILE, contents, texts
from tests.support import tsvs

TABLES = ["MMStar", "MMMU_DEV_VAL", "MathVista_MINI"]
CELLS = [*HOSTILE, "[]", "['a']", "['a', 'b'", "[" * 50_000, "['" + "x" * 200 + "']",
"[__import__('os').system('touch hacked')]",
         "[1, 2]", "[b'x']", "[['a']]", "{'a': 1}", "1" * 64, "1" * 65, "<image 1>", "<image 99>",
         "<image 0>", "A" * 100]  # fmt: skip


def write(rows: list[dict[str, Any]], path: Path) -> None:
    """Write rows as a TSV, whatever their cells."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, restval="", delimiter="\t", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path.write_bytes(stream.getvalue().encode("utf-8", errors="surrogatepass"))


@st.composite
def tables(draw: st.DrawFn, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of which some have another cell, are missing or there twice; columns renamed or left out."""
    changed = [dict(row) for row in rows]
    for _ in range(draw(st.integers(1, 3))):
        if not changed:
            break
        row = draw(st.sampled_from(changed))
        if not row:
            continue
        column = draw(st.sampled_from(sorted(row)))
        how = draw(
            st.sampled_from(["cell", "cell", "cell", "drop row", "double row", "drop column", "rename"])
        )
        if how == "cell":
            row[column] = draw(st.sampled_from(CELLS) | texts)
        elif how == "drop row":
            changed.remove(row)
        elif how == "double row":
            changed.append(dict(row))
        else:
            name = draw(texts.filter(lambda text: "\ud800" not in text))
            for other in changed:
                value = other.pop(column, "")
                if how == "rename":
                    other[name] = value
    return changed


def test_a_damaged_table_is_refused_or_read_as_pandas_reads_it(try_cases: Try, tmp_path: Path) -> None:
    path = tsvs.make("MMStar", tmp_path, 4)
    whole = path.read_bytes()
    rows = tsvs.read(path)
    raw = tmp_path / "raw.tsv"

    def check(content: bytes) -> None:
        path.write_bytes(content)
        table = attempt(lambda: tsv.read_table(path), path)
        if isinstance(table, Refusal):
            return
        frame = table.frame
        expected = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, quoting=csv.QUOTE_MINIMAL)
        assert [str(value) for value in expected["question"]] == [
            "" if value != value else str(value) for value in frame["question"]
        ]
        for position, cell in enumerate(frame.get("image", [])):
            if isinstance(cell, str):
                pictures = attempt(lambda cell=cell: table.pictures(cell), path)
                shared = table._shared.get(position, position)
                if isinstance(pictures, str) and not isinstance(pictures, Refusal):
                    assert pictures == expected["image"].iloc[shared]

    def as_file(changed: list[dict[str, Any]]) -> bytes:
        write(changed, raw)
        return raw.read_bytes()

    odd = [b"", b"\n", b"index\n", b"index\tquestion\n", b"index\tquestion\n1\n", b"\xff\xfei\0n\0",
    b"\0" * 50, whole * 2,
           b'index\tquestion\n1\t"' + b"x" * 100_000, b"index\tindex\tquestion\n1\t2\tx\n",
           b"\xef\xbb\xbfindex\tquestion\n1\tx\n",
           b"index\tquestion\r1\tx\r", b"question\tindex\n", b"index\tquestion\timage\n1\tx\t1\n",
           b"index\tquestion\n1\t\0\n"]  # fmt: skip
    try_cases(tables(rows).map(as_file) | contents(whole) | st.sampled_from(odd), check, few=60)


@pytest.mark.parametrize("name", TABLES)
def test_damaged_tables_are_asked_or_refused(name: str, try_cases: Try, tmp_path: Path) -> None:
    """Through VLMEvalKit's class into items: nothing runs, no picture leaves the folder, answers are kept."""
    path = tsvs.make(name, tmp_path / "data", 4)
    rows = tsvs.read(path)
    folder = tmp_path / "items"

    def check(changed: list[dict[str, Any]]) -> None:
        write(changed, path)
        definition = find(tsvs.pinned(path))

        def make() -> list[Item]:
            writing.write_items(folder, [definition], {"test": "all"}, data=path.parent, tolerant=True)
            return reading.load_items(folder, "test", name)[name]

        items = attempt(make, path, folder, path.parent, name)
        for item in [] if isinstance(items, Refusal) else items:
            with suppress(UnanswerableError):
                attempt(item.pictures, folder)
            for part in item.message:
                assert part["type"] != "image" or (folder / part["value"]).resolve().is_relative_to(folder)
        assert not list(tmp_path.rglob("hacked")) and not Path("hacked").exists()
        outside = {p.name for p in tmp_path.iterdir()} - {"data", "items", "cache"}
        assert not outside, outside

    try_cases(tables(rows), check, few=12)


def encode(image: Image.Image, kind: str, **how: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **how)
    return stream.getvalue()


def test_damaged_pictures_are_refused_counted_or_shown(try_cases: Try, tmp_path: Path) -> None:
    path = tsvs.make("MMStar", tmp_path / "data", 1)
    (row,) = tsvs.read(path)
    folder = tmp_path / "items"
    kinds = [
        encode(Image.new("RGB", (9, 7), "red"), "PNG"), encode(Image.new("P", (9, 7)), "GIF"),
        encode(Image.new("I;16", (5, 5), 70), "PNG"), encode(Image.new("RGB", (9, 7)), "JPEG"),
        encode(Image.new("RGBA", (3, 3)), "WEBP"),
        encode(Image.new("RGB", (9, 7)), "TIFF"),
    ]  # fmt: skip

    def check(content: bytes) -> None:
        write([{**row, "image": base64.b64encode(content).decode()}], path)

        def make() -> Any:
            writing.write_items(
                folder, [find(tsvs.pinned(path))], {"test": "all"}, data=path.parent, tolerant=True
            )
            return [
                image.size
                for item in reading.load_items(folder, "test", "MMStar")["MMStar"]
                for image in item.pictures()
            ]

        sizes = attempt(make, path, folder, "MMStar")
        assert isinstance(sizes, Refusal) or all(size <= (20_000, 20_000) for size in sizes)

    try_cases(st.sampled_from(kinds).flatmap(contents), check, few=25)
