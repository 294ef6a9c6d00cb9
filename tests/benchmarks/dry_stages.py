"""The stages of a dry run that have no command of their own, each as a process: seconds by part, as JSON.

    python tests/benchmarks/dry_stages.py hash|fit|answer FOLDER OPTIONS
FOLDER is what few_layers.py made. OPTIONS, JSON: begun (time of the start), rank, steps, batch, tokens,
questions. FOLDER/STAGE.json receives the parts; the fit leaves FOLDER/variant, a recipe with its gates.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from few_layers import ROLES

from benchmarks.study import calibration_settings

QUESTION = "What is shown?"


class Parts:
    """Seconds by part; the start is everything from the process's beginning to here."""

    def __init__(self, begun: float) -> None:
        self.seconds: dict[str, float] = {"start": time.time() - begun}

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its seconds added to a part."""

        def run(*given: Any, **named: Any) -> Any:
            started = time.perf_counter()
            try:
                return function(*given, **named)
            finally:
                self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started

        return run


def opened(folder: Path) -> Any:
    from frism.triples.triple import Triple

    return Triple.open(**{role: folder / role for role in ROLES})


def digest(folder: Path, options: dict[str, Any]) -> dict[str, float]:
    """What the workflow does first: sha256 of the three checkpoints."""
    triple = opened(folder)
    parts = Parts(options["begun"])
    parts.timed("hash", lambda: triple.digest)()
    return parts.seconds


def fit(folder: Path, options: dict[str, Any]) -> dict[str, float]:
    """FRISM's fit as a study runs it, on the folder of pictures."""
    from transformers import AutoProcessor, Qwen2_5_VLForConditionalGeneration  # noqa: F401 (part of the start)

    from benchmarks.calibration import load
    from frism.compute import Compute
    from frism.distillation.receiver import Receiver
    from frism.gates import learner
    from frism.method.discovery import find
    from frism.method.recipe import Recipe
    from frism.spectra.settings import SpectrumSettings
    from frism.spectra.spectra import Spectra

    triple, method = opened(folder), find("frism")
    settings = SpectrumSettings(rank=options["rank"])
    pictures, count = str(folder / "pictures"), options["questions"]
    source = calibration_settings.CalibrationSettings(source="folder", folder=pictures, questions=count)
    questions = load.load(source, seed=0)
    params = {"steps": options["steps"], "batch": options["batch"], "max_new_tokens": options["tokens"]}
    parts = Parts(options["begun"])
    Receiver.load = parts.timed("load", Receiver.load)  # type: ignore[method-assign]
    learner.teach = parts.timed("teacher", learner.teach)
    learner.gate_model = parts.timed("factors", learner.gate_model)
    learn = Parts(0)
    fitted = learn.timed("all", method.run_fit)(
        triple, params, calibration=questions, spectra=Spectra(triple, settings, folder / "spectra"),
        compute=Compute(), workspace=folder / "work", seed=0,
    )  # fmt: skip
    known = sum(parts.seconds.get(part, 0.0) for part in ("load", "teacher", "factors"))
    parts.seconds["steps"] = learn.seconds["all"] - known
    recipe = Recipe.make(triple, "frism", params, seed=0, spectrum=settings, fitted=fitted)
    recipe.save(folder / "variant", fitted)
    return parts.seconds


def answer(folder: Path, options: dict[str, Any]) -> dict[str, float]:
    """Load V, merge the fitted variant into it, and answer questions about the pictures."""
    from transformers import AutoProcessor, Qwen2_5_VLForConditionalGeneration  # noqa: F401 (part of the start)

    from benchmarks.answering.transformers_engine import TransformersEngine
    from benchmarks.questions.item import Item, picture_digest
    from benchmarks.study.engine_settings import EngineSettings
    from frism.merging import on_load
    from frism.method.recipe import Recipe

    triple = opened(folder)
    recipe, fitted = Recipe.load(folder / "variant")
    parts = Parts(options["begun"])
    on_load.apply = parts.timed("merge", on_load.apply)
    started = time.perf_counter()
    model = on_load.load(triple, recipe, fitted, spectra=folder / "spectra")
    parts.seconds["load"] = time.perf_counter() - started - parts.seconds["merge"]
    settings = EngineSettings(
        name="transformers", batch_size=options["batch"], max_new_tokens=options["tokens"]
    )
    engine = TransformersEngine(model, AutoProcessor.from_pretrained(triple.vlm_folder), settings)
    engine.ends = frozenset()  # nobody ends early: random weights might
    places = sorted((folder / "pictures").iterdir())[: options["questions"]]
    items = [
        Item(
            "dry_run", "test", str(i),
            ({"type": "image", "value": f"pictures/{place.name}"}, {"type": "text", "value": QUESTION}),
            "", (picture_digest(place.read_bytes()),), folder,
        )
        for i, place in enumerate(places)
    ]  # fmt: skip
    count = 0
    for found in parts.timed("answers", lambda: list(engine.generate(items)))():
        count += len(found)
    assert count == len(items)
    return parts.seconds


STAGES = {"hash": digest, "fit": fit, "answer": answer}

if __name__ == "__main__":
    stage, where, given = sys.argv[1:]
    taken = STAGES[stage](Path(where), json.loads(given))
    (Path(where) / f"{stage}.json").write_text(json.dumps(taken))
