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
KINDS = {"perception": (q.PERCEPTION, q.REQUEST_SHORT), "short chains": (q.SHORT, q.REQUEST_STEPS)}


def load_miniature(settings: "CalibrationSettings", seed: int) -> CalibrationSet:
    """Make perception questions with the request for a short answer, short chains with that for steps.

    Kinds take turns, and within each its families. The pictures, of 168 x 168 pixels, are all in memory.
    """
    rng = random.Random(f"{seed}-{SPLIT}")
    families = {kind: list(KINDS[kind][0].values()) for kind in settings.kinds}
    pairs = []
    for i in range(settings.questions):
        turn, kind = i // len(families), settings.kinds[i % len(families)]
        scene, question = q.ask(families[kind][turn % len(families[kind])], rng, SPLIT)
        pairs.append((render(scene, rng), KINDS[kind][1] + question.text))
    pictures, texts = zip(*pairs, strict=True)
    named = " and ".join("perception" if kind == "perception" else "short-chain" for kind in settings.kinds)
    return CalibrationSet(
        pairs,
        f"{settings.questions} unlabelled {named} questions on miniature scenes, seed {seed}",
        digest.digest_pictures(pictures, texts),
    )
