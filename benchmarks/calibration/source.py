"""Define a source of calibration questions: rows to draw from, and the picture files of the drawn ones."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, overload

from PIL.Image import Image

from benchmarks.calibration import pictures
from frism.errors import UserError


class CalibrationRow(NamedTuple):
    """Hold one question about one picture; labels have no field, they are dropped where a table is read.

    `image` is the picture's name in its source.
    """

    image: str
    question: str


@dataclass(frozen=True)
class CalibrationSource:
    """Hold all questions of a source.

    Attributes:
        rows: every question that may be drawn.
        files: the picture files of some rows, by their positions. Raises UserError for a missing one.
        title: what the questions are, in a few words.
        location: the folder or file that they come from, for messages.
    """

    rows: Sequence[CalibrationRow]
    files: Callable[[Sequence[int]], list[Path]]
    title: str
    location: str

    def draw(self, number: int, seed: int) -> list[int]:
        """Return the positions of `number` rows in the order of a seeded hash.

        The order of the table does not matter, and a larger draw begins with the smaller one. Raises
        UserError when there are fewer rows.
        """
        if len(self.rows) < number:
            raise UserError(
                f"{self.location} has {len(self.rows)} calibration questions, and {number} are asked for:"
                " lower calibration.questions or add pictures."
            )
        order = sorted(range(len(self.rows)), key=lambda i: (_rank(seed, self.rows[i]), i))
        return order[:number]


def _rank(seed: int, row: CalibrationRow) -> bytes:
    return hashlib.sha256("\0".join((str(seed), *row)).encode(errors="surrogateescape")).digest()


@dataclass(frozen=True)
class CalibrationQuestions(Sequence[tuple[Image, str]]):
    """Hold (picture, question) pairs; a picture is read from its file whenever its pair is indexed.

    A slice is a sequence of the same kind and reads nothing. Raises UserError for an unreadable picture.
    """

    files: Sequence[Path]
    texts: Sequence[str]
    max_pixels: int | None = None

    def __len__(self) -> int:
        return len(self.files)

    @overload
    def __getitem__(self, index: int) -> tuple[Image, str]: ...
    @overload
    def __getitem__(self, index: slice) -> "CalibrationQuestions": ...
    def __getitem__(self, index: int | slice) -> "tuple[Image, str] | CalibrationQuestions":
        if isinstance(index, slice):
            return CalibrationQuestions(self.files[index], self.texts[index], self.max_pixels)
        return pictures.opened(self.files[index], self.max_pixels), self.texts[index]
