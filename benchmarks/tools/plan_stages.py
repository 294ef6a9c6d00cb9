"""Turn a study's config into the jobs of its rules and their cost on a machine.

What no config says is assumed and shown with the plan: pixels of a picture and tokens of an answer.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.registry import lookup
from benchmarks.study.calibration_settings import CalibrationSettings
from benchmarks.study.config import StudyConfig
from benchmarks.tools.plan_analyses import count_analyses
from benchmarks.tools.plan_costs import Counter, PlannedCost, QuestionGroup
from benchmarks.tools.plan_machines import Machine
from benchmarks.tools.plan_model import load_model

# Tokens of a mean answer by axis, but never more than half of the limit: perception asks for a word,
# reasoning for steps (a 7B model's mean on MathVista is near 460).
MEAN_ANSWER = {"perception": 8, "reasoning": 460, "text": 250, "other": 60}
PICTURE = 1000 * 750  # pixels, where no setting limits them
MINIATURE = 168 * 168
QUESTION, TEXT_QUESTION = 60, 120  # tokens of a prompt in words, beside a picture and alone
UNKNOWN = 1000  # questions of a benchmark that nobody counted
OTHERS = ("items", "questions", "tables", "explain", "figures", "summary")


@dataclass(frozen=True)
class Stage:
    """Holds all jobs of one rule: their cost by part, the largest memory of one, the bytes that all leave."""

    name: str
    jobs: int
    parts: dict[str, PlannedCost]
    memory: float = 0.0
    disk: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def cost(self) -> PlannedCost:
        """Return the cost of all jobs, one after the other."""
        return sum(self.parts.values(), PlannedCost())


@dataclass(frozen=True)
class Assumptions:
    """Holds what no config says: pixels of a picture, tokens of an answer (None: by axis)."""

    pixels: int | None = None
    answer_tokens: int | None = None


@dataclass
class Planner:
    """Plans the stages of one study on one machine.

    Raises UserError for methods or benchmarks that are unknown.
    """

    study: StudyConfig
    machine: Machine
    assumed: Assumptions = field(default_factory=Assumptions)

    def __post_init__(self) -> None:
        study, spectrum = self.study, self.study.spectrum
        self.engine, self.calibration = study.engine, study.calibration or CalibrationSettings()
        self.parts, self.factors = spectrum.parts, spectrum.factors
        self.model = load_model(study.triple.vlm, study.scope)
        self.counter = Counter(
            self.model, self.machine, self.engine.dtype, spectrum.rank, spectrum.solver, spectrum.dtype
        )
        self.dev = [q for entry in study.benchmarks if (q := self.questions(entry, "dev")) is not None]
        self.test = [q for entry in study.benchmarks if (q := self.questions(entry, "test")) is not None]
        self.text = [self.questions_in_words(entry) for entry in study.text]

    def stages(self) -> list[Stage]:
        """List the stages in the order of the rules."""
        from frism.method.discovery import find

        study, counter, variants, start = (
            self.study,
            self.counter,
            self.study.variants,
            PlannedCost(self.machine.start),
        )
        loaded = {"start": start, "load": counter.load()}
        test = self._answers(self.test)
        tune, predict, oracle = _CostSum(), _CostSum(), _CostSum()
        memory, learning, spectra, points = self._memory(self.test + self.dev), 0.0, False, 0
        for variant in variants.values():
            if variant.method is None:  # a checkpoint: loaded and questions, nothing else
                points += 1
                tune.add(loaded | self._answers(self.dev))
                predict.add(loaded | test)
                oracle.add(loaded | test)
                continue
            method = find(variant.method)
            grid = [method.validate(values) for values in variant.points]
            points += len(grid)
            spectra = spectra or "spectrum" in method.needs
            merge = counter.merge(
                len({*method.reads, "vlm"}), on_spectrum="spectrum" in method.needs, svds=method.svds
            )
            tune.add(loaded | {"merge": merge * len(grid)})
            models = 1 if method.mix is None else 2  # that run at every token
            tune.add(self._answers(self.dev), len(grid) * models)
            if "dev" in method.needs:  # every candidate is merged and questions
                candidates = sum(int(params.get("evaluations", 1)) for params in grid)
                tune.add({"search": merge} | self._answers(self.dev), candidates)
            elif method.fit is not None and "calibration" not in method.needs:
                # Without data it passes over the tensors, as a merge does.
                tune.add({"fit": merge * len(grid)})
            if "calibration" in method.needs:
                questions, *_ = fits = [self.fit(params) for params in grid]
                learn = sum((counter.fit(*fit) for fit in fits), PlannedCost())
                tune.add({"teach": counter.teach(questions[0]), "learn": learn})
                learning = max(learning, *(counter.memory(fit[0], learning=True) for fit in fits))
            predict.add(loaded | {"merge": merge} | test, models)
            oracle.add(loaded | {"merge": merge} | test, len(grid) * models)
        stages = [
            Stage("tune", len(variants), tune.parts, max(memory, learning), notes=self._notes(learning)),
            Stage(
                "predict", len(variants), predict.parts, memory, disk=self._disk(self.test) * len(variants)
            ),
            Stage("score", len(variants), {"start": start * len(variants)}),
        ]
        if spectra:
            read = PlannedCost(2 * self.model.merged_bytes / self.machine.disk)
            write = PlannedCost(counter.spectra_bytes() / self.machine.disk)
            parts = {"start": start * self.parts, "read": read, "svd": counter.svd(), "write": write}
            largest = 8 * 4 * max(rows * columns for rows, columns in self.model.matrices)
            stages.insert(0, Stage("spectrum", self.parts, parts, largest, counter.spectra_bytes()))
        if self.study.selection.oracle:
            stages.append(Stage("oracle", points, oracle.parts, memory, self._disk(self.test) * points))
        if study.analyses:
            stages.append(Stage("analyse", *count_analyses(self)))
        if self.text:
            owners, words = len(self.study.owners), _CostSum()
            words.add(loaded | self._answers(self.text), owners)
            stages.append(
                Stage("text", owners, words.parts, self._memory(self.text), self._disk(self.text) * owners)
            )
        others = len(OTHERS) + bool(study.analyses)
        return [*stages, Stage("others", others, {"start": start * others})]

    def fit(self, params: Mapping[str, Any]) -> tuple[QuestionGroup, int, int, int]:
        """Return a fit's questions, steps, held-out questions and steps between checks.

        One that takes no optimiser steps passes over its questions once, a sample at a time.
        """
        batch, held_out = int(params.get("batch", 8)), int(params.get("held_out", 0))
        once = math.ceil(self.calibration.questions / batch) * int(params.get("samples", 1))
        steps = int(params.get("steps", once))
        limit = int(params.get("max_new_tokens", 32))
        mean = min(limit, self.assumed.answer_tokens or MEAN_ANSWER["perception"])
        pixels = min(PICTURE, self.calibration.max_pixels or PICTURE)
        patches = self.patches(MINIATURE if self.calibration.source == "miniature" else pixels)
        count = min(self.calibration.questions, steps * batch + held_out)
        questions = QuestionGroup(count, batch, patches, patches // self.model.merge + QUESTION, mean, limit)
        return questions, steps, held_out, int(params.get("check_every", 20))

    def patches(self, pixels: int) -> int:
        """Return the patches of a mean picture, which has so many pixels where none are assumed."""
        return self.model.patches(self.assumed.pixels or pixels)

    def questions(self, entry: Any, split: str) -> QuestionGroup | None:
        """Return one benchmark's questions of a split; None where dev has none."""
        definition, numbers = lookup.find(entry), self.study.questions
        if split == "dev" and not definition.on_dev:
            return None
        number = numbers.dev if split == "dev" else numbers.test
        if number == "all":
            number = (definition.n or UNKNOWN) - (numbers.dev if definition.on_dev else 0)
        count = max(1, min(number, definition.n or number))
        prompting = self.study.prompting
        pixels = max(PICTURE, prompting.min_pixels or 0)
        pixels = min(pixels, prompting.max_pixels or pixels)
        patches = self.patches(MINIATURE if definition.source.miniature else pixels)
        prompt = patches // self.model.merge + QUESTION
        samples = (self.engine.on_dev if split == "dev" else self.engine).samples
        return self._questions(count, patches, prompt, definition.axis, definition.max_new_tokens, samples)

    def questions_in_words(self, entry: Any) -> QuestionGroup:
        """Return one benchmark's questions without a picture."""
        definition, number = lookup.find(entry), self.study.questions.text
        count = (definition.n or UNKNOWN) if number == "all" else number
        return self._questions(
            count, 0, TEXT_QUESTION, "text", definition.max_new_tokens, self.engine.samples
        )

    def _questions(
        self,
        count: int,
        patches: int,
        prompt: int,
        axis: str,
        limit: int | None,
        samples: int | None,
    ) -> QuestionGroup:
        limit, batch = limit or self.engine.max_new_tokens, self.engine.batch_size
        if self.engine.token_budget is not None:
            batch = max(1, min(batch, self.engine.token_budget // (prompt + limit)))
        mean = min(self.assumed.answer_tokens or MEAN_ANSWER[axis], max(1, limit // 2))
        return QuestionGroup(count, batch, patches, prompt, mean, limit, samples or 1)

    def _answers(self, questions: Sequence[QuestionGroup]) -> dict[str, PlannedCost]:
        total = _CostSum()
        for group in questions:
            total.add(self.counter.answer(group))
        return total.parts

    def _memory(self, questions: Sequence[QuestionGroup]) -> float:
        return max((self.counter.memory(group) for group in questions), default=0.0)

    def _disk(self, questions: Sequence[QuestionGroup]) -> float:
        """Return bytes of all lines with their answers, about."""
        return sum(group.answers * (250 + 5 * group.answer) for group in questions)

    def _notes(self, learning: float) -> tuple[str, ...]:
        streamed = learning > 0 and self.counter.streams()
        return ("factors streamed from main memory",) if streamed else ()


class _CostSum:
    """Adds up parts by name."""

    def __init__(self) -> None:
        self.parts: dict[str, PlannedCost] = {}

    def add(self, parts: Mapping[str, PlannedCost], times: int = 1) -> None:
        for name, cost in parts.items():
            self.parts[name] = self.parts.get(name, PlannedCost()) + cost * times
