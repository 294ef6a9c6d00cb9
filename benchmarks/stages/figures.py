"""Draw the study's figures.

python -m benchmarks.stages.figures --study results/miniature/study.json
"""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from benchmarks.figures import (
    bimodality,
    gate_maps,
    learning_curves,
    overlap,
    rank_blocks,
    sweep,
    tokens,
    trade_off,
)
from benchmarks.stages.command import StudyFile, begin
from benchmarks.study.config import StudyConfig
from benchmarks.study.results import read_table
from frism.errors import report_errors


def build(results: Path, study: StudyConfig, out: Path, workers: int = 1) -> None:
    """Draw every figure as PNG and SVG, some at the same time; one that a study has nothing for says so."""

    def table(name: str) -> pd.DataFrame:
        return read_table(results / "tables" / f"{name}.csv")

    layers, ranks, energy = map(table, ("gates_by_layer", "gates_by_rank", "energy_by_layer"))
    drawings: list[Callable[[], object]] = [
        partial(trade_off.draw, study, table("pareto"), table("selection"), out),
        partial(gate_maps.draw, study, layers, ranks, energy, out),
        partial(sweep.draw, study, table("selection"), out),
        partial(tokens.draw, study, table("tokens"), out),
        partial(overlap.draw, study, table("overlap"), out),
        partial(rank_blocks.draw, study, table("rank_blocks"), out),
        partial(bimodality.draw, study, table("bimodality"), out),
        partial(learning_curves.draw, results, study, out),
    ]
    if workers == 1:
        for draw in drawings:
            draw()
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("fork")) as pool:
        for drawing in [pool.submit(draw) for draw in drawings]:
            drawing.result()


@report_errors()
def main(
    study: StudyFile,
    out: Annotated[Path | None, typer.Option(help="default: figures/ beside the record")] = None,
    workers: Annotated[int, typer.Option(min=1, help="figures that are drawn at the same time")] = 1,
) -> None:
    """Draw the figures of a study."""
    begin("figures")
    build(study.parent, StudyConfig.read(study), out or study.parent / "figures", workers)


if __name__ == "__main__":
    typer.run(main)
