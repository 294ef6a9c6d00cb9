"""Fetch the TSVs of published benchmarks, and check them by their hashes.

python -m benchmarks.tools.data --config config/x.yaml     (those of a study, into its data.folder)
python -m benchmarks.tools.data --benchmarks POPE,MMStar --folder FOLDER
fetches what is missing from VLMEvalKit's own addresses or the hub, checks the rest, and prints the hashes.
A study only reads the folder: a wrong or missing file is an error there, never a download over it.
"""

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.questions.tsv_files import fetch
from benchmarks.registry.lookup import find, find_all
from benchmarks.study.config import StudyConfig
from frism.errors import UserError, report_errors


@report_errors()
def main(
    benchmarks: Annotated[str, typer.Option(help="names, separated by commas, or a JSON list")] = "",
    folder: Annotated[Path | None, typer.Option(help="where the TSVs are and come to")] = None,
    config: Annotated[Path | None, typer.Option(help="or a study's config, which names both")] = None,
) -> None:
    """Fetch the TSVs that are missing, check all of them, and print their sizes and digests."""
    if config is not None:
        study = StudyConfig.load(config)
        definitions = [find(entry) for entry in study.benchmarks]
        folder = folder or (Path(study.data.folder) if study.data.folder else None)
    else:
        definitions = find_all(benchmarks)
    if folder is None or not definitions:
        raise UserError("nothing to fetch: give --config, or --benchmarks with --folder.")
    for definition in definitions:
        if definition.source.tsv is None:
            print(f"{definition.name}: no TSV belongs to it")
            continue
        tsv = fetch(definition, folder)
        print(f"{definition.name}: {tsv.path}, {tsv.size / 1e6:.1f} MB, sha256 {tsv.sha256}", flush=True)


if __name__ == "__main__":
    typer.run(main)
