"""Make unlabelled calibration questions on miniature scenes that no benchmark uses."""

import random
from typing import TYPE_CHECKING

from benchmarks.calibration import digest
from benchmarks.calibration.calibration_set import CalibrationSet
from benchmarks.miniature import question_families as q
from benchmarks.miniature.world import render

if TYPE_CHECKING:
    from benchmarks.study.calibration_settings import CalibrationSettings

SPLIT = "calibration"


def calibration(settings: "CalibrationSettings", seed: int) -> CalibrationSet:
    """Make perception questions with the request for a short answer; families take turns.

    The pictures, of 168 x 168 pixels, are all in memory.
    """
    rng, families = random.Random(f"{seed}-{SPLIT}"), list(q.PERCEPTION.values())
    pairs = []
    for i in range(settings.questions):
        scene, question = q.ask(families[i % len(families)], rng, SPLIT)
        pairs.append((render(scene, rng), q.REQUEST_SHORT + question.text))
    pictures, texts = zip(*pairs, strict=True)
    return CalibrationSet(
        pairs,
        f"{settings.questions} unlabelled perception questions on miniature scenes, seed {seed}",
        digest.of_pictures(pictures, texts),
    )
