"""Answer the questions that a predictions file does not hold yet."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.answering import cost, keys
from benchmarks.answering.batching import Batch
from benchmarks.answering.engine import describe_origin, open_engine, plan_engine
from benchmarks.answering.failures import Tolerance, describe_kinds
from benchmarks.answering.late_engine import Engine, LateEngine
from benchmarks.answering.predictions import PredictionStore, open_store
from benchmarks.answering.sampling import list_samples
from benchmarks.questions.item import Item
from benchmarks.study.engine_settings import EngineSettings
from frism.method.fitted import Fitted
from frism.method.recipe import Recipe
from frism.progress import Progress
from frism.triples.triple import Triple

log = logging.getLogger(__name__)


def predict(
    triple: Triple,
    recipe: Recipe,
    fitted: Fitted,
    items: dict[str, list[Item]],
    settings: EngineSettings,
    folder: Path,
    out: Path,
    part: tuple[int, int] = (0, 1),
    spectra: Path | None = None,
    engine: LateEngine | None = None,
) -> int:
    """Answer what `out` does not hold yet; return how many questions that were.

    A batch that was stored in part is answered again as a whole and its missing lines appended, so the
    answers do not depend on when a run was stopped. Where no answer is missing, no model is loaded. Raises
    UserError for bad input, and where more questions cannot be answered than the settings let pass.

    Args:
        part: (i, n): every n-th batch from the i-th on, where n processes share the work.
        spectra: the folder that keeps spectra, for a method that works on singular directions.
        engine: what answers, where it serves other variants or questions too; the default is opened for this.
    """
    engine = engine or make_late_engine(triple, recipe, settings, folder)
    engine.turn_into(triple, recipe, fitted, spectra)
    origin = describe_origin(triple, recipe)
    everything = list_samples((item for group in items.values() for item in group), settings.samples)
    tolerance = Tolerance.over(settings.tolerated_share, everything)
    plan, batches = engine.group(everything, origin, out, tolerance, part)
    wanted = {key for batch in batches for key in batch.keys}
    with open_store(out, wanted, tolerance) as store:
        if store.dropped and part == (0, 1):
            log.info("%s: %d answers of another variant, prompt or setting removed", out, store.dropped)
        keys.write_provenance(
            out, origin, plan.fingerprint, {batch.digest: batch.contents for batch in batches}
        )
        before = len(store.done)
        with Progress("answers", len(wanted), "questions", before) as progress:
            for count in answer_missing(engine, batches, store):
                progress.advance(count)
        if store.failed:
            log.warning(
                "%s: %d questions count as unanswered (%s)",
                out,
                len(store.failed),
                describe_kinds(store.failed),
            )
        return len(store.done) - before


def make_late_engine(
    triple: Triple, recipe: Recipe | None, settings: EngineSettings, items: Path
) -> LateEngine:
    """Hold the engine for a variant that is a checkpoint, or (None, or a merge) for every merge into V.

    With `engine.checkpoint` it is for the one variant that was exported there.

    It is opened once, as V or the checkpoint, and not before an answer is missing.
    """
    opened = recipe if recipe is not None and (recipe.checkpoint or settings.checkpoint) else None
    return LateEngine(
        settings,
        lambda: plan_engine(triple, opened, settings, items),
        lambda: open_engine(triple, opened, None, settings, items),
    )


def answer_missing(late: LateEngine, batches: Sequence[Batch], store: PredictionStore) -> Iterator[int]:
    """Answer the batches that the store does not hold completely; yield how many answers each adds.

    The engine is opened only if there is such a batch.
    """
    incomplete = [batch for batch in batches if any(key not in store.done for key in batch.keys)]
    if not incomplete:
        return
    engine: Engine = late.engine
    for batch, answers in zip(incomplete, engine.answers(incomplete), strict=True):
        before = len(store.done)
        store.append(answers)
        cost.append_costs(store.path, engine.costs[-1:])
        if engine.costs[-1].parts > 1:
            size = len(batch.items)
            log.info("memory ran out: %d questions were answered in %d parts", size, engine.costs[-1].parts)
        yield len(store.done) - before
