"""Read tables of questions about pictures: columns `image` and `question`, and never another one.

What else a table holds may be answers or other labels. It is dropped while the file is being read, before it
could be converted, checked or even decoded: a broken label changes nothing.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.calibration.source import CalibrationRow
from frism.errors import UserError

IMAGE, QUESTION = "image", "question"
_BYTES = "surrogateescape"  # a stray byte in another column is no reason to fail


def read(path: Path) -> list[CalibrationRow]:
    """Read the rows of a .csv, .jsonl or .json file (a list of mappings); an absent question is empty.

    Raises UserError for another format, an unreadable file, a missing column `image`, and an empty name of
    a picture.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise UserError(f"{path} is no table of questions: give a {', '.join(READERS)} file.")
    try:
        rows = [_row(entry, path, number) for number, entry in enumerate(reader(path), start=1)]
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is no readable {path.suffix[1:]} file ({error}): restore it.") from error
    if not rows:
        raise UserError(f"{path} holds no question: add rows with {IMAGE} and {QUESTION}.")
    return rows


def _row(entry: object, path: Path, number: int) -> CalibrationRow:
    if not isinstance(entry, dict) or IMAGE not in entry:
        raise UserError(f"{path} has no '{IMAGE}' in entry {number}: every question names its picture there.")
    values = [entry[IMAGE], entry.get(QUESTION) or ""]
    for name, value in zip((IMAGE, QUESTION), values, strict=True):
        if not isinstance(value, str) or (name == IMAGE and not value.strip()):
            raise UserError(f"{path}: '{name}' of entry {number} must be a text, not {value!r}.")
        if any("\udc80" <= letter <= "\udcff" for letter in value):
            raise UserError(f"{path}: '{name}' of entry {number} is not UTF-8: convert the file.")
    return CalibrationRow(values[0].strip(), values[1].strip())


def _csv(path: Path) -> Iterator[object]:
    import pandas as pd

    frame = pd.read_csv(
        path, usecols=lambda column: column in (IMAGE, QUESTION), dtype=object, na_filter=False,
        encoding="utf-8-sig", encoding_errors=_BYTES,
    )  # fmt: skip
    if IMAGE not in frame:
        raise UserError(f"{path} has no column '{IMAGE}': add it, with the picture of every question.")
    yield from frame.to_dict("records")


def _json_lines(path: Path) -> Iterator[object]:
    with path.open(encoding="utf-8-sig", errors=_BYTES) as lines:
        for line in lines:
            if line.strip():
                yield _parsed(line)


def _json(path: Path) -> Iterator[object]:
    entries = _parsed(path.read_text(encoding="utf-8-sig", errors=_BYTES))
    if not isinstance(entries, list):
        raise UserError(f"{path} holds no list: write one mapping with {IMAGE} and {QUESTION} per question.")
    yield from entries


def _parsed(text: str) -> object:
    """Parse JSON, keeping the two columns of each mapping, and numbers as texts."""
    content: object = json.loads(
        text,
        object_pairs_hook=lambda pairs: {name: value for name, value in pairs if name in (IMAGE, QUESTION)},
        parse_int=str, parse_float=str, parse_constant=str,
    )  # fmt: skip
    return content


READERS: dict[str, Callable[[Path], Iterator[object]]] = {
    ".csv": _csv, ".jsonl": _json_lines, ".json": _json,
}  # fmt: skip
