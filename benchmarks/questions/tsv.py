"""VLMEvalKit's TSVs read without holding their pictures: texts at once, one row's pictures when asked for.

A cell of the column `image` is a picture in base64, a list of them, or the index of the row whose pictures
it shares. Files of a gigabyte are common; here a row's place in the file stands for its pictures.
"""

import ast
import csv
import hashlib
import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from frism.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

REFERENCE = 64  # VLMEvalKit takes up to 64 characters for the index of another row


@dataclass
class Table:
    """A TSV on disk.

    Attributes:
        frame: every column, as VLMEvalKit's readers type them, texts left as they are; `image` holds a
            stand-in that `pictures` understands, and nothing where the file has nothing.
        prints: per row, 16 hex digits of its pictures as the file has them; "" without. Rows on the same
            pictures have the same.
    """

    path: Path
    frame: "pd.DataFrame"
    prints: list[str] = field(default_factory=list)
    _starts: list[int] = field(default_factory=list)
    _shared: dict[int, int] = field(default_factory=dict)  # a row, and the row whose pictures it shares
    _column: int = -1

    def pictures(self, stand_in: str) -> str | list[str]:
        """The pictures, base64, that a cell of `frame["image"]` stands for: one, or a list."""
        row = int(stand_in.split()[3])
        with self.path.open("rb") as stream:
            stream.seek(self._starts[self._shared.get(row, row)])
            cell = next(csv.reader(_lines(stream, self.path, []), delimiter="\t"))[self._column]
        cells = _parts(cell)
        return cells[0] if len(cells) == 1 else cells


def read(path: str | Path) -> Table:
    """Read a TSV. Raises UserError when it is missing or broken, or lacks `index` or `question`."""
    path = Path(path)
    csv.field_size_limit(sys.maxsize)
    try:
        with path.open("rb") as stream:
            return _read(path, csv_rows(stream, path))
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror or error}): put the file there.") from error


def csv_rows(stream: io.BufferedReader, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Where each row begins, in bytes, and its cells. Raises UserError for what is no TSV in UTF-8."""
    place = [0]
    rows = csv.reader(_lines(stream, path, place), delimiter="\t")
    while True:
        start = place[0]
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            raise UserError(f"{path}, line {rows.line_num}: {error}: fetch the file again.") from error
        if cells:
            yield start, cells


def _lines(stream: io.BufferedReader, path: Path, place: list[int]) -> Iterator[str]:
    """The lines as text; `place`, when it has an entry, counts the bytes handed out."""
    for raw in stream:
        if place:
            place[0] += len(raw)
        try:
            yield raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise UserError(f"{path} is not UTF-8 text ({error.reason}): fetch the file again.") from error


def _read(path: Path, rows: Iterator[tuple[int, list[str]]]) -> Table:
    import pandas as pd

    from benchmarks.vlmevalkit.loading import TEXTS

    _, header = next(rows, (0, []))
    for needed in ("index", "question"):
        if needed not in header:
            raise UserError(f"{path} has no column '{needed}': it is not a table of VLMEvalKit.")
    column, key = (header.index("image") if "image" in header else -1), header.index("index")
    texts, table = io.StringIO(), Table(path, None, _column=column)
    writer = csv.writer(texts, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(header)
    numbers: dict[str, int] = {}
    references: dict[int, str] = {}
    for row, (start, cells) in enumerate(rows):
        if len(cells) != len(header):
            raise UserError(
                f"{path}: row {row + 1} has {len(cells)} columns, not {len(header)}: fetch the file again."
            )
        if numbers.setdefault(cells[key], row) != row:
            raise UserError(f"{path}: the index '{cells[key]}' occurs twice: correct the table.")
        picture = cells[column] if column >= 0 else ""
        if 0 < len(picture) <= REFERENCE:
            references[row] = picture
        if column >= 0:
            cells[column] = f"pictures of row {row} ".ljust(REFERENCE + 8, ".") if picture else ""
        table._starts.append(start)
        table.prints.append(hashlib.sha256(picture.encode()).hexdigest()[:16] if picture else "")
        writer.writerow(cells)
    for row, target in references.items():
        shared = numbers.get(target)
        if shared is None or shared in references or not table.prints[shared]:
            raise UserError(f"{path}: row {row + 1} has the pictures of '{target}', which has none.")
        table._shared[row], table.prints[row] = shared, table.prints[shared]
    texts.seek(0)
    # As `vlmevalkit.build` reads the tables of an items folder.
    table.frame = pd.read_csv(
        texts, sep="\t", converters=dict.fromkeys(TEXTS, str), keep_default_na=False, na_values=[""]
    )
    return table


def _parts(cell: str) -> list[str]:
    """One picture or, from "['...', '...']", several; VLMEvalKit evaluates the cell as Python."""
    if cell.startswith("[") and cell.endswith("]"):
        return [str(part) for part in ast.literal_eval(cell)]
    return [cell]
