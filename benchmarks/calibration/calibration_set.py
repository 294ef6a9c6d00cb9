"""What a method may learn from: unlabelled questions about pictures, and the digest that results go by."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class CalibrationSet:
    """What a method may learn from.

    Attributes:
        questions: (picture, question) pairs; a picture is read when its pair is indexed. No answers.
        description: what they are, in words.
        digest: sha256 of pictures and questions in their order: two that are equal here teach alike.
    """

    questions: Sequence[tuple["Image", str]]
    description: str
    digest: str

    def __len__(self) -> int:
        return len(self.questions)
