"""Resolve the names in a study's config: benchmarks to definitions, methods to modules and what they need.

Looking through VLMEvalKit's sources takes a second and asking a method imports torch: answers are remembered.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.registry import lookup
from benchmarks.study.config import StudyConfig
from benchmarks.study.entry import Entry, list_names
from benchmarks.study.variant_config import VariantConfig
from frism.errors import UserError
from workflow.code_digest import ROOT, digest_code
from workflow.remember import remember

# Where frism.method.discovery looks; importing a method may import torch.
METHODS = ("frism.methods", "baselines")
# No number of a study depends on these.
PROSE = ("title", "n", "licence", "download_mb", "unverified", "notes", "stock_judge")


def list_method_modules() -> dict[str, str]:
    """Return the module of every method, by name."""
    return {
        file.stem: f"{package}.{file.stem}"
        for package in METHODS
        for file in sorted(ROOT.joinpath(*package.split(".")).glob("[!_]*.py"))
    }


def find_needs(study: StudyConfig) -> dict[str, list[str]]:
    """Return by variant the NEEDS of its method; a checkpoint needs nothing.

    Raises UserError for the first fault of a variant: an unknown method or parameter, a value of the wrong
    type at any grid point, a needless or missing reference.
    """
    code = digest_code("frism.method.discovery", *list_method_modules().values())
    variants = {name: variant.model_dump(mode="json") for name, variant in study.variants.items()}
    answer: dict[str, list[str]] = remember(
        ["variants", code, study.engine.name, variants], lambda: _ask_methods(study)
    )
    return answer


def _ask_methods(study: StudyConfig) -> dict[str, list[str]]:
    from frism.method import discovery as methods

    answer: dict[str, list[str]] = {}
    for name, variant in study.variants.items():
        for fault in _method_faults(variant, study.variants, study.engine.name):
            raise UserError(f"variant {name}: {fault}")
        method = methods.find(variant.method) if variant.method is not None else None
        answer[name] = sorted(method.needs) if method is not None else []
    return answer


def _method_faults(
    variant: VariantConfig, variants: Mapping[str, VariantConfig], engine: str
) -> Iterator[str]:
    from frism.method import discovery as methods

    if variant.method is None:
        return
    try:
        method = methods.find(variant.method)
        for values in variant.planned:
            method.validate(values)
    except UserError as error:
        yield str(error)
        return
    if method.mix is not None and engine != "transformers":
        yield (
            f"method {method.name} lets V and R answer together, which engine {engine} cannot: choose engine"
            " transformers, or drop the variant."
        )
    reference, needs_reference = variant.reference, "reference" in method.needs
    if reference is None and needs_reference:
        yield f"method {method.name} starts from what another variant learned: name it (`reference: frism`)."
    if reference is not None and not needs_reference:
        yield f"method {method.name} uses no reference: drop `reference: {reference}`."
    if reference is not None and not _learns(variants[reference].method):
        yield f"reference '{reference}' learns no coefficients: name a variant whose method learns some."


def _learns(name: str | None) -> bool:
    from frism.method import discovery as methods

    return name in methods.find_modules() and methods.find(name).fit is not None


def load_definitions(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Return the definitions of a list, as JSON, with `on_dev`: whether coefficients are chosen by it.

    Raises UserError for a name that is unknown, and for a faulty mapping.
    """
    code = digest_code(
        "benchmarks.registry.lookup",
        data=("benchmarks/registry/catalogue.yaml", "benchmarks/definitions/*.yaml"),
    )
    answer: list[dict[str, Any]] = remember(
        ["benchmarks", str(ROOT), code, list(entries)], lambda: [_define(entry) for entry in entries]
    )
    return answer


def _define(entry: Entry) -> dict[str, Any]:
    definition = lookup.find(entry)
    if definition.source.lm_eval is not None:
        from benchmarks.text import task_configs

        if task_configs.find_own_file(definition) is None:
            task_configs.check_known(task_configs.get_task_name(definition))
    return {**definition.model_dump(mode="json"), "on_dev": definition.on_dev}


def digest_definitions(entries: Sequence[Entry]) -> str:
    """Return 16 hex digits for what the definitions of a list say, prose left out."""
    content = [{k: v for k, v in d.items() if k not in PROSE} for d in load_definitions(entries)]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def select_on_dev(entries: Sequence[Entry]) -> list[Entry]:
    """Return the benchmarks that coefficients are chosen by: those that count and can be split."""
    chosen = {d["name"] for d in load_definitions(entries) if d["on_dev"]}
    return [entry for entry, name in zip(entries, list_names(entries), strict=True) if name in chosen]
