"""Gather what a fit works with, and what of it a recipe's identity depends on."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.answering.keys import digest_json
from benchmarks.calibration import load as calibrations
from benchmarks.questions.item import Item
from benchmarks.scoring import extraction
from benchmarks.study.calibration_settings import CalibrationSettings
from benchmarks.study.engine_settings import EngineSettings
from benchmarks.study.slices.tune_slice import TuneSlice
from frism.compute import Compute
from frism.method.fitting import Fitting
from frism.method.method import Method
from frism.method.recipe import Recipe
from frism.spectra.spectra import Spectra
from frism.triples.triple import Triple


def gather_inputs(
    study: TuneSlice,
    method: Method,
    triple: Triple,
    *,
    reference: Path | None = None,
    spectra: Path | None = None,
    dev: Mapping[str, Sequence[Item]] | None = None,
    scope: str | None = None,
    calibration: CalibrationSettings | None = None,
) -> tuple[Fitting, str]:
    """Return what every point of a grid is fitted with, and what of it a recipe's identity depends on.

    A recipe belongs to its inputs: what it was calibrated on, in which precision and on what kind of device,
    what it started from, and the dev questions that it was searched with are part of it.

    Args:
        reference: folder of the variant to start from. spectra: the folder that keeps spectra.
        dev: the dev questions by benchmark.
        scope, calibration: of the variant, where they are not the study's.
    """
    compute = make_compute(study)
    sources: dict[str, object] = {}
    identity, started = [""], ""
    if reference is not None:
        recipe, fitted = Recipe.load(reference)
        sources["reference"], started = fitted, recipe.key
    if "calibration" in method.needs:
        settings = calibration or study.calibration or CalibrationSettings()
        learned_from = calibrations.load_calibration(settings, study.seed)
        sources["calibration"], identity = learned_from, [learned_from.digest]
    if method.runs_a_model:
        identity.append(f"{compute.dtype} on {compute.torch_device.type}")
    if "dev" in method.needs:
        identity.append(_digest_dev(study.engine, dev or {}))
    if "spectrum" in method.needs:
        sources["spectra"] = Spectra(triple, study.spectrum.settings, spectra)
    fitting = Fitting(triple, scope or study.scope, study.seed, compute, **sources)  # type: ignore[arg-type]
    return fitting, ":".join([*identity, started])


def make_compute(study: TuneSlice) -> Compute:
    """Say where a fit runs its model: on the engine's device, in the engine's precision."""
    engine = study.engine
    return Compute(str(engine.torch_device), engine.dtype, engine.device_map, study.spectrum.factors)


def _digest_dev(engine: EngineSettings, dev: Mapping[str, Sequence[Item]]) -> str:
    """Return 16 hex digits for the dev questions with their answers, and how they are answered and scored."""
    questions = [[item.content, item.answer] for group in dev.values() for item in group]
    decided = engine.model_dump(mode="json")
    for name in ("failures", "transparency"):  # where they change nothing, identities stay what they were
        if getattr(engine, name) == type(engine).model_fields[name].default:
            del decided[name]
    return digest_json([decided, questions, extraction.VERSION])[:16]
