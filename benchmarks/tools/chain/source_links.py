"""Check the first links: checkpoints, recipes, questions, answers."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.answering import keys, predictions
from benchmarks.answering.matching import match_predictions
from benchmarks.answering.sampling import list_samples
from benchmarks.questions import reading
from benchmarks.tools.chain.chain import AGAIN, BrokenLinkError, Chain
from frism.checkpoints.checkpoint import Checkpoint
from frism.files import read_json, sha256_file
from frism.method.recipe import RECIPE, Recipe, Reference
from frism.triples.triple import ROLES


def check_checkpoints(chain: Chain) -> str:
    """Hash every byte of the checkpoints anew and compare with the digests in the recipes."""
    with _bypass_cache():
        chain.digests = chain.triple.digest
    for variant in chain.variants:
        path = chain.results / "variants" / variant / RECIPE
        recorded = read_json(path).get("triple", {})
        with _bypass_cache():
            digests = chain.digests_of(variant)
        for role in ROLES:
            if recorded.get(role) != digests[role]:
                raise BrokenLinkError(
                    f"{chain.triple_of(variant).checkpoints[role].folder} ({role}) is not the checkpoint that"
                    f" {path} was made from (sha256 {digests[role][:12]}..., not"
                    f" {str(recorded.get(role))[:12]}...): {AGAIN}."
                )
    return ", ".join(f"{role} {chain.digests[role][:12]}" for role in ROLES)


def check_recipes(chain: Chain) -> str:
    """Check that recipes, coefficients, config and the choice on dev belong together."""
    for variant, settings in chain.study.variants.items():
        folder = chain.results / "variants" / variant
        recipe, _ = Recipe.load(folder)
        if recipe.checkpoint is not None:
            _check_checkpoint(recipe.checkpoint, folder / RECIPE)
        chosen = read_json(folder / "choice.json").get("params", {})
        expected = {
            "method": settings.method, "scope": settings.scope or chain.study.scope, "seed": chain.study.seed,
            "params": recipe.params | chosen | settings.params,
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


def _check_checkpoint(recorded: Reference, path: Path) -> None:
    """Raise BrokenLinkError unless the checkpoint that is a variant has the bytes that its recipe names."""
    with _bypass_cache():
        digest = Checkpoint.open(recorded.folder).digest
    if digest != recorded.digest:
        raise BrokenLinkError(
            f"{recorded.folder} is not the checkpoint that {path} was made from (sha256 {digest[:12]}..., not"
            f" {recorded.digest[:12]}...): {AGAIN}."
        )


def check_questions(chain: Chain) -> str:
    """Check the TSVs in the data folder, the items made from them and their pictures against the manifest."""
    groups = {chain.items_folder(variant): chain.items(variant) for variant in chain.variants}
    pictures, tables = 0, 0
    for folder, items in groups.items():
        tables += _check_items(chain, folder)
        pictures += sum(len(item.pictures()) for group in items.values() for item in group)
    count = sum(len(group) for items in groups.values() for group in items.values())
    published = f", {tables} published tables" if tables else ""
    return (
        f"{count} test questions of {len(chain.study.benchmarks)} benchmarks, {pictures} pictures{published}"
    )


def _check_items(chain: Chain, folder: Path) -> int:
    """Check the files of one items folder against its manifest; return the number of published tables."""
    manifest = read_json(folder / reading.MANIFEST)
    for name, table in manifest.get("tsv", {}).items():
        path = Path(chain.study.data.folder or ".", table["file"])
        if sha256_file(path) != table["sha256"]:
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


def check_answers(chain: Chain) -> str:
    """Check every line's sum, and every key against weights, recipe, engine, batch and question."""
    count = 0
    for variant in chain.variants:
        path = chain.results / "predictions" / f"{variant}.jsonl"
        lines = predictions.read_predictions(path)
        origin = {"triple": chain.digests_of(variant), "recipe": chain.recipes[variant].key}
        check_keys(path, lines, origin)
        samples = chain.study.engine.samples
        drawn = {name: list_samples(group, samples) for name, group in chain.items(variant).items()}
        match_predictions(drawn, lines, path)
        count += len(lines)
    return f"{count} answers of {len(chain.variants)} variants"


def check_keys(path: Path, lines: list[predictions.StoredPrediction], origin: Mapping[str, Any]) -> None:
    """Raise UserError unless every line's key follows from `origin` and the file's provenance."""
    item_by_key = keys.recompute_keys(path)
    if read_json(keys.get_provenance_path(path))["origin"] != origin:
        raise BrokenLinkError(
            f"{path} was generated with other weights than the recipe and the checkpoints give: {AGAIN}."
        )
    for number, line in enumerate(lines, 1):
        if item_by_key.get(line.key) != line.item:
            raise BrokenLinkError(
                f"{path}, line {number}: the key {line.key} does not follow from weights, settings and"
                f" question: {AGAIN}."
            )


@contextmanager
def _bypass_cache() -> Iterator[None]:
    """Compute hashes of large files instead of looking them up (`frism.checkpoints.digests`)."""
    before = os.environ.get("FRISM_CACHE")
    with tempfile.TemporaryDirectory(prefix="verify-") as folder:
        os.environ["FRISM_CACHE"] = folder
        try:
            yield
        finally:
            del os.environ["FRISM_CACHE"]
            if before is not None:
                os.environ["FRISM_CACHE"] = before
