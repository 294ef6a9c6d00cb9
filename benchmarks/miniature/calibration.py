"""Unlabelled calibration data: pictures with perception questions, from scenes that no benchmark uses."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from PIL.Image import Image

from benchmarks.miniature import questions as q
from benchmarks.miniature.world import render
from frism.errors import UserError

SPLIT = "calibration"


@dataclass(frozen=True)
class Calibration:
    """What a method may learn from.

    Attributes:
        questions: (picture, question) pairs; there are no answers.
        description: what they are, in words.
    """

    questions: Sequence[tuple[Image, str]]
    description: str

    def __len__(self) -> int:
        return len(self.questions)


def load(source: str = "miniature", questions: int = 512, seed: int = 0) -> Calibration:
    """`questions` perception questions with the request for a short answer; families take turns.

    Raises UserError for another source than "miniature" and for less than one question.
    """
    if source != "miniature":
        raise UserError(f"unknown calibration source '{source}': there is 'miniature'.")
    if questions < 1:
        raise UserError(f"calibration needs at least one question, not {questions}.")
    rng, families = random.Random(f"{seed}-{SPLIT}"), list(q.PERCEPTION.values())
    pairs = []
    for i in range(questions):
        scene, question = q.ask(families[i % len(families)], rng, SPLIT)
        pairs.append((render(scene, rng), q.REQUEST_SHORT + question.text))
    return Calibration(pairs, f"{questions} unlabelled perception questions on miniature scenes, seed {seed}")
