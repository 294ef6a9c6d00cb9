"""Recognise a file of predictions by its content, whatever its name, and read it."""

import csv
from pathlib import Path

from benchmarks.tools.foreign import lines, tables
from benchmarks.tools.foreign.answer import ForeignFile
from frism.errors import UserError
from frism.files import sha256_file

ACCEPTED = (
    "VLMEvalKit's xlsx or tsv, sample files of lm-eval or lmms-eval, or JSON lines"
    ' {"index": ..., "prediction": ...}'
)
PICKLES = (".pkl", ".pickle")


def read_file(path: Path, index_key: str | None = None) -> ForeignFile:
    """Read a file of predictions.

    Args:
        index_key: the field that holds the index, where it is not called so.

    Raises UserError for a pickle, which runs code when it is read, an unknown format, and a broken file.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(4096)
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror or error}): name a file.") from error
    if path.suffix in PICKLES or (head[:1] == b"\x80" and head[1:2] <= b"\x05"):
        raise UserError(
            f"{path} is a pickle, which may run any code when it is read: export a table instead"
            " (VLMEvalKit writes one with PRED_FORMAT=tsv or xlsx)."
        )
    digest = sha256_file(path)
    if head.startswith(b"PK\x03\x04"):
        return tables.read_workbook(path, digest, index_key)
    start = head.decode("utf-8-sig", errors="replace").lstrip()
    if start.startswith("{"):
        return lines.read_lines(path, digest, index_key)
    for separator in ("\t", ","):
        header = next(csv.reader(start.splitlines()[:1], delimiter=separator), [])
        if tables.ANSWER in header:
            return tables.read_text_table(path, separator, digest, index_key)
    raise UserError(f"{path} is no file of predictions that is known here: give {ACCEPTED}.")
