"""Draw the study's figures.

python -m benchmarks.figures --results results/miniature --config JSON --out results/miniature/figures
"""

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.plots import gates, learning, trade_off
from benchmarks.study import Study, read_table
from frism.errors import reported


@reported()
def main(
    results: Annotated[Path, typer.Option(help="the study's folder, with tables/ and variants/")],
    config: Annotated[str, typer.Option(help="the study's settings as JSON")],
    out: Annotated[Path | None, typer.Option(help="default: RESULTS/figures")] = None,
) -> None:
    """Write trade_off, gates and learning as PNG and SVG."""
    study, out = Study.parse(config), out or results / "figures"
    tables = results / "tables"
    trade_off.draw(study, read_table(tables / "pareto.csv"), read_table(tables / "selection.csv"), out)
    gates.draw(results, study, out)
    learning.draw(results, study, out)


if __name__ == "__main__":
    typer.run(main)
