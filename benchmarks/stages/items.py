"""Items: every question with its pictures and prompt as VLMEvalKit builds them, in files that stages share.

python -m benchmarks.stages.items --benchmarks a,b --splits '{"dev": 150, "test": 400}' --seed 0 --out FOLDER
    [--model V_FOLDER --prompting JSON] [--data FOLDER]
writes FOLDER/<split>/<benchmark>.jsonl, the TSVs and pictures beside them, FOLDER/benchmarks.json (the
definitions as they count here) and FOLDER/manifest.json, last.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from benchmarks.questions.item import Item as Item
from benchmarks.questions.writing import write
from benchmarks.registry.definition import Definition
from benchmarks.registry.lookup import find_all, path_of
from frism.errors import UserError, report_errors
from frism.files import atomic_write


def record(manifest: dict[str, Any], definitions: list[Definition]) -> None:
    """Write the data digests of a manifest into the definitions' `sha256`.

    Raises UserError for a benchmark without a file of its own: its digest belongs into a study's config.
    """
    for definition in definitions:
        if path_of(definition).stem != definition.name:
            raise UserError(
                f"benchmark {definition.name} has no file of its own: pin the"
                " sha256 of its TSV in the study's config instead."
            )
        own = {
            key.partition("/")[2]: value
            for key, value in manifest["data"].items()
            if key.partition("/")[0] == definition.name
        }
        kept = path_of(definition).read_text(encoding="utf-8").partition("sha256:")[0]
        block = yaml.safe_dump({"sha256": {**definition.sha256, **own}}, sort_keys=True)
        with atomic_write(path_of(definition)) as temporary:
            temporary.write_text(kept + block, encoding="utf-8")


def _json(text: str, option: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
        if isinstance(value, dict):
            return value
    except ValueError:
        pass
    raise UserError(f'{option} must be JSON like {{"key": value}}, not {text!r}.')


@report_errors()
def main(
    benchmarks: Annotated[str, typer.Option(help="names, separated by commas, or a JSON list")],
    splits: Annotated[str, typer.Option(help='questions per split as JSON: {"dev": 150, "test": "all"}')],
    out: Annotated[Path, typer.Option(help="the items folder")],
    seed: Annotated[int, typer.Option(help="another seed, other questions")] = 0,
    model: Annotated[Path | None, typer.Option(help="V's folder, whose family writes the prompts")] = None,
    data: Annotated[Path | None, typer.Option(help="the folder with published TSVs")] = None,
    prompting: Annotated[str, typer.Option(help="what differs from the family's rules, as JSON")] = "{}",
    record_hashes: Annotated[
        bool, typer.Option("--record", help="write the data's digests into the definitions")
    ] = False,
) -> None:
    """Write the items of benchmarks, and the TSVs that VLMEvalKit reads."""
    definitions = find_all(benchmarks)
    if record_hashes:
        definitions = [d.model_copy(update={"sha256": {}}) for d in definitions]
    wanted, overrides = _json(splits, "--splits"), _json(prompting, "--prompting")
    if not wanted or not all(type(n) is int or n == "all" for n in wanted.values()):
        raise UserError(f'--splits must be JSON like {{"dev": 150, "test": "all"}}, not {splits!r}.')
    if overrides and model is None:
        raise UserError("--prompting changes the rules of a model's family: give --model too.")
    family = None
    if model is not None:
        from benchmarks.prompting.families import family_of

        family = family_of(model, **overrides)
    manifest = write(out, definitions, wanted, seed, data=data, family=family)
    if record_hashes:
        record(manifest, definitions)


if __name__ == "__main__":
    typer.run(main)
