"""Read questions from the hub's parquet files, two columns of them, and unpack the drawn pictures once.

A parquet file stores pictures in groups of a hundred or more: to show one, its whole group must be read. So
those that were drawn are written out as files, in one pass, into the cache folder; from there they are opened
one at a time as any others (`datasets` would copy the whole mirror into its cache first). The chunks of other
columns, labels among them, are never read.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import repeat
from pathlib import Path

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
    """Read one row for every question, in the order of the files.

    A picture is named as stored with it, or by its file and row. Raises UserError for an
    unreadable file and for one without pictures or questions.
    """
    result = []
    for shard in shards:
        with _open(shard) as file:
            stored = f"{IMAGE}.path" in _columns(file)
            table = file.read(columns=[QUESTION, *([f"{IMAGE}.path"] if stored else [])])
        names = [(image or {}).get("path") for image in table[IMAGE].to_pylist()] if stored else repeat(None)
        for position, (name, question) in enumerate(zip(names, table[QUESTION].to_pylist(), strict=False)):
            result.append(CalibrationRow(name or f"{shard.name}:{position}", (question or "").strip()))
    return result


def unpack(shards: Sequence[Path], chosen: Sequence[int]) -> list[Path]:
    """Write the pictures of the rows at these positions into the cache folder, unless they are there.

    Returns their files. Raises UserError for a row without a picture and when the cache cannot be written.
    """
    states = [read_file_state(shard).key for shard in shards]
    key = hashlib.sha256(repr((states, sorted(chosen))).encode()).hexdigest()[:16]
    folder = cache_folder() / "calibration" / key
    if not (folder / _DONE).exists():
        with Progress("unpacking pictures", len(chosen), "pictures") as progress:
            for position, content in _pictures(shards, set(chosen)):
                _write(folder / f"{position:06}.image", content)
                progress.advance(1)
        with atomic_write(folder / _DONE) as temporary:
            temporary.touch()
    return [folder / f"{position:06}.image" for position in chosen]


def _pictures(shards: Sequence[Path], wanted: set[int]) -> Iterator[tuple[int, bytes]]:
    """Yield positions and encoded pictures, in the order of the files, one group in memory at a time."""
    start = 0
    for shard in shards:
        with _open(shard) as file:
            for group in range(file.num_row_groups):
                positions = range(start, start + file.metadata.row_group(group).num_rows)
                start = positions.stop
                if wanted.isdisjoint(positions):
                    continue
                images = file.read_row_group(group, columns=[f"{IMAGE}.bytes"])[IMAGE]
                for position, image in zip(positions, images, strict=True):
                    if position in wanted:
                        content = (image.as_py() or {}).get("bytes")
                        if not content:
                            raise UserError(f"{shard} has no picture in row {position}: fetch it again.")
                        yield position, content


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, unsynchronised: the marker says later that all are there."""
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


@contextmanager
def _open(shard: Path) -> Iterator[pq.ParquetFile]:
    """Yield a file with both columns; what goes wrong while it is open is an error of that file."""
    try:
        with pq.ParquetFile(shard) as file:
            for name in (QUESTION, f"{IMAGE}.bytes"):
                if name not in _columns(file):
                    raise UserError(
                        f"{shard} has no column '{name}': name a data set of questions on pictures."
                    )
            yield file
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"cannot read {shard} ({reason}): fetch it again.") from error


def _columns(file: pq.ParquetFile) -> set[str]:
    return {file.schema.column(i).path for i in range(len(file.schema))}
