"""Answer the questions of one split with one variant, merged on load; resumes where it was stopped.

python -m benchmarks.predict --triple JSON --recipe results/miniature/variants/V --items FOLDER
    --split test --benchmarks a,b --engine JSON --out predictions/V.jsonl
"""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import items as item_files
from benchmarks.engine import Settings, open_engine, origin
from benchmarks.predictions import opened
from benchmarks.progress import Progress
from frism.errors import UserError, reported
from frism.recipes import Recipe
from frism.triples import Triple


def predict(
    triple: Triple,
    recipe: Recipe,
    fitted: dict[str, Any],
    items: dict[str, list[item_files.Item]],
    settings: Settings,
    folder: Path,
    out: Path,
) -> int:
    """Answer what `out` does not hold yet; return how many questions that were.

    A batch that was stored in part is answered again as a whole and its missing lines appended, so the
    answers do not depend on when a run was stopped. Raises UserError for bad input.
    """
    engine = open_engine(triple, recipe, fitted, settings, folder)
    batches = engine.batches([i for group in items.values() for i in group], origin(triple, recipe))
    wanted = {key for batch in batches for key in batch.keys}
    with opened(out, wanted) as store:
        if store.dropped:
            print(f"{out}: {store.dropped} answers of another variant, prompt or setting removed")
        before = len(store.done)
        with Progress("answers", len(wanted), "questions", before) as progress:
            for batch in batches:
                missing = sum(key not in store.done for key in batch.keys)
                if missing:
                    store.append(engine.answer(batch))
                    progress.advance(missing)
        return len(store.done) - before


def triple_of(text: str, scope: str = "mat") -> Triple:
    """Open the triple that a command line names as JSON. Raises UserError."""
    try:
        folders = json.loads(text)
        paths = {role: folders[role] for role in ("base", "vlm", "lrm")}
    except (ValueError, KeyError, TypeError):
        raise UserError(f"--triple must be JSON with base, vlm and lrm, not {text!r}.") from None
    return Triple.open(**paths, scope=scope)


@reported()
def main(
    triple: Annotated[str, typer.Option(help="checkpoint folders as JSON: base, vlm, lrm")],
    recipe: Annotated[Path, typer.Option(help="the variant's folder, with recipe.json")],
    items: Annotated[Path, typer.Option(help="the items folder")],
    benchmarks: Annotated[str, typer.Option(help="names, separated by commas")],
    engine: Annotated[str, typer.Option(help="the engine's settings as JSON")],
    out: Annotated[Path, typer.Option(help="JSON lines, appended to")],
    split: Annotated[str, typer.Option(help="which items")] = "test",
) -> None:
    """Answer a split's questions with one variant."""
    settings = Settings.parse(engine)
    made, fitted = Recipe.load(recipe)
    asked = item_files.load(items, split, benchmarks)
    predict(triple_of(triple, made.scope), made, fitted, asked, settings, items, out)


if __name__ == "__main__":
    typer.run(main)
