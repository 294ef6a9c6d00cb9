"""Questions in the hub's parquet files: two columns are read, and the drawn pictures unpacked once.

A parquet file stores pictures in groups of a hundred or more: to show one, its whole group must be read. So
those that were drawn are written out as files, in one pass, into the cache folder; from there they are opened
one at a time as any others. The chunks of other columns, labels among them, are never read.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.calibration.question_tables import IMAGE, QUESTION
from benchmarks.calibration.source import CalibrationRow
from frism.cache import cache_folder, read_file_state
from frism.errors import UserError
from frism.files import atomic_write, explain_refusal
from frism.progress import Progress

_DONE = "complete"


def rows(shards: Sequence[Path]) -> list[CalibrationRow]:
    """One row for every question, in the order of the files.

    A picture is called by the name that is stored with it, or by its file and place. Raises UserError for an
    unreadable file and for one without pictures or questions.
    """
    found = []
    for shard in shards:
        with _opened(shard) as file:
            named = f"{IMAGE}.path" in _columns(file)
            columns = [QUESTION, *([f"{IMAGE}.path"] if named else [])]
            table = _read(shard, lambda file=file, columns=columns: file.read(columns=columns))
            names = [(image or {}).get("path") for image in table[IMAGE].to_pylist()] if named else []
            for place, question in enumerate(table[QUESTION].to_pylist()):
                name = names[place] if named else None
                found.append(CalibrationRow(name or f"{shard.name}:{place}", (question or "").strip()))
    return found


def unpacked(shards: Sequence[Path], chosen: Sequence[int]) -> list[Path]:
    """The pictures of the rows at these positions, as files in the cache folder; written where they are not.

    Raises UserError for a row without a picture and when the cache cannot be written.
    """
    states = [read_file_state(shard).key for shard in shards]
    key = hashlib.sha256(repr((states, sorted(chosen))).encode()).hexdigest()[:16]
    folder = cache_folder() / "calibration" / key
    files = [folder / f"{position:06}.image" for position in chosen]
    if not (folder / _DONE).exists():
        with Progress("unpacking pictures", len(chosen), "pictures") as progress:
            for position, content in _contents(shards, set(chosen)):
                _write(folder / f"{position:06}.image", content)
                progress.advance(1)
        with atomic_write(folder / _DONE) as temporary:
            temporary.touch()
    return files


def _contents(shards: Sequence[Path], wanted: set[int]) -> Iterator[tuple[int, bytes]]:
    """Positions and encoded pictures, in the order of the files, one group in memory at a time."""
    start = 0
    for shard in shards:
        with _opened(shard) as file:
            for group in range(file.num_row_groups):
                count = file.metadata.row_group(group).num_rows
                inside = [place for place in range(count) if start + place in wanted]
                if inside:
                    read = lambda f=file, g=group: f.read_row_group(g, columns=[f"{IMAGE}.bytes"])  # noqa: E731
                    images = _read(shard, read)[IMAGE]
                    for place in inside:
                        content = (images[place].as_py() or {}).get("bytes")
                        if not content:
                            raise UserError(f"{shard} has no picture in row {start + place}: fetch it again.")
                        yield start + place, content
                start += count


def _write(path: Path, content: bytes) -> None:
    """Whole or absent. Not synchronised one by one: the marker says later that all are there."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        raise explain_refusal(path, error) from error
    finally:
        with suppress(OSError):  # of a folder that could not be made
            temporary.unlink(missing_ok=True)


def _opened(shard: Path) -> pq.ParquetFile:
    file: pq.ParquetFile = _read(shard, lambda: pq.ParquetFile(shard))
    columns = _columns(file)
    for name in (QUESTION, f"{IMAGE}.bytes"):
        if name not in columns:
            file.close()
            raise UserError(f"{shard} has no column '{name}': it is no data set of questions on pictures.")
    return file


def _columns(file: pq.ParquetFile) -> set[str]:
    return {file.schema.column(i).path for i in range(len(file.schema))}


def _read(shard: Path, how: Any) -> Any:
    try:
        return how()
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"cannot read {shard} ({reason}): fetch it again.") from error
