"""Draw the study's figures.

python -m benchmarks.stages.figures --results results/miniature --config JSON --out results/miniature/figures
"""

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from benchmarks.figures import bimodality, gate_maps, learning_curves, overlap, rank_blocks, sweep, trade_off
from benchmarks.study.config import Study
from benchmarks.study.results import read_table
from frism.errors import report_errors


@report_errors()
def main(
    results: Annotated[Path, typer.Option(help="the study's folder, with tables/ and variants/")],
    config: Annotated[str, typer.Option(help="the study's settings as JSON")],
    out: Annotated[Path | None, typer.Option(help="default: RESULTS/figures")] = None,
) -> None:
    """Write every figure as PNG and SVG; one that a study has nothing for says so."""
    study, out = Study.parse(config), out or results / "figures"

    def table(name: str) -> pd.DataFrame:
        return read_table(results / "tables" / f"{name}.csv")

    trade_off.draw(study, table("pareto"), table("selection"), out)
    sweep.draw(study, table("selection"), out)
    gate_maps.draw(study, table("gates_by_layer"), table("gates_by_rank"), table("energy_by_layer"), out)
    overlap.draw(study, table("overlap"), out)
    rank_blocks.draw(study, table("rank_blocks"), out)
    bimodality.draw(study, table("bimodality"), out)
    learning_curves.draw(results, study, out)


if __name__ == "__main__":
    typer.run(main)
