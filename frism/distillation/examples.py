"""Which questions are learned from together, and the teacher's word on each batch: worked out once, kept.

Questions are shuffled by the seed and cut into batches of similar length, so that little is padded: sorted by
length within a few batches' worth of questions, which leaves the kinds of question mixed over the batches.
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from frism.distillation.example_cache import ExampleCache
from frism.distillation.prompts import Question, prepare_questions
from frism.distillation.receiver import Receiver
from frism.distillation.teacher import Example, TeacherSettings, answer_questions
from frism.errors import UserError

log = logging.getLogger(__name__)

WINDOW = 8  # batches whose questions are sorted together


class Examples(Sequence[Example]):
    """Batches on a shelf, in the order of their numbers from `first` on."""

    def __init__(self, shelf: ExampleCache, first: int, count: int) -> None:
        self._shelf, self._first, self._count = shelf, first, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place: int) -> Example:  # type: ignore[override]
        if not 0 <= place < self._count:
            raise IndexError(place)
        found = self._shelf.get(self._first + place)
        if found is None:
            raise UserError(f"{self._shelf.folder}: a teacher's answer went missing: run again.")
        return found


def make_examples(
    receiver: Receiver,
    questions: Sequence[Question],
    asking: TeacherSettings,
    *,
    batch: int,
    batches: int,
    held_out: int = 0,
    seed: int = 0,
    folder: Path | None = None,
    key: str = "",
) -> tuple[Examples, Examples]:
    """Ask the teacher; return the batches to learn from and those kept back.

    Args:
        batch: questions of a batch.
        batches: most batches to learn from; questions beyond are not asked.
        held_out: questions kept back.
        folder, key: where the examples are kept, and what identifies all that they depend on; None: memory.

    Raises UserError when there are too few questions, or pictures cannot be read.
    """
    if held_out >= len(questions):
        raise UserError(
            f"{len(questions)} calibration questions are too few to keep {held_out} back: ask for more "
            "(calibration.questions) or lower held_out."
        )
    order = torch.randperm(len(questions), generator=torch.Generator().manual_seed(seed)).tolist()
    kept, pool = order[:held_out], order[held_out : held_out + batch * batches]
    shelf, made = ExampleCache(folder, key), [0, 0]
    with _bar() as bar:
        task = bar.add_task("teacher answers", total=len(kept) + len(pool))
        number = 0
        for part, places in enumerate((pool, kept)):
            for group in _windows(places, batch * WINDOW):
                count = -(-len(group) // batch)
                if any(shelf.get(number + i) is None for i in range(count)):
                    inputs = prepare_questions(receiver.processor, questions, group)
                    inputs.sort(key=lambda row: row["input_ids"].shape[1])
                    for i in range(count):
                        shelf.put(
                            number + i,
                            answer_questions(receiver, inputs[i * batch : (i + 1) * batch], asking),
                        )
                        bar.advance(task, min(batch, len(group) - i * batch))
                else:
                    bar.advance(task, len(group))
                number += count
                made[part] += count
    return Examples(shelf, 0, made[0]), Examples(shelf, made[0], made[1])


def _windows(places: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for first in range(0, len(places), size):
        yield places[first : first + size]


def _bar() -> Progress:
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True))
