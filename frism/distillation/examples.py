"""Make examples: batches of questions with the teacher's answers, computed once and cached.

Questions are shuffled by the seed and cut into batches of similar length, so that little is padded: sorted by
length within a few batches' worth of questions, which leaves the kinds of question mixed over the batches.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch

from frism.distillation.collation import ModelInputs
from frism.distillation.example_cache import ExampleCache
from frism.distillation.prompts import Question, prepare_questions
from frism.distillation.receiver import Receiver
from frism.distillation.teacher import Example, TeacherSettings, answer_questions
from frism.errors import UserError
from frism.progress import Progress

T = TypeVar("T")
Prepare = Callable[[Any, Sequence[Question], Iterable[int]], list[ModelInputs]]
WINDOW = 8  # batches whose questions are sorted together


class Examples(Sequence[Example]):
    """Read batches from a cache, in the order of their numbers from `first` on."""

    def __init__(self, cache: ExampleCache, first: int, count: int) -> None:
        self._cache, self._first, self._count = cache, first, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Example:  # type: ignore[override]
        if not 0 <= index < self._count:
            raise IndexError(index)
        example = self._cache.get(self._first + index)
        if example is None:
            raise UserError(f"{self._cache.folder} has lost a teacher's answer: run the fit again.")
        return example


def make_examples(
    receiver: Receiver,
    questions: Sequence[Question],
    settings: TeacherSettings,
    *,
    batch: int,
    batches: int,
    held_out: int = 0,
    seed: int = 0,
    folder: Path | None = None,
    key: str = "",
    prepare: Prepare = prepare_questions,
) -> tuple[Examples, Examples]:
    """Let the teacher answer; return the batches to learn from and those held out.

    Args:
        batch: questions of a batch.
        batches: most batches to learn from; questions beyond are not answered.
        held_out: questions held out.
        folder, key: where the examples are cached, and what identifies all that they depend on; None: memory.
        prepare: makes inputs of questions (`frism.distillation.prompts`): with their pictures, or without.

    Raises UserError when there are too few questions, or pictures cannot be read.
    """
    if held_out >= len(questions):
        raise UserError(
            f"{len(questions)} calibration questions are too few to hold {held_out} out: ask for more "
            "(calibration.questions) or lower held_out."
        )
    order = torch.randperm(len(questions), generator=torch.Generator().manual_seed(seed)).tolist()
    pool = order[held_out : held_out + batch * batches]
    cache, counts, number = ExampleCache(folder, key), [0, 0], 0
    with Progress("teacher answers", held_out + len(pool), "questions") as progress:
        for part, indices in enumerate((pool, order[:held_out])):
            for window in _split(indices, batch * WINDOW):
                count = -(-len(window) // batch)
                if any(cache.get(number + i) is None for i in range(count)):
                    inputs = prepare(receiver.processor, questions, window)
                    inputs.sort(key=lambda row: row["input_ids"].shape[1])
                    for i, group in enumerate(_split(inputs, batch)):
                        cache.put(number + i, answer_questions(receiver, group, settings))
                        progress.advance(len(group))
                else:
                    progress.skip(len(window))
                number += count
                counts[part] += count
    return Examples(cache, 0, counts[0]), Examples(cache, *counts)


def _split(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for first in range(0, len(items), size):
        yield items[first : first + size]
