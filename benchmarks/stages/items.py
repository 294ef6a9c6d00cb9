"""Write every question with its pictures and prompt as VLMEvalKit builds them, in files that stages share.

python -m benchmarks.stages.items --study results/miniature/study.json [--variant V]
writes items/<split>/<benchmark>.jsonl, the TSVs and pictures beside them, benchmarks.json (the definitions as
they count here) and manifest.json, last; --variant writes those of a variant that is asked in its own way.
"""

from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from benchmarks.prompting.families import read_family
from benchmarks.questions.writing import write_items
from benchmarks.registry.definition import Definition
from benchmarks.registry.lookup import find, find_file
from benchmarks.stages.command import StudyFile, begin
from benchmarks.study.layout import Layout
from benchmarks.study.slices.items_slice import ItemsSlice
from frism.errors import UserError, report_errors
from frism.files import atomic_write


def run(settings: ItemsSlice, out: Path, *, record_hashes: bool = False) -> None:
    """Write the items that a slice describes into the folder `out`.

    Args:
        record_hashes: also pin the data's digests in the definitions' own files.

    Raises UserError for data that are missing or not those of the definitions.
    """
    definitions = [find(entry) for entry in settings.benchmarks]
    if record_hashes:
        definitions = [d.model_copy(update={"sha256": {}}) for d in definitions]
    family = read_family(settings.triple.vlm, **settings.prompting.overrides)
    splits = settings.questions.model_dump()
    manifest = write_items(
        out, definitions, splits, settings.seed,
        data=settings.data.folder, family=family, tolerant=settings.engine.failures != "fail",
    )  # fmt: skip
    if record_hashes:
        pin_digests(manifest, definitions)


def pin_digests(manifest: dict[str, Any], definitions: list[Definition]) -> None:
    """Write the data digests of a manifest into the definitions' `sha256`.

    Raises UserError for a benchmark without a file of its own: its digest belongs into a study's config.
    """
    for definition in definitions:
        if find_file(definition).stem != definition.name:
            raise UserError(
                f"benchmark {definition.name} has no file of its own: pin the sha256"
                " of its TSV in the study's config instead."
            )
        digests = {
            key.partition("/")[2]: value
            for key, value in manifest["data"].items()
            if key.partition("/")[0] == definition.name
        }
        above = find_file(definition).read_text(encoding="utf-8").partition("sha256:")[0]
        block = yaml.safe_dump({"sha256": {**definition.sha256, **digests}}, sort_keys=True)
        with atomic_write(find_file(definition)) as temporary:
            temporary.write_text(above + block, encoding="utf-8")


@report_errors()
def main(
    study: StudyFile,
    variant: Annotated[str | None, typer.Option(help="a variant that is asked in its own way")] = None,
    record_hashes: Annotated[
        bool, typer.Option("--pin_digests", help="write the data's digests into the definitions")
    ] = False,
) -> None:
    """Write the items of a study's benchmarks, and the TSVs that VLMEvalKit reads."""
    begin(variant or "questions")
    settings = ItemsSlice.read(study).of_variant(variant)
    run(settings, Layout.beside(study).items(variant), record_hashes=record_hashes)


if __name__ == "__main__":
    typer.run(main)
