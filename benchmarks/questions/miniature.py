"""Make the miniature's benchmarks: questions on scenes of one split, written as VLMEvalKit TSVs."""

import base64
import csv
import io
import random
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from benchmarks.miniature import question_families as q
from benchmarks.miniature.world import SPLITS, Scene, describe, render
from benchmarks.registry.definition import Definition
from benchmarks.registry.lookup import path_of
from frism.errors import UserError, suggest
from frism.files import atomic_write

REQUESTS = {"short": q.REQUEST_SHORT, "steps": q.REQUEST_STEPS, "none": ""}
COLUMNS = ("index", "image", "question", "answer")


@dataclass(frozen=True)
class Row:
    """Hold one question of a suite, its request included, on a scene that can be shown or described.

    `picture_seed` moves each number of the picture by up to a pixel, as in training.
    """

    index: int
    scene: Scene
    question: str
    answer: str
    picture_seed: str

    def described(self) -> str:
        """Return the question as a text-only model gets it."""
        return f"{describe(self.scene)} {self.question}"


def rows(definition: Definition, split: str, n: int, seed: int = 0) -> list[Row]:
    """Make the first `n` questions of a suite on scenes of `split`, all different.

    They depend on family, split and seed alone: suites that differ only in the request ask the same
    questions on the same scenes, and a longer suite begins with the shorter one.
    Raises UserError for an unknown family or split.
    """
    source = definition.source.miniature
    if source is None:
        raise UserError(
            f"{path_of(definition)}: benchmark {definition.name} is not one of the miniature world."
        )
    if source.family not in q.FAMILIES:
        hint = suggest(source.family, q.FAMILIES)
        raise UserError(f"{path_of(definition)}: unknown question family '{source.family}'.{hint}")
    if split not in SPLITS:
        raise UserError(f"unknown split '{split}': choose one of {', '.join(SPLITS)}.")
    family, rng = q.FAMILIES[source.family], random.Random(f"{seed}-{split}-{source.family}")
    answers: dict[tuple[Scene, str], str] = {}
    while len(answers) < n:
        scene, question = q.ask(family, rng, split)
        answers.setdefault((scene, question.text), question.answer)
    yes_no = definition.answers == "yes_no"  # VLMEvalKit compares with "Yes" and "No"
    return [
        Row(i, scene, REQUESTS[source.request] + text, answer.capitalize() if yes_no else answer,
            f"{seed}-{split}-{source.family}-{i}")
        for i, ((scene, text), answer) in enumerate(answers.items())
    ]  # fmt: skip


def write_tsv(definition: Definition, split: str, n: int, seed: int, path: str | Path) -> None:
    """Write a suite as VLMEvalKit reads it: index, image (base64 PNG), question, answer.

    The same arguments give the same bytes. Raises UserError when the file cannot be written.
    """
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, delimiter="\t", quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in rows(definition, split, n, seed):
            writer.writerow((row.index, _png(row.scene, row.picture_seed), row.question, row.answer))


@lru_cache(maxsize=4096)  # suites that differ in the request only share their pictures
def _png(scene: Scene, seed: str) -> str:
    stream = io.BytesIO()
    render(scene, random.Random(seed)).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()
