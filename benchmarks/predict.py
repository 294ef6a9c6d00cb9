"""Answer the questions of one split with one variant, merged on load; resumes where it was stopped.

python -m benchmarks.predict --triple JSON --recipe results/miniature/variants/V --items FOLDER
    --split test --benchmarks a,b --engine JSON --out predictions/V.jsonl
Beside V.jsonl come V.provenance.json, from which every key can be computed again without a model, and
V.batches.jsonl with what every batch cost.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import items as item_files
from benchmarks import keys
from benchmarks.engine import Answers, Batch, Settings, open_engine, origin
from benchmarks.engines import cost, processes
from benchmarks.predictions import Store, opened
from benchmarks.progress import Progress
from frism.errors import UserError, reported
from frism.recipes import Recipe
from frism.triples.triple import Triple


def predict(
    triple: Triple,
    recipe: Recipe,
    fitted: dict[str, Any],
    items: dict[str, list[item_files.Item]],
    settings: Settings,
    folder: Path,
    out: Path,
    part: tuple[int, int] = (0, 1),
    spectra: Path | None = None,
) -> int:
    """Answer what `out` does not hold yet; return how many questions that were.

    A batch that was stored in part is answered again as a whole and its missing lines appended, so the
    answers do not depend on when a run was stopped. Raises UserError for bad input.

    Args:
        part: (i, n): every n-th batch from the i-th on, where n processes share the work.
        spectra: the folder that keeps spectra, for a method that works on singular directions.
    """
    engine = open_engine(triple, recipe, fitted, settings, folder, spectra)
    whence = origin(triple, recipe)
    batches = engine.batches([i for group in items.values() for i in group], whence)
    batches = batches[part[0] :: part[1]]
    wanted = {key for batch in batches for key in batch.keys}
    with opened(out, wanted) as store:
        if store.dropped and part == (0, 1):
            print(f"{out}: {store.dropped} answers of another variant, prompt or setting removed")
        keys.write(out, whence, engine.fingerprint, {batch.digest: batch.contents for batch in batches})
        before = len(store.done)
        with Progress("answers", len(wanted), "questions", before) as progress:
            for count in answer_missing(engine, batches, store):
                progress.advance(count)
        return len(store.done) - before


def answer_missing(engine: Answers, batches: Sequence[Batch], store: Store) -> Iterator[int]:
    """Answer the batches that the store does not hold completely; yield how many answers each adds."""
    incomplete = [batch for batch in batches if any(key not in store.done for key in batch.keys)]
    for batch, found in zip(incomplete, engine.answers(incomplete), strict=True):
        before = len(store.done)
        store.append(found)
        cost.append(store.path, engine.costs[-1:])
        if engine.costs[-1].parts > 1:
            size = len(batch.items)
            print(f"memory ran out: {size} questions were answered in {engine.costs[-1].parts} parts")
        yield len(store.done) - before


def triple_of(text: str, scope: str = "mat", *, text_receiver: bool = False) -> Triple:
    """Open the triple that a command line names as JSON. Raises UserError."""
    try:
        folders = json.loads(text)
        paths = {role: folders[role] for role in ("base", "vlm", "lrm")}
    except (ValueError, KeyError, TypeError):
        raise UserError(f"--triple must be JSON with base, vlm and lrm, not {text!r}.") from None
    return Triple.open(**paths, scope=scope, text_receiver=text_receiver)


@reported()
def main(
    triple: Annotated[str, typer.Option(help="checkpoint folders as JSON: base, vlm, lrm")],
    recipe: Annotated[Path, typer.Option(help="the variant's folder, with recipe.json")],
    items: Annotated[Path, typer.Option(help="the items folder")],
    benchmarks: Annotated[str, typer.Option(help="names, separated by commas")],
    engine: Annotated[str, typer.Option(help="the engine's settings as JSON")],
    out: Annotated[Path, typer.Option(help="JSON lines, appended to")],
    split: Annotated[str, typer.Option(help="which items")] = "test",
    part: Annotated[str, typer.Option(help="i/n: only every n-th batch from the i-th on")] = "0/1",
    spectra: Annotated[Path | None, typer.Option(help="the folder that keeps spectra")] = None,
) -> None:
    """Answer a split's questions with one variant."""
    settings, share = Settings.parse(engine), processes.share_of(part)
    if settings.name == "transformers" and settings.devices > 1 and share == (0, 1):
        options = {"triple": triple, "recipe": recipe, "items": items, "benchmarks": benchmarks,
                   "split": split, "engine": engine, **({"spectra": spectra} if spectra else {})}  # fmt: skip
        processes.predict_in_parts(options, settings, out)
        return
    made, fitted = Recipe.load(recipe)
    asked = item_files.load(items, split, benchmarks)
    predict(triple_of(triple, made.scope), made, fitted, asked, settings, items, out, share, spectra)


if __name__ == "__main__":
    typer.run(main)
