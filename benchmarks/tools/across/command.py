"""Put finished studies of different triples side by side: `frism across results/a results/b --out DIR`.

Any studies that name the same variants and share benchmarks, of the miniature's population or of real
checkpoints. Nothing is run or loaded but the checkpoints' tensors, for norms (--no-weights: not even those).
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import benchmarks.stages  # noqa: F401 (first: it keeps the bars of libraries off the terminal)
from frism.commands.console import Json, make_console
from frism.errors import UserError, report_errors

if TYPE_CHECKING:
    import pandas as pd

    from benchmarks.tools.across.effects import Measuring

OUT = Path("results/across")


@report_errors()
def main(
    studies: Annotated[
        list[Path], typer.Argument(help="Results folders of finished studies, or archives of them.")
    ],
    out: Annotated[Path, typer.Option(help="The folder of tables, figures and the summary.")] = OUT,
    claims: Annotated[
        Path | None, typer.Option(help="Claims to judge; by default those of docs/claims.md.")
    ] = None,
    confidence: Annotated[float, typer.Option(help="Level of intervals; claims have their own.")] = 0.95,
    resamples: Annotated[int, typer.Option(min=100, help="Bootstrap resamples.")] = 2000,
    weights: Annotated[bool, typer.Option(help="Read the checkpoints, for norms and cosines.")] = True,
    archive: Annotated[
        Path | None,
        typer.Option(help="Write what is read of each study into a small file in this folder, too."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare methods over several triples: effects, heterogeneity, claims with verdicts, what predicts them.

    Exit code 2 with one sentence where studies cannot be put side by side.
    """
    if not 0.5 < confidence < 1:
        raise UserError(f"--confidence {confidence} is no level: give one between 0.5 and 1, such as 0.95.")
    tables, measuring = compare(
        studies, out, claims, confidence=confidence, resamples=resamples, weights=weights, archive=archive
    )
    if as_json:
        shown = {name: json.loads(frame.to_json(orient="records")) for name, frame in tables.items()}
        print(json.dumps({"left_out": measuring.population.left_out, **shown}, indent=1))
        return
    console = make_console()
    for line in measuring.population.left_out:
        console.print(f"Left out: {line}.", soft_wrap=True, highlight=False)
    console.print((out / "summary.md").read_text(encoding="utf-8").partition("\n## ")[0], markup=False)
    console.print(f"Tables, figures and summary.md: {out}", soft_wrap=True)


def compare(
    studies: list[Path],
    out: Path,
    claims: Path | None = None,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    weights: bool = True,
    archive: Path | None = None,
) -> "tuple[dict[str, pd.DataFrame], Measuring]":
    """Read studies, compare them and write everything into `out`; return the tables by name.

    Args:
        archive: folder for an archive of each study; None for none.
    """
    from benchmarks.tools.across.archives import unpack_studies

    with unpack_studies(studies) as folders:
        sources = {folder: source for source, folder in folders.items()}
        return _compare(sources, out, claims, confidence, resamples, weights, archive)


def _compare(
    sources: Mapping[Path, Path],
    out: Path,
    claims: Path | None,
    confidence: float,
    resamples: int,
    weights: bool,
    archive: Path | None,
) -> "tuple[dict[str, pd.DataFrame], Measuring]":
    from rich.console import Console
    from rich.progress import track

    from benchmarks.tools.across import predictors
    from benchmarks.tools.across import tables as made
    from benchmarks.tools.across.archives import SUFFIX, write_archive
    from benchmarks.tools.across.claims import read_claims
    from benchmarks.tools.across.drawing import draw_forests, draw_methods
    from benchmarks.tools.across.effects import Measuring
    from benchmarks.tools.across.summary import write_summary
    from benchmarks.tools.across.triples import read_population
    from frism.files import atomic_write, write_json

    rules = read_claims(claims) if claims is not None else read_claims()
    measuring = Measuring(read_population(list(sources)), resamples=resamples)
    contrasts = list(measuring.list_contrasts())
    console = Console(stderr=True)
    measured = [
        measuring.measure(one) for one in track(contrasts, "contrasts", console=console, transient=True)
    ]
    triples = predictors.collect_triples(measuring, weights=weights)
    tables = {
        "effects": made.build_effect_rows(measuring, measured, confidence),
        "overall": made.build_overall_rows(measuring, measured, confidence),
        "claims": made.build_claim_rows(measuring, rules),
        "triples": triples,
        "correlations": predictors.correlate(triples, confidence),
    }
    made.write_tables(tables, out / "tables", measuring, rules, confidence)
    draw_methods(measuring, tables["effects"], tables["overall"], out / "figures")
    draw_forests(measuring, tables["effects"], tables["overall"], out / "figures")
    text = write_summary(measuring, tables, rules, confidence)
    with atomic_write(out / "summary.md") as path:
        path.write_text(text, encoding="utf-8")
    write_json(out / "across.json", describe_run(measuring, confidence, sources))
    if archive is not None:
        for triple in measuring.population.triples:
            vectors = predictors.measure_vectors(triple) if weights else {}
            write_archive(triple.folder, vectors, archive / f"{triple.name}{SUFFIX}")
    return tables, measuring


def describe_run(measuring: "Measuring", confidence: float, sources: Mapping[Path, Path]) -> dict[str, Any]:
    """Record what was compared: studies with the content of their triples, and how."""
    population = measuring.population
    return {
        "studies": {
            triple.name: {
                "folder": str(sources[triple.folder]),
                "labels": triple.study.labels,
                **triple.digests,
            }
            for triple in population.triples
        },
        "variants": population.variants,
        "benchmarks": population.benchmarks,
        "left_out": population.left_out,
        "confidence": confidence,
        "resamples": measuring.resamples,
    }


if __name__ == "__main__":
    typer.run(main)
