"""Explain a study: where gates opened, what they injected, what rank by rank and every ablation show.

    python -m benchmarks.stages.explain --study results/miniature/study.json

Writes the tables of TABLES, each as CSV and Markdown, into RESULTS/tables; a table that does not apply to the
study is written empty. Reads variants/, scores/, text/ and the triple's checkpoints; those only if there are
gates or rank blocks to explain.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from benchmarks.stages.command import StudyFile, begin
from benchmarks.stages.open_triple import open_triple
from benchmarks.study.config import StudyConfig
from benchmarks.study.layout import Layout
from benchmarks.study.results import read_dev, read_scores, read_text
from benchmarks.tables import cells
from benchmarks.tables.cells import Column, Table
from benchmarks.tables.gates import ablations, bimodality, energy, open_gates, overlap, rank_blocks
from benchmarks.tables.gates.all_directions import AllDirections
from benchmarks.tables.gates.directions import Directions
from benchmarks.tables.gates.open_fractions import OpenFractions, read_chosen
from benchmarks.tables.legends import write_legend
from benchmarks.tables.score_matrix import ScoreMatrix
from frism.errors import report_errors
from frism.method.recipe import Recipe
from frism.progress import count_up
from frism.spectra.settings import SpectrumSettings
from frism.spectra.spectra import Spectra

TABLES: dict[str, Sequence[Column]] = {
    "gates_by_layer": open_gates.BY_LAYER,
    "gates_by_rank": open_gates.BY_RANK,
    "energy_by_layer": energy.COLUMNS,
    "overlap": overlap.COLUMNS,
    "rank_blocks": rank_blocks.COLUMNS,
    "bimodality": bimodality.COLUMNS,
    "ablations": ablations.COLUMNS,
}
CACHE_FOLDER = "explain"  # the folder under the results that keeps what was computed of every direction

ByMatrix = dict[str, Directions]


def build(
    results: Path, study: StudyConfig, out: Path, spectra: Path | None = None, device: str = "cpu"
) -> None:
    """Write every table into `out`. Raises UserError for missing or damaged results or checkpoints."""
    gates = read_chosen(results, study)
    directions = _collect_directions(results, study, gates, spectra, device)
    # Every gated variant of a study has one and the same spectrum; a control has that of its reference.
    first = next(iter(directions.values()), {})
    scores, text, dev = read_scores(results, study), read_text(results, study), read_dev(results, study)
    kinds = [ScoreMatrix.of(scores, study.benchmark_names)]
    if len(text) and study.text_of == "all":
        kinds.append(ScoreMatrix.of(text, study.text_names))
    whole = {name: matrix.total for name, matrix in first.items()}
    injected = energy.build_energy_rows(results, study, energy.add_energy(study, gates), whole)
    tables = {
        "gates_by_layer": open_gates.build_layer_rows(gates),
        "gates_by_rank": open_gates.build_rank_rows(gates, directions),
        "energy_by_layer": injected,
        "overlap": overlap.build_overlap_rows(gates, directions),
        "rank_blocks": rank_blocks.build_rank_block_rows(study, dev, first.values()),
        "bimodality": bimodality.build_bimodality_rows(results, gates),
        "ablations": ablations.build_ablation_rows(study, injected, *kinds),
    }
    for name, columns in TABLES.items():
        rows = tables[name]
        legend = write_legend(name, study, empty=rows.empty)
        cells.write_table(Table(rows, columns), out, name, *legend, shown=_select_shown(name, rows))


def _collect_directions(
    results: Path, study: StudyConfig, gates: Mapping[str, OpenFractions], folder: Path | None, device: str
) -> dict[SpectrumSettings, ByMatrix]:
    """Collect every matrix' directions, by the settings of the spectrum that variants were fitted on."""
    wanted = dict.fromkeys(g.recipe.spectrum for g in gates.values() if g.recipe.spectrum is not None)
    for variant in rank_blocks.list_block_variants(study):
        settings = Recipe.load(results / "variants" / variant)[0].spectrum
        if settings is not None:
            wanted.setdefault(settings)
    if not wanted:
        return {}
    triple = open_triple(Layout(results), study.triple)
    by_settings = {}
    for settings in wanted:
        every = AllDirections(Spectra(triple, settings, folder), results / CACHE_FOLDER, device)
        names = count_up(triple.names("mat"), "directions of tau_R in tau_V's", "matrices")
        by_settings[settings] = {name: every.of(name) for name in names}
    return by_settings


def _select_shown(name: str, rows: pd.DataFrame) -> Sequence[Table]:
    """Select what of a long table the Markdown shows."""

    def without(selected: pd.DataFrame, *names: str) -> Table:
        return Table(selected, [column for column in TABLES[name] if column.name not in names])

    if rows.empty:
        return ()
    if name == "gates_by_layer":
        everywhere = (rows["layer"] == open_gates.ALL, rows["module"] == open_gates.ALL)
        return without(rows[everywhere[0]], "layer"), without(rows[everywhere[1]], "module")
    if name == "gates_by_rank":
        return (without(rows[rows["module"] == open_gates.ALL], "module"),)
    if name == "overlap":
        return overlap.show_averaged(rows, "module"), overlap.show_averaged(rows, "layer")
    if name == "bimodality":
        return (without(rows, "histogram", "params"),)
    return ()


@report_errors()
def main(
    study: StudyFile,
    out: Annotated[Path | None, typer.Option(help="default: tables/ beside the record")] = None,
) -> None:
    """Write the tables that explain a study."""
    begin("explain")
    config, layout = StudyConfig.read(study), Layout.beside(study)
    device = "cuda" if config.engine.device == "cuda" else "cpu"
    build(layout.root, config, out or layout.root / "tables", layout.spectra, device)


if __name__ == "__main__":
    typer.run(main)
