"""Keep what `frism across` reads of a finished study in one small file, and read it back.

Answers, pictures and spectra stay behind: a study of some hundred megabytes becomes a few hundred kilobytes
that can be committed, and the population's tables can be made again long after its checkpoints are gone.
"""

import json
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.study.config import StudyConfig
from benchmarks.study.layout import RECORD
from frism.errors import UserError, explain_exhaustion, find_reason
from frism.files import atomic_write, read_json

SUFFIX = ".zip"
VECTORS = "task_vectors.json"  # what was measured of the checkpoints, which are not in the archive
PARTS = ("scores", "text", "variants", "tables")
REMEDY = "name a results folder, or an archive that `frism across --archive` wrote."
ANSWERS = ".jsonl"  # to dev questions, point by point: their scores are in tables
TEXTS = ["raw", "answer"]  # columns of scores
MOMENT = (1980, 1, 1, 0, 0, 0)  # of every file, so that the same study gives the same bytes


def write_archive(results: Path, vectors: Mapping[str, Any], out: Path) -> None:
    """Write a study's record, scores, choices and tables into the zip file `out`.

    Args:
        vectors: what `read_vectors` gives back: norms and angles of the study's task vectors.
    """
    paths = sorted(
        path for part in PARTS for path in (results / part).rglob("*")
        if path.is_file() and path.suffix != ANSWERS
    )  # fmt: skip
    tables = {f"scores/{variant}.csv" for variant in StudyConfig.read(results / RECORD).variants}
    with atomic_write(out) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        contents = {path.relative_to(results).as_posix(): path for path in [results / RECORD, *paths]}
        for name, path in contents.items():
            _add(archive, name, _drop_answers(path) if name in tables else path.read_bytes())
        _add(archive, VECTORS, json.dumps(vectors, indent=1).encode())


def _drop_answers(path: Path) -> bytes:
    """Read a table of scores without what was said, which is most of it where answers are long."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    return table.drop(columns=TEXTS, errors="ignore").to_csv(index=False, lineterminator="\n").encode()


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name, MOMENT), content, zipfile.ZIP_LZMA)


def read_vectors(results: Path) -> dict[str, float] | None:
    """Read what was measured of the checkpoints of an unpacked study; None for any other."""
    path = results / VECTORS
    return read_json(path) if path.is_file() else None


@contextmanager
def unpack_studies(given: Sequence[Path]) -> Iterator[dict[Path, Path]]:
    """Yield the results folder of each study given, by where it lies: as it is, or unpacked for the while.

    Raises UserError for a file that is no whole archive of a study.
    """
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for number, source in enumerate(given):
            if not source.is_file():
                found[source] = source
                continue
            found[source] = Path(folder) / str(number) / source.stem
            try:
                with zipfile.ZipFile(source) as archive:
                    archive.extractall(found[source])
            except Exception as error:  # zipfile's, lzma's and zlib's own types
                if explain_exhaustion(error) is not None:  # the machine's fault, not the archive's
                    raise
                raise UserError(
                    f"{source} is no archive of a study ({find_reason(error)}): {REMEDY}"
                ) from None
            if not (found[source] / RECORD).is_file():
                raise UserError(f"{source} holds no study: {REMEDY}")
        yield found
