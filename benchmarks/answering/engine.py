"""Open the engine that turns a variant and items into predictions: one interface, several backends."""

from pathlib import Path
from typing import Any

from benchmarks.answering.late_engine import Plan
from benchmarks.answering.local_plan import LocalPlan, VlmevalkitPlan
from benchmarks.answering.model_facts import ModelFacts
from benchmarks.answering.thoughts import read_thoughts
from benchmarks.answering.transformers_engine import TransformersEngine
from benchmarks.prompting import families
from benchmarks.questions.reading import MANIFEST
from benchmarks.study.engine_settings import EngineSettings
from frism.files import read_json
from frism.merging import on_load
from frism.method.fitted import Fitted
from frism.method.recipe import Recipe
from frism.triples.triple import Triple


def open_engine(
    triple: Triple,
    recipe: Recipe | None,
    fitted: Fitted | None,
    settings: EngineSettings,
    items: str | Path | None = None,
    spectra: Path | None = None,
) -> Any:
    """Make a variant (None: V itself) answer: load V and merge into it, or address a server.

    A variant that is a checkpoint is loaded as it is, with its own processor. What was opened is closed with
    its `close`; vLLM and a server of the job's own start when the first questions are there.

    Args:
        recipe, fitted: what `Recipe.load` returned.
        items: the items folder; it says how the items were prompted, and below it prepared batches are kept.
        spectra: the folder that keeps spectra, for a method that works on singular directions.
    """
    family, home = _read_family(triple, recipe, items), on_load.find_folder(triple, recipe)
    if settings.name == "vllm" or settings.serve:
        return _open_vllm(triple, recipe, fitted, settings, family, spectra)
    if settings.name == "openai":
        from benchmarks.answering.openai_server import OpenAIServer

        return OpenAIServer(settings, family, read_thoughts(home, family, settings))
    from transformers import AutoProcessor, logging

    logging.disable_progress_bar()
    model = on_load.load(
        triple,
        recipe if recipe and recipe.checkpoint else None,
        dtype=settings.torch_dtype,
        device=settings.torch_device,
        device_map=settings.device_map,
    )
    processor = AutoProcessor.from_pretrained(home, trust_remote_code=False)
    if settings.name == "vlmeval":
        from benchmarks.answering.vlmevalkit_loop import VlmevalkitLoop

        engine: Any = VlmevalkitLoop(model, processor, settings, family)
    else:
        folder = Path(items) / "prepared" if items else None
        weights = recipe.checkpoint.digest if recipe and recipe.checkpoint else triple.digest["vlm"]
        engine = TransformersEngine(model, processor, settings, weights=weights, folder=folder, family=family)
    if recipe is not None:
        engine.become(triple, recipe, fitted, spectra)
    return engine


def plan_engine(
    triple: Triple, recipe: Recipe | None, settings: EngineSettings, items: str | Path | None = None
) -> Plan | None:
    """Say how the engine of `open_engine` groups and keys questions: no weight is read, no server asked.

    None where that cannot be said without what the engine needs.
    """
    from transformers import AutoProcessor

    family, home = _read_family(triple, recipe, items), on_load.find_folder(triple, recipe)
    if settings.name == "vllm" or settings.serve:
        from benchmarks.answering.served_engine import ServedPlan
        from benchmarks.answering.vllm_engine import find_home
        from benchmarks.answering.vllm_plan import VllmPlan

        home = find_home(triple, recipe, settings)
        planned = ServedPlan if settings.serve else VllmPlan
        plan = planned(home, AutoProcessor.from_pretrained(home, trust_remote_code=False), settings, family)
        try:
            _ = plan.fingerprint
        except ImportError:  # vLLM's version is part of it
            return None
        return plan
    if settings.name == "openai":
        from benchmarks.answering.openai_server import OpenAIPlan

        return OpenAIPlan(settings, family, read_thoughts(home, family, settings))
    kind = VlmevalkitPlan if settings.name == "vlmeval" else LocalPlan
    facts = ModelFacts.foresee(triple, recipe, settings)
    return kind(facts, AutoProcessor.from_pretrained(home, trust_remote_code=False), settings, family=family)


def _open_vllm(
    triple: Triple,
    recipe: Recipe | None,
    fitted: Fitted | None,
    settings: EngineSettings,
    family: families.Family,
    spectra: Path | None,
) -> Any:
    from transformers import AutoProcessor

    from benchmarks.answering.engine_pool import EnginePool
    from benchmarks.answering.served_engine import ServedEngine
    from benchmarks.answering.vllm_engine import VllmEngine, find_held, find_home

    held, home = find_held(recipe, settings), find_home(triple, recipe, settings)
    kind = ServedEngine if settings.serve else EnginePool if settings.devices > 1 else VllmEngine
    engine: Any = kind(
        triple, home, AutoProcessor.from_pretrained(home, trust_remote_code=False), settings, family, held
    )
    if recipe is not None:
        engine.become(triple, recipe, fitted, spectra)
    return engine


def describe_origin(triple: Triple, recipe: Recipe | None) -> dict[str, Any]:
    """Identify a variant's weights: the three checkpoints' digests and the recipe's key."""
    return {"triple": triple.digest, "recipe": recipe.key if recipe else None}


def _read_family(triple: Triple, recipe: Recipe | None, items: str | Path | None) -> families.Family:
    """Read the family that the items were made for; else find it by the model's type."""
    manifest = Path(items) / MANIFEST if items else None
    stored = read_json(manifest).get("family") if manifest and manifest.is_file() else None
    return (
        families.restore_family(stored)
        if stored
        else families.read_family(on_load.find_folder(triple, recipe))
    )
