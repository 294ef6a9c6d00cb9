"""Answer the questions of one split with one variant, merged on load; resumes where it was stopped.

python -m benchmarks.stages.predict --triple JSON --recipe results/miniature/variants/V --items FOLDER
    --split test --benchmarks a,b --engine JSON --out predictions/V.jsonl
Beside V.jsonl come V.provenance.json, from which every key can be computed again without a model, and
V.batches.jsonl with what every batch cost.
"""

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.answering import multi_gpu
from benchmarks.answering.answer import predict
from benchmarks.questions import reading
from benchmarks.stages.arguments import triple_of
from benchmarks.study.engine_settings import EngineSettings
from frism.errors import report_errors
from frism.method.recipe import Recipe


@report_errors()
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
    settings, share = EngineSettings.parse(engine), multi_gpu.share_of(part)
    if settings.name == "transformers" and settings.devices > 1 and share == (0, 1):
        options = {"triple": triple, "recipe": recipe, "items": items, "benchmarks": benchmarks,
                   "split": split, "engine": engine, **({"spectra": spectra} if spectra else {})}  # fmt: skip
        multi_gpu.predict_in_parts(options, settings, out)
        return
    made, fitted = Recipe.load(recipe)
    asked = reading.load(items, split, benchmarks)
    predict(triple_of(triple, made.scope), made, fitted, asked, settings, items, out, share, spectra)


if __name__ == "__main__":
    typer.run(main)
