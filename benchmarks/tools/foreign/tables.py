"""Read VLMEvalKit's result files: a row per question, with the columns index, question and prediction."""

import math
import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.tools.foreign.answer import ForeignAnswer, ForeignFile
from frism.errors import UserError

INDEX, ANSWER = "index", "prediction"
LONGEST_CELL = 32_767  # characters that a cell of a workbook holds
_ESCAPED = re.compile(r"_x(00[01][0-9A-F]|FFF[EF])_")  # how writers put control characters
FAILED = "Failed to obtain answer"  # what VLMEvalKit writes where a server did not answer


def read_workbook(path: Path, sha256: str, index_key: str | None) -> ForeignFile:
    """Read an xlsx. Texts that begin with "=" are read as written, not as formulas and their results, and
    control characters as such.

    Raises UserError for a broken workbook, or one without the columns.
    """
    import pandas as pd

    try:
        frame = pd.read_excel(
            path, dtype=object, keep_default_na=False, na_values=[""], engine="openpyxl",
            engine_kwargs={"data_only": False},
        )  # fmt: skip
    except Exception as error:  # zipfile's, openpyxl's and pandas' own types
        raise UserError(f"{path} is no readable workbook ({error}): export it again.") from error
    frame = frame.map(_restore)
    return _make_file(path, "VLMEvalKit xlsx", sha256, frame.to_dict("records"), index_key)


def read_text_table(path: Path, separator: str, sha256: str, index_key: str | None) -> ForeignFile:
    """Read a tsv or csv; every cell is a text. Raises UserError for what is none, or lacks the columns."""
    import pandas as pd

    kind = "tsv" if separator == "\t" else "csv"
    try:
        frame = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is no readable {kind} ({error}): export it again.") from error
    return _make_file(path, f"VLMEvalKit {kind}", sha256, frame.to_dict("records"), index_key)


def _make_file(
    path: Path, kind: str, sha256: str, rows: list[dict[Hashable, Any]], index_key: str | None
) -> ForeignFile:
    key = index_key or INDEX
    for needed in (key, ANSWER):
        if rows and needed not in rows[0]:
            raise UserError(
                f"{path} has no column '{needed}' (there are: {', '.join(map(str, rows[0]))}):"
                " give VLMEvalKit's file of predictions, not of scores, or name the column (--index-key)."
            )
    answers = tuple(_make_answer(row, number, key) for number, row in enumerate(rows, 2))
    texts, notes = [answer.text for answer in answers], []
    if cut := sum(len(text) >= LONGEST_CELL for text in texts):
        notes.append(f"{cut} as long as a cell of a workbook can be, so probably cut (a tsv cuts nothing)")
    if empty := sum(not text for text in texts):
        notes.append(f"{empty} empty")
    if failed := sum(FAILED in text for text in texts):
        notes.append(f"{failed} that say '{FAILED}', which count as wrong")
    return ForeignFile(path, kind, sha256, answers, indexed=True, notes=tuple(notes))


def _make_answer(row: Mapping[Hashable, Any], number: int, key: str) -> ForeignAnswer:
    question = _read_text(row.get("question"))
    return ForeignAnswer(
        _read_text(row[ANSWER]), f"row {number}", {key: _read_text(row[key])}, None, question
    )


def _restore(cell: object) -> object:
    """Restore a text that the workbook holds in another form."""
    formula = getattr(cell, "text", None)  # what was written as {=...}
    if isinstance(formula, str):
        return f"{{{formula}}}"
    return _ESCAPED.sub(lambda m: chr(int(m[1], 16)), cell) if isinstance(cell, str) else cell


def _read_text(cell: object) -> str:
    """Read a cell as text; "" for an empty one."""
    return "" if cell is None or (isinstance(cell, float) and math.isnan(cell)) else str(cell)
