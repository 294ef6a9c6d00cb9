"""Hold what a file of another harness says: an answer, the values that may be its index, its question."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class ForeignAnswer:
    """Hold one answer of another harness.

    Attributes:
        text: what the model said, as the file has it.
        place: where in the file it stands, for complaints: "line 3", "row 7".
        keys: values by the name of their field, one of which is the question's index.
        position: the question's place in the other harness' data set, where the file says it.
        question: the question as the file has it, or the whole prompt; "" where it has none.
        tokens, truncated, seconds: None where the file does not say.
    """

    text: str
    place: str
    keys: Mapping[str, str]
    position: int | None = None
    question: str = ""
    tokens: int | None = None
    truncated: bool | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class ForeignFile:
    """Hold a file of answers.

    Attributes:
        format: its format in words, as reports and provenance name it.
        sha256: of its content.
        indexed: whether a field called `index` is the only candidate for the index.
        notes: what to know of the answers, a clause each.
    """

    path: Path
    format: str
    sha256: str
    answers: tuple[ForeignAnswer, ...]
    indexed: bool
    notes: tuple[str, ...] = field(default=())
