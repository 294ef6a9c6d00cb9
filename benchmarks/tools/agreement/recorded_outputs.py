"""Read recorded outputs: per source a table of questions, and what models said with a reference judgement.

A folder holds NAME.outputs.jsonl, a line per output: model, index, raw, reference_correct,
reference_extracted; beside it NAME.tsv with the questions in VLMEvalKit's columns, or NAME.questions.jsonl
(index, problem, answer), or neither for a data set of lm-eval's mirror.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from frism.errors import UserError

ENDING = ".outputs.jsonl"
FIELDS = ("model", "index", "raw", "reference_correct", "reference_extracted")


@dataclass(frozen=True)
class RecordedSource:
    """One source: outputs of several models to the same questions.

    Attributes:
        table: NAME.tsv, where the questions are on pictures.
        questions: NAME.questions.jsonl, where they are text alone.
    """

    name: str
    outputs: Path
    table: Path | None
    questions: Path | None

    @cached_property
    def rows(self) -> pd.DataFrame:
        """The outputs, in the file's order (FIELDS). Raises UserError for a line without one of them."""
        lines = self.outputs.read_text(encoding="utf-8").splitlines()
        try:
            records = [json.loads(line) for line in lines if line.strip()]
            frame = pd.DataFrame(
                [[record[field] for field in FIELDS] for record in records], columns=list(FIELDS)
            )
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{self.outputs} is no list of recorded outputs ({error}): a line needs {', '.join(FIELDS)}."
            ) from None
        if frame.duplicated(["model", "index"]).any():
            raise UserError(f"{self.outputs} has two outputs of one model to one question: keep one.")
        return frame.astype({"index": str, "raw": str, "reference_correct": object})


def list_sources(folder: Path) -> list[RecordedSource]:
    """List the sources of a folder, by name. Raises UserError when there are none."""

    def beside(name: str, ending: str) -> Path | None:
        return path if (path := folder / f"{name}{ending}").is_file() else None

    names = [path.name.removesuffix(ENDING) for path in sorted(folder.glob(f"*{ENDING}"))]
    if not names:
        raise UserError(f"{folder} holds no NAME{ENDING}: name a folder with recorded outputs.")
    return [
        RecordedSource(
            name, folder / f"{name}{ENDING}", beside(name, ".tsv"), beside(name, ".questions.jsonl")
        )
        for name in names
    ]
