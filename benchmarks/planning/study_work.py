"""What a study's config asks for, as `frism.planning` counts it: fits, merges and answers, with assumptions.

What no config says is assumed and shown with the plan: pixels of a picture and tokens of an answer.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from benchmarks.registry import lookup
from benchmarks.study import calibration_settings
from benchmarks.study.engine_settings import EngineSettings as EngineSettings
from frism.errors import UserError, describe_first_fault
from frism.planning.shapes import Shape, shape_of
from frism.planning.study import Merge, StudyWork, VariantWork
from frism.planning.work import AnswerWork, FitWork, Precision, SpectrumWork
from frism.spectra.settings import SpectrumSettings

# Tokens of a mean answer by axis, but never more than half of the limit: perception asks for a word,
# reasoning for steps (a 7B model's mean on MathVista is near 460).
MEAN_ANSWER = {"perception": 8, "reasoning": 460, "text": 250, "other": 60}
LONGEST = 3.5  # times the mean: the batch's longest answer (the 95th percentile there is 3.4 times)
PICTURE = 1000 * 750  # pixels, where no setting limits them
QUESTION, TEXT_QUESTION = 60, 120  # tokens of a prompt in words, beside a picture and alone
UNKNOWN = 1000  # questions of a benchmark that nobody counted
MINIATURE = 168 * 168
# Decompositions that a method computes of every matrix at every merge, beyond kept spectra.
DECOMPOSES = {"ip_released": 2, "ip_invariant": 1}


@dataclass(frozen=True)
class Assumptions:
    """What no config says: pixels of a picture, tokens of an answer (None: by axis)."""

    pixels: int | None = None
    answer_tokens: int | None = None

    def patches(self, shape: Shape, pixels: int) -> int:
        """Patches of a picture of at most so many pixels, whole visual tokens."""
        side = shape.tower.patch**2
        tokens = max(1, round((self.pixels or pixels) / side / shape.tower.merge))
        return tokens * shape.tower.merge


def read(config: Path) -> dict[str, Any]:
    """A study's config as it is written. Raises UserError when it cannot be read or lacks what is needed."""
    try:
        found = yaml.safe_load(config.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {config}: {error.strerror or error}.") from error
    except yaml.YAMLError as error:
        raise UserError(f"{config} is not valid YAML ({error}): correct it.") from error
    for key in ("triple", "engine", "benchmarks", "questions", "variants"):
        if not isinstance(found, dict) or key not in found:
            raise UserError(f"{config}: the key '{key}' is missing: give a study's config.")
    return found


def study_work(config: Mapping[str, Any], assumed: Assumptions) -> StudyWork:
    """The work that a config asks for.

    Raises UserError for settings, methods or benchmarks that are unknown.
    """
    engine = _model(EngineSettings, config["engine"], "engine")
    shape = shape_of(config["triple"]["vlm"])
    settings = {k: v for k, v in config.get("spectrum", {}).items() if k not in ("parts", "factors")}
    spectrum = SpectrumWork(**_model(SpectrumSettings, settings, "spectrum").model_dump())
    source = _model(calibration_settings.CalibrationSettings, config.get("calibration", {}), "calibration")
    variants, needed = [], False
    for name, variant in config["variants"].items():
        found, needs = _variant(name, variant, shape, spectrum, source, assumed)
        variants.append(found)
        needed = needed or needs
    asked = {
        split: tuple(
            group
            for entry in config["benchmarks"]
            if (group := _asked(entry, split, config, engine, shape, assumed)) is not None
        )
        for split in ("dev", "test")
    }
    texts = tuple(_text(entry, config, engine, assumed) for entry in config.get("text", []))
    return StudyWork(
        shape,
        tuple(variants),
        asked["dev"],
        asked["test"],
        texts,
        owners=len(variants) + 2,
        spectrum=spectrum if needed else None,
        precision=Precision(engine.dtype, config.get("spectrum", {}).get("factors", "auto")),
        devices=engine.devices,
        oracle=bool(config.get("selection", {}).get("oracle", False)),
    )


def _model(kind: Any, content: Mapping[str, Any], key: str) -> Any:
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{key}: {describe_first_fault(error)}.") from None


def _variant(
    name: str, variant: Mapping[str, Any], shape: Shape, spectrum: SpectrumWork,
    source: calibration_settings.CalibrationSettings, assumed: Assumptions,
) -> tuple[VariantWork, bool]:  # fmt: skip
    """One variant's work, and whether it needs kept spectra."""
    from frism.method import discovery as methods

    method = methods.find(variant["method"])
    grid = variant.get("grid", {})
    fits = []
    for values in product(*grid.values()):
        given = {**variant.get("params", {}), **dict(zip(grid, values, strict=True))}
        params = method.validate(given)
        fits.append(_fit(params, shape, spectrum, source, assumed) if method.needs_calibration else None)
    passes = 4.0 if method.arithmetic else 8.0 if method.pieces or method.needs_spectrum else 24.0
    merge = Merge(
        len({*method.sources, "vlm"}),
        passes,
        "spectrum" in method.merge_names,
        DECOMPOSES.get(method.name, 0),
    )
    return VariantWork(name, tuple(fits), merge), method.needs_spectrum


def _fit(
    params: Mapping[str, Any], shape: Shape, spectrum: SpectrumWork,
    source: calibration_settings.CalibrationSettings,
    assumed: Assumptions,
) -> FitWork:  # fmt: skip
    """A fit's work; one that takes no optimiser steps passes over its questions once (a sample at a time)."""
    batch = int(params.get("batch", 8))
    once = math.ceil(source.questions / batch) * int(params.get("samples", 1))
    pixels = MINIATURE if source.source == "miniature" else min(PICTURE, source.max_pixels or PICTURE)
    limit = int(params.get("max_new_tokens", 32))
    return FitWork(
        questions=source.questions,
        steps=int(params.get("steps", once)),
        batch=batch,
        patches=assumed.patches(shape, pixels),
        text_tokens=QUESTION,
        answer_tokens=min(limit, assumed.answer_tokens or MEAN_ANSWER["perception"]),
        tail_every=int(params.get("tail_every", 8)),
        spectrum=spectrum,
    )


def _asked(
    entry: Any, split: str, config: Mapping[str, Any], engine: EngineSettings, shape: Shape,
    assumed: Assumptions,
) -> AnswerWork | None:  # fmt: skip
    """One benchmark's questions of a split; None where dev has none."""
    definition = lookup.find(entry)
    on_dev = definition.axis in ("perception", "reasoning") and not definition.whole
    if split == "dev" and not on_dev:
        return None
    wanted = config["questions"][split]
    if wanted == "all":
        wanted = (definition.n or UNKNOWN) - (config["questions"]["dev"] if on_dev else 0)
    questions = max(1, min(wanted, definition.n or wanted))
    prompting = config.get("prompting", {})
    pixels = max(PICTURE, prompting.get("min_pixels", 0))
    pixels = min(pixels, prompting.get("max_pixels", pixels))
    patches = assumed.patches(shape, MINIATURE if definition.source.miniature else pixels)
    limit = definition.max_new_tokens or engine.max_new_tokens
    return _answers(
        questions, engine, patches // shape.tower.merge, patches, QUESTION, definition.axis, limit, assumed
    )


def _text(entry: Any, config: Mapping[str, Any], engine: EngineSettings, assumed: Assumptions) -> AnswerWork:
    definition, questions = lookup.find(entry), config["questions"]
    wanted = questions.get("text", questions["test"])
    count = (definition.n or UNKNOWN) if wanted == "all" else wanted
    limit = definition.max_new_tokens or engine.max_new_tokens
    return _answers(count, engine, 0, 0, TEXT_QUESTION, "text", limit, assumed)


def _answers(
    questions: int, engine: EngineSettings, visual: int, patches: int, words: int, axis: str, limit: int,
    assumed: Assumptions,
) -> AnswerWork:  # fmt: skip
    mean = min(assumed.answer_tokens or MEAN_ANSWER[axis], max(1, limit // 2))
    batch = engine.batch_size
    if engine.token_budget is not None:
        batch = max(1, min(batch, engine.token_budget // (visual + words + limit)))
    longest = min(limit, math.ceil(LONGEST * mean))
    return AnswerWork(questions, batch, patches, words, mean, longest)
