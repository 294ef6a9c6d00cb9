"""The first links: checkpoints, recipes, questions, answers."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.answering import keys, predictions
from benchmarks.questions import reading
from benchmarks.tools.chain.chain import AGAIN, BrokenLinkError, Chain
from frism.checkpoints.checkpoint import Checkpoint
from frism.files import read_json, sha256_file
from frism.method.recipe import RECIPE, Recipe, Reference
from frism.triples.triple import ROLES


def checkpoints(chain: Chain) -> str:
    """Every byte of the checkpoints is hashed anew, and the digests are those that the recipes name."""
    with _unremembered():
        chain.digests = chain.triple.digest
    for variant in chain.variants:
        path = chain.results / "variants" / variant / RECIPE
        said = read_json(path).get("triple", {})
        for role in ROLES:
            if said.get(role) != chain.digests[role]:
                raise BrokenLinkError(
                    f"{chain.study.triple.folders[role]} ({role}) is not the checkpoint that {path} was made"
                    f" from (sha256 {chain.digests[role][:12]}..., not"
                    f" {str(said.get(role))[:12]}...): {AGAIN}."
                )
    return ", ".join(f"{role} {chain.digests[role][:12]}" for role in ROLES)


def recipes(chain: Chain) -> str:
    """Recipes and coefficients belong together, to the config, and to the choice on dev."""
    for variant, wanted in chain.study.variants.items():
        folder = chain.results / "variants" / variant
        recipe, _ = Recipe.load(folder)
        if recipe.checkpoint is not None:
            _unchanged_checkpoint(recipe.checkpoint, folder / RECIPE)
        chosen = read_json(folder / "choice.json").get("params", {})
        expected = {
            "method": wanted.method, "scope": chain.study.scope, "seed": chain.study.seed,
            "params": recipe.params | chosen | wanted.params,
        }  # fmt: skip
        for name, value in expected.items():
            if getattr(recipe, name) != value:
                raise BrokenLinkError(
                    f"{folder / RECIPE} says {name} {getattr(recipe, name)!r}, but config and choice say"
                    f" {value!r}: {AGAIN}."
                )
        chain.recipes[variant] = recipe
    fitted = sum(recipe.coefficients is not None for recipe in chain.recipes.values())
    return f"{len(chain.recipes)} variants, {fitted} with fitted coefficients"


def _unchanged_checkpoint(said: Reference, path: Path) -> None:
    """Raise BrokenLinkError unless the checkpoint that is a variant has the bytes that its recipe names."""
    with _unremembered():
        digest = Checkpoint.open(said.folder).digest
    if digest != said.digest:
        raise BrokenLinkError(
            f"{said.folder} is not the checkpoint that {path} was made from (sha256 {digest[:12]}..., not"
            f" {said.digest[:12]}...): {AGAIN}."
        )


def questions(chain: Chain) -> str:
    """The TSVs in the data folder and the items made from them are those of the manifest, pictures too."""
    groups = {chain.items_folder(variant): chain.items(variant) for variant in chain.variants}
    pictures, tables = 0, 0
    for folder, items in groups.items():
        tables += _unchanged_questions(chain, folder)
        pictures += sum(len(item.pictures()) for group in items.values() for item in group)
    count = sum(len(group) for items in groups.values() for group in items.values())
    published = f", {tables} published tables" if tables else ""
    return (
        f"{count} test questions of {len(chain.study.benchmarks)} benchmarks, {pictures} pictures{published}"
    )


def _unchanged_questions(chain: Chain, folder: Path) -> int:
    """Check the files of one items folder against its manifest; return the number of published tables."""
    manifest = read_json(folder / reading.MANIFEST)
    for name, said in manifest.get("tsv", {}).items():
        path = Path(chain.study.data.folder or ".", said["file"])
        if sha256_file(path) != said["sha256"]:
            raise BrokenLinkError(
                f"{path} is not the table that the questions of {name} were made from (its sha256 is"
                f" another): {AGAIN}."
            )
    for name, expected in manifest["files"].items():
        if sha256_file(folder / name) != expected:
            raise BrokenLinkError(
                f"{folder / name} was changed after it was written (its sha256 is another): {AGAIN}."
            )
    return len(manifest.get("tsv", {}))


def answers(chain: Chain) -> str:
    """Every line fits its sum; every key follows from weights, recipe, engine, batch and question."""
    count = 0
    for variant in chain.variants:
        path = chain.results / "predictions" / f"{variant}.jsonl"
        lines = predictions.read_predictions(path)
        origin = {"triple": chain.digests, "recipe": chain.recipes[variant].key}
        check_keys(path, lines, origin)
        _match(chain, variant, path, lines)
        count += len(lines)
    return f"{count} answers of {len(chain.variants)} variants"


def check_keys(path: Path, lines: list[predictions.StoredPrediction], origin: Mapping[str, Any]) -> None:
    """Raise UserError unless every line's key follows from `origin` and the file's provenance."""
    known = keys.recompute_keys(path)
    said = read_json(keys.get_provenance_path(path))["origin"]
    if said != origin:
        raise BrokenLinkError(
            f"{path} was generated with other weights than the recipe and the checkpoints give: {AGAIN}."
        )
    for number, line in enumerate(lines, 1):
        if known.get(line.key) != line.item:
            raise BrokenLinkError(
                f"{path}, line {number}: the key {line.key} does not follow from weights, settings and"
                f" question: {AGAIN}."
            )


def _match(chain: Chain, variant: str, path: Path, lines: list[predictions.StoredPrediction]) -> None:
    from benchmarks.answering.matching import match_predictions

    match_predictions(chain.items(variant), lines, path)


@contextmanager
def _unremembered() -> Iterator[None]:
    """Hashes of large files are computed and not looked up (`frism.checkpoints.digests`)."""
    before = os.environ.get("FRISM_CACHE")
    with tempfile.TemporaryDirectory(prefix="verify-") as folder:
        os.environ["FRISM_CACHE"] = folder
        try:
            yield
        finally:
            del os.environ["FRISM_CACHE"]
            if before is not None:
                os.environ["FRISM_CACHE"] = before
