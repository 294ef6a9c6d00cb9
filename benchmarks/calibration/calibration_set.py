"""Define the questions that a method learns from, unlabelled, with the digest that identifies them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class CalibrationSet:
    """Hold the questions that a method learns from.

    Attributes:
        questions: (picture, question) pairs; a picture is read when its pair is indexed. No answers.
        description: what they are, in words.
        digest: sha256 of pictures and questions in their order: sets of one digest teach the same.
    """

    questions: Sequence[tuple["Image", str]]
    description: str
    digest: str

    def __len__(self) -> int:
        return len(self.questions)
