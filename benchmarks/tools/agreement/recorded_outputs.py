"""Read recorded outputs: per source a table of questions, and what models said with a reference judgement.

A folder holds NAME.outputs.jsonl, a line per output: model, index, raw, reference_correct,
reference_extracted; beside it NAME.tsv with the questions in VLMEvalKit's columns, or NAME.questions.jsonl
(index, problem, answer), or neither for a data set of lm-eval's mirror.
"""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from frism.errors import UserError, describe_first_fault, suggest

ENDING = ".outputs.jsonl"


class RecordedOutput(BaseModel):
    """One line: what a model said to a question, and how others judged it.

    Attributes:
        reference_correct: null where nobody judged it; then the JSON field "answer" is compared.
        reference_extracted: what the reference read from it; empty where it read nothing, or does not say.
    """

    model_config = ConfigDict(coerce_numbers_to_str=True)
    model: str
    index: str
    raw: str
    reference_correct: bool | None = Field(strict=True)
    reference_extracted: str | None


class RecordedProblem(BaseModel):
    """One line of NAME.questions.jsonl: a problem in words with its gold answer, in LaTeX."""

    model_config = ConfigDict(coerce_numbers_to_str=True)
    index: str
    problem: str
    answer: str


_Line = TypeVar("_Line", RecordedOutput, RecordedProblem)


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
        """The outputs, in the file's order (RecordedOutput's fields).

        Raises UserError for a file without a line, a line that is none, and two lines of one output.
        """
        records: list[dict[str, Any]] = [
            line.model_dump() for line in _read_lines(self.outputs, RecordedOutput)
        ]
        if not records:
            raise UserError(f"{self.outputs} holds no output: delete it, or record some.")
        frame = pd.DataFrame(records).astype({"reference_correct": object, "reference_extracted": object})
        if (twice := frame.duplicated(["model", "index"])).any():
            model, index = frame.loc[twice, ["model", "index"]].iloc[0]
            raise UserError(f"{self.outputs} has two outputs of {model} to question {index}: keep one.")
        return frame

    @cached_property
    def problems(self) -> list[RecordedProblem]:
        """The problems of `questions`. Raises UserError as `rows`."""
        return list(_read_lines(self.questions, RecordedProblem)) if self.questions else []


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


def choose_sources(found: list[RecordedSource], wanted: Collection[str]) -> list[RecordedSource]:
    """Keep the sources that are wanted, all if none is. Raises UserError for a name that is not there."""
    names = [source.name for source in found]
    for name in wanted:
        if name not in names:
            folder = found[0].outputs.parent
            raise UserError(
                f"{folder} has no source '{name}' ({', '.join(names)}): choose among these."
                f"{suggest(name, names)}"
            )
    return [source for source in found if not wanted or source.name in wanted]


def _read_lines(path: Path, form: type[_Line]) -> Iterator[_Line]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path} ({error}): record it again, as JSON lines in UTF-8.") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield form.model_validate(json.loads(line))
        except ValidationError as error:
            reason = describe_first_fault(error, "the line")
        except ValueError as error:
            reason = f"no JSON, {error}"
        else:
            continue
        raise UserError(f"{path}, line {number}: {reason}; a line needs {', '.join(form.model_fields)}.")
