"""Draw the study's figures.

python -m benchmarks.stages.figures --study results/miniature/study.json
"""

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


def build(results: Path, study: StudyConfig, out: Path) -> None:
    """Draw every figure as PNG and SVG; one that a study has nothing for says so."""

    def table(name: str) -> pd.DataFrame:
        return read_table(results / "tables" / f"{name}.csv")

    trade_off.draw(study, table("pareto"), table("selection"), out)
    tokens.draw(study, table("tokens"), out)
    sweep.draw(study, table("selection"), out)
    gate_maps.draw(study, table("gates_by_layer"), table("gates_by_rank"), table("energy_by_layer"), out)
    overlap.draw(study, table("overlap"), out)
    rank_blocks.draw(study, table("rank_blocks"), out)
    bimodality.draw(study, table("bimodality"), out)
    learning_curves.draw(results, study, out)


@report_errors()
def main(
    study: StudyFile,
    out: Annotated[Path | None, typer.Option(help="default: figures/ beside the record")] = None,
) -> None:
    """Draw the figures of a study."""
    begin("figures")
    build(study.parent, StudyConfig.read(study), out or study.parent / "figures")


if __name__ == "__main__":
    typer.run(main)
