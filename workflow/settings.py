"""A study's config, checked as a whole before anything runs; every fault is one sentence.

The schema (workflow/schemas/config.schema.yaml) knows the shape. What it cannot know is checked here:
that methods, their parameters and the benchmarks exist, and that variants refer to each other sensibly.
"""

from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from benchmarks import registry
from frism.errors import UserError, nearest
from workflow.code_digest import ROOT, code_digest
from workflow.remember import remembered

METHODS = ("frism.injection", "baselines")  # where frism.methods looks; that module itself would import torch
SCHEMA = Path(__file__).with_name("schemas") / "config.schema.yaml"
KINDS = {"object": "a mapping", "array": "a list", "string": "a text", "integer": "a whole number",
         "number": "a number", "boolean": "true or false"}  # fmt: skip


def check(config: Mapping[str, Any], source: str) -> None:
    """Raise UserError, beginning with `source` (the file's name), for the first fault of a config."""
    for fault in _faults(config):
        raise UserError(f"{source}: {fault}")


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


def _faults(config: Mapping[str, Any]) -> Iterator[str]:
    validator = Draft202012Validator(yaml.safe_load(SCHEMA.read_text(encoding="utf-8")))
    # The outermost first: an unknown key often explains the missing one beside it.
    errors = sorted(
        validator.iter_errors(config), key=lambda e: (len(e.absolute_path), e.validator == "required")
    )
    yield from map(_sentence, errors)
    yield from _benchmark_faults(config)
    code = code_digest("frism.methods", *method_modules().values())
    try:
        remembered(["variants", code, config["variants"]], lambda: _check_variants(config["variants"]))
    except UserError as error:
        yield str(error)
    if not any(v["method"] == "vlm" for v in config["variants"].values()):
        yield "no variant has `method: vlm`, which all others are compared with: add `vlm: {method: vlm}`."


def _sentence(error: ValidationError) -> str:
    place = ".".join(str(part) for part in error.absolute_path)
    inside = f" in {place}" if place else ""
    wanted = error.validator_value
    match error.validator:
        case "additionalProperties":
            known = error.schema.get("properties", {})
            unknown = next(key for key in error.instance if key not in known)
            return (
                f"unknown key '{unknown}'{inside} (known: {', '.join(known)}).{nearest(str(unknown), known)}"
            )
        case "required":
            missing = next(key for key in wanted if key not in error.instance)
            return f"the key '{missing}' is missing{inside}."
        case "type":
            return f"{place or 'the whole'} must be {KINDS[wanted]}, not {error.instance!r}."
        case "enum":
            near = nearest(str(error.instance), map(str, wanted))
            return f"{place} must be one of {', '.join(map(str, wanted))}, not {error.instance!r}.{near}"
        case "pattern":
            return (
                f"{place} is {error.instance!r}: use lower-case letters, digits and _ only, a letter first."
            )
        case "minimum" | "exclusiveMinimum":
            return f"{place} is {error.instance}, which is too small ({error.validator}: {wanted})."
        case "maximum" | "exclusiveMaximum":
            return f"{place} is {error.instance}, which is too large ({error.validator}: {wanted})."
        case "minItems" | "minProperties":
            return f"{place} is empty: name at least one."
        case "uniqueItems":
            twice = next(item for item in error.instance if error.instance.count(item) > 1)
            return f"{place} names '{twice}' twice."
        case "propertyNames" | _:
            return f"{place or 'the whole'}: {error.message}."


def _benchmark_faults(config: Mapping[str, Any]) -> Iterator[str]:
    axes: dict[str, set[str]] = {"benchmarks": set(), "text": set()}
    for key in axes:
        for name in config.get(key, []):
            try:
                axes[key].add(registry.find(name).axis)
            except UserError as error:
                yield f"{key}: {error}"
    for axis in ("perception", "reasoning"):
        if axis not in axes["benchmarks"]:
            yield f"benchmarks holds none on the axis '{axis}': coefficients cannot be chosen without one."


def _check_variants(variants: Mapping[str, Any]) -> bool:
    for name, variant in variants.items():
        for fault in _variant_faults(name, variant, variants):
            raise UserError(f"variant {name}: {fault}")
    return True


def _variant_faults(name: str, variant: Mapping[str, Any], variants: Mapping[str, Any]) -> Iterator[str]:
    if name in ("base", "lrm"):
        yield "the name is taken by a model of the triple: choose another."
    from frism import methods

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
        yield f"reference '{reference}' is not another variant of this config.{nearest(reference, variants)}"
    elif reference is not None and variants[reference].get("reference"):
        yield f"reference '{reference}' is itself made from a reference: name the one it started from."
