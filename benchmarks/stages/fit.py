"""Fit a variant's grid points ahead of its answers, where another process answers for many variants at once.

python -m benchmarks.stages.fit --study study.json --variant V --code DIGEST --out variants/V/fitted.json
The points lie in variants/V/points/, where `benchmarks.stages.answer` takes them up; the file names their
recipes.
"""

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.answering.answer import make_late_engine
from benchmarks.stages.command import StudyFile, VariantName, begin, find_variant
from benchmarks.stages.open_triple import open_triple
from benchmarks.stages.tune import fit_points
from benchmarks.study.layout import Layout
from benchmarks.study.slices.tune_slice import TuneSlice
from frism.errors import report_errors
from frism.files import write_json


def run(study: TuneSlice, variant: str, layout: Layout, code: str, out: Path) -> None:
    """Fit every point of a variant's grid, whose method must not ask for dev scores.

    Raises UserError for a variant that cannot be fitted.
    """
    items, own = layout.items(find_variant(study.variants, variant)), study.variants[variant]
    triple = open_triple(layout, study.triple, own.scope or study.scope, base=own.base)
    engine = make_late_engine(triple, None, study.engine, items)  # is never asked
    points = fit_points(study, variant, triple, layout, code, {}, engine)
    write_json(out, {"recipes": [point.recipe.key for point in points]})


@report_errors()
def main(
    study: StudyFile,
    variant: VariantName,
    code: Annotated[str, typer.Option(help="digest of the code that fits and merges")],
    out: Annotated[Path, typer.Option(help="JSON, written when all points are fitted")],
) -> None:
    """Fit a variant's grid points."""
    begin(variant)
    run(TuneSlice.read(study), variant, Layout.beside(study), code, out)


if __name__ == "__main__":
    typer.run(main)
