"""The variants of a study: their grid points, their methods' modules and needs, and what is wrong with them.

Methods are asked for what they need, which imports torch; the answer is remembered.
"""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from frism.errors import UserError, suggest
from workflow.code_digest import ROOT, code_digest
from workflow.remember import remembered

METHODS = (
    "frism.methods",
    "baselines",
)  # where frism.method.method looks; that module itself would import torch
PARENTS = ("base", "lrm")


def method_modules() -> dict[str, str]:
    """The module of every method, by name."""
    return {
        file.stem: f"{package}.{file.stem}"
        for package in METHODS
        for file in sorted(ROOT.joinpath(*package.split(".")).glob("[!_]*.py"))
    }


def points(variant: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The parameters of every grid point of a variant, fixed ones included; the last key varies fastest."""
    grid = variant.get("grid", {})
    return [
        {**variant.get("params", {}), **dict(zip(grid, values, strict=True))}
        for values in product(*grid.values())
    ]


def needs(variants: Mapping[str, Any]) -> dict[str, list[str]]:
    """By variant, which of "spectrum", "calibration" and "reference" its method asks for.

    Raises UserError for the first fault of a variant: an unknown method or parameter, a needless or missing
    reference.
    """
    code = code_digest("frism.method.method", *method_modules().values())
    found: dict[str, list[str]] = remembered(["variants", code, variants], lambda: _checked(variants))
    return found


def _checked(variants: Mapping[str, Any]) -> dict[str, list[str]]:
    from frism.method import method as methods

    for name, variant in variants.items():
        for fault in _faults(name, variant, variants):
            raise UserError(f"variant {name}: {fault}")
    found = {name: methods.find(variant["method"]) for name, variant in variants.items()}
    kinds = ("spectrum", "calibration", "reference")
    return {name: [kind for kind in kinds if getattr(m, f"needs_{kind}")] for name, m in found.items()}


def _faults(name: str, variant: Mapping[str, Any], variants: Mapping[str, Any]) -> Iterator[str]:
    if name in PARENTS:
        yield "the name is taken by a model of the triple: choose another."
    from frism.method import method as methods

    try:
        method = methods.find(variant["method"])
        for values in points(variant):
            method.validate(values)
    except UserError as error:
        yield str(error)
        return
    if twice := set(variant.get("grid", {})) & set(variant.get("params", {})):
        yield f"'{twice.pop()}' is both fixed (params) and swept (grid): drop one."
    reference = variant.get("reference")
    if reference is None and method.needs_reference:
        yield f"method {method.name} starts from what another variant learned: name it (`reference: frism`)."
    if reference is not None and not method.needs_reference:
        yield f"method {method.name} uses no reference: drop `reference: {reference}`."
    if reference is not None and (reference not in variants or reference == name):
        yield f"reference '{reference}' is not another variant of this config.{suggest(reference, variants)}"
    elif reference is not None and variants[reference].get("reference"):
        yield f"reference '{reference}' is itself made from a reference: name the one it started from."
    elif reference is not None and not _learns(variants[reference]["method"]):
        yield f"reference '{reference}' learns nothing to start from: name a variant that does."


def _learns(name: str) -> bool:
    from frism.method import method as methods

    return name in methods.modules() and methods.find(name).fit is not None
