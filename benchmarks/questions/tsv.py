"""Read VLMEvalKit's TSVs without holding their pictures: all texts at once, one row's pictures on demand.

A cell of the column `image` is a picture in base64, a list of them, or the index of the row whose pictures
it shares. Files of a gigabyte are common; here a row's place in the file stands for its pictures.
"""

import ast
import csv
import hashlib
import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from frism.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

REFERENCE = 64  # VLMEvalKit takes up to 64 characters for the index of another row


@dataclass
class Table:
    """Hold a TSV without its pictures.

    Attributes:
        frame: every column, as VLMEvalKit's readers type them, texts left as they are; `image` holds a
            stand-in that `pictures` understands, and nothing where the file has nothing.
        picture_digests: per row, 16 hex digits of its pictures as the file has them; "" without. Rows on
            the same pictures have the same digest.
    """

    path: Path
    frame: "pd.DataFrame"
    picture_digests: list[str]
    _offsets: list[int]  # of every row, in bytes
    _shared: dict[int, int]  # a row, and the row whose pictures it shares
    _column: int  # of `image`; -1 without

    def pictures(self, stand_in: str) -> str | list[str]:
        """Read the pictures, base64, that a cell of `frame["image"]` stands for: one, or a list."""
        row = int(stand_in.split()[3])
        with self.path.open("rb") as stream:
            stream.seek(self._offsets[self._shared.get(row, row)])
            cell = next(csv.reader(_read_lines(stream, self.path, [0]), delimiter="\t"))[self._column]
        cells = split_cell(cell, f"{self.path}: row {row + 1}")
        return cells[0] if len(cells) == 1 else cells


def read_table(path: str | Path) -> Table:
    """Read a TSV. Raises UserError when it is missing or broken, or lacks `index` or `question`."""
    path = Path(path)
    csv.field_size_limit(sys.maxsize)
    try:
        with path.open("rb") as stream:
            return _read(path, read_csv_rows(stream, path))
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror or error}): put the file there.") from error


def read_csv_rows(stream: io.BufferedReader, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield each row's offset in bytes and its cells. Raises UserError for what is no TSV in UTF-8."""
    offset, last = [0], 0
    rows = csv.reader(_read_lines(stream, path, offset), delimiter="\t")
    while True:
        start = offset[0]
        try:
            cells = next(rows)
        except StopIteration:
            _check_end(stream, path, last)
            return
        except csv.Error as error:
            raise UserError(f"{path}, line {rows.line_num}: {error}: fetch the file again.") from error
        last = start
        if cells:
            yield start, cells


def _check_end(stream: io.BufferedReader, path: Path, last: int) -> None:
    """Raise UserError for a file that was cut inside a quoted cell, which Python's reader takes as closed."""
    stream.seek(last)
    text = stream.read().decode("utf-8", errors="replace")
    try:
        for _ in csv.reader(io.StringIO(text, newline=""), delimiter="\t", strict=True):
            pass
    except csv.Error as error:
        if "unexpected end of data" in str(error):
            raise UserError(f"{path} ends inside a cell in quotes: fetch the file again.") from error


def _read_lines(stream: io.BufferedReader, path: Path, offset: list[int]) -> Iterator[str]:
    """Yield the lines as text; `offset`, of one entry, counts the bytes handed out."""
    for raw in stream:
        first = offset[0] == 0
        offset[0] += len(raw)
        try:
            # Some editors begin a file with a byte order mark, which is no part of the first column's name.
            yield raw.decode("utf-8-sig" if first else "utf-8")
        except UnicodeDecodeError as error:
            raise UserError(f"{path} is not UTF-8 text ({error.reason}): fetch the file again.") from error


def _read(path: Path, rows: Iterator[tuple[int, list[str]]]) -> Table:
    from benchmarks.vlmevalkit.loading import read_texts

    _, header = next(rows, (0, []))
    for needed in ("index", "question"):
        if needed not in header:
            raise UserError(f"{path} has no column '{needed}': put a TSV of VLMEvalKit there.")
    named = header.index("image_path") if "image_path" in header else -1
    column, key = (header.index("image") if "image" in header else -1), header.index("index")
    texts = io.StringIO()
    writer = csv.writer(texts, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(header)
    row_of: dict[str, int] = {}  # by index
    references: dict[int, str] = {}  # the index that a row names in place of pictures
    offsets, digests = list[int](), list[str]()
    for row, (start, cells) in enumerate(rows):
        if len(cells) != len(header):
            raise UserError(
                f"{path}: row {row + 1} has {len(cells)} columns, not {len(header)}: fetch the file again."
            )
        if not cells[key]:
            raise UserError(f"{path}: row {row + 1} has no index: give every row one of its own.")
        if row_of.setdefault(cells[key], row) != row:
            raise UserError(f"{path}: the index '{cells[key]}' occurs twice: correct the table.")
        picture = cells[column] if column >= 0 else ""
        if named >= 0:
            split_cell(cells[named], f"{path}: row {row + 1}")
        if 0 < len(picture) <= REFERENCE:
            references[row] = picture
        if column >= 0:
            cells[column] = f"pictures of row {row} ".ljust(REFERENCE + 8, ".") if picture else ""
        offsets.append(start)
        digests.append(hashlib.sha256(picture.encode()).hexdigest()[:16] if picture else "")
        writer.writerow(cells)
    shared: dict[int, int] = {}
    for row, target in references.items():
        source = row_of.get(target)
        if source is None or source in references or not digests[source]:
            raise UserError(
                f"{path}: row {row + 1} has the pictures of '{target}', which has none: fetch the file again."
            )
        shared[row], digests[row] = source, digests[source]
    texts.seek(0)
    frame = read_texts(texts)  # as `build_dataset` reads the tables of an items folder
    _check_indices(path, list(row_of), [str(index) for index in frame["index"]])
    return Table(path, frame, digests, offsets, shared, column)


def _check_indices(path: Path, written: Sequence[str], read: Sequence[str]) -> None:
    """Raise UserError for indices such as "1" and "01", which pandas and VLMEvalKit take for one number."""
    first: dict[str, str] = {}
    for text, index in zip(written, read, strict=True):
        if first.setdefault(index, text) != text:
            raise UserError(
                f"{path}: the indices '{first[index]}' and '{text}' are the same number to VLMEvalKit, which"
                " would show the picture of one for both: rename one."
            )


def split_cell(cell: str, where: str) -> list[str]:
    """Split a cell into its pictures: one, or several in "['...', '...']", which VLMEvalKit evaluates.

    Raises UserError, which begins with `where`, for a list that is none.
    """
    if not cell.startswith("[") and not cell.endswith("]"):
        return [cell]
    with suppress(SyntaxError, ValueError, MemoryError, RecursionError):
        parts = ast.literal_eval(cell)
        if isinstance(parts, list) and all(isinstance(part, str) for part in parts):
            return parts
    shown = cell if len(cell) <= 40 else f"{cell[:25]}...{cell[-10:]}"
    raise UserError(
        f"{where} has a broken list of pictures ({shown}): write it as ['...', '...'], each one in quotes."
    )
