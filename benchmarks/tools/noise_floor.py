"""Answer one variant's test questions again in another order, and count what differs: the engine's noise.

python -m benchmarks.tools.noise_floor --study results/miniature/study.json --variant inject
On a GPU greedy answers depend on what is computed at the same time, so some flips between two variants are
noise. Writes noise/<variant>.json, which the summary, written again, names beside the differences, and keeps
the answers in noise/<variant>.jsonl. The study must have been run with the same engine.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

import benchmarks.stages  # noqa: F401 (first: it keeps the bars of libraries off the terminal)
from benchmarks.answering.answer import predict
from benchmarks.answering.matching import match_predictions
from benchmarks.answering.predictions import read_predictions
from benchmarks.questions import reading
from benchmarks.questions.item import Item
from benchmarks.scoring.question_scores import score_answers
from benchmarks.stages.command import StudyFile, VariantName, begin, find_variant
from benchmarks.stages.summary import find_missed, render
from benchmarks.study.config import StudyConfig
from benchmarks.study.layout import Layout
from frism.errors import UserError, report_errors
from frism.files import atomic_write, write_json
from frism.method.recipe import Recipe


def measure(study: StudyConfig, variant: str, layout: Layout) -> dict[str, Any]:
    """Answer the test questions of a variant again, in reversed order; return what differs, by benchmark.

    Raises UserError where the study has no answers of the variant yet.
    """
    folder = layout.items(find_variant(study.variants, variant))
    recipe, fitted = Recipe.load(layout.variant(variant))
    items = reading.load_items(folder, "test", study.benchmark_names)
    stored = layout.predictions(variant)
    if not stored.is_file():
        raise UserError(f"{stored} is missing: run the study first.")
    again = layout.noise(variant).with_suffix(".jsonl")
    settings = study.engine.at(study.variants[variant].served)
    predict(
        study.triple.open(recipe.scope), recipe, fitted,
        {name: group[::-1] for name, group in items.items()},
        settings, folder, again, spectra=layout.spectra,
    )  # fmt: skip
    return compare(variant, items, stored, again)


def compare(variant: str, items: Mapping[str, Sequence[Item]], one: Path, other: Path) -> dict[str, Any]:
    """Count the questions whose answers, and whose scores, differ between two predictions files."""
    answers = [match_predictions(items, read_predictions(path), path) for path in (one, other)]
    scores = [score_answers(variant, items, found).set_index(["benchmark", "index"]) for found in answers]
    texts, marks = (scores[0][name] != scores[1][name] for name in ("raw", "correct"))
    return {
        "variant": variant,
        "n": len(texts),
        "answers": int(texts.sum()),
        "scores": int(marks.sum()),
        "benchmarks": {
            str(name): {"n": len(group), "answers": int(group.sum()), "scores": int(marks[group.index].sum())}
            for name, group in texts.groupby(level="benchmark", sort=False)
        },
    }


@report_errors()
def main(study: StudyFile, variant: VariantName) -> None:
    """Measure how many answers and scores of a variant differ when it is asked in another order."""
    begin(variant)
    layout = Layout.beside(study)
    found = measure(StudyConfig.read(study), variant, layout)
    write_json(layout.noise(variant), found)
    summary = layout.root / "summary.md"
    if summary.is_file():
        settings = StudyConfig.read(study)
        text = render(settings, layout.root / "tables", find_missed(settings, layout.root))
        with atomic_write(summary) as path:
            path.write_text(text, encoding="utf-8")
    print(
        f"{variant}: of {found['n']} questions asked again in another order {found['answers']} have another"
        f" answer and {found['scores']} another score ({layout.noise(variant)})."
    )


if __name__ == "__main__":
    typer.run(main)
