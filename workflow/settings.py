"""A study's config, checked as a whole before anything runs; every fault is one sentence.

The schema (workflow/schema.py) knows the shape. What it cannot know is checked here: that methods, their
parameters and the benchmarks exist, that settings go together, that variants refer to each other sensibly.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from pydantic import ValidationError as ModelError

from benchmarks.questions import tsv_files
from benchmarks.registry import lookup
from frism.errors import UserError, suggest
from workflow import schema, variant_list
from workflow.benchmark_list import resolved
from workflow.code_digest import ROOT, code_digest
from workflow.remember import remembered

PAPERS = ROOT / "results" / "reference" / "papers"
KINDS = {"object": "a mapping", "array": "a list", "string": "a text", "integer": "a whole number",
         "number": "a number", "boolean": "true or false", "null": "nothing"}  # fmt: skip


def check(config: Mapping[str, Any], source: str) -> None:
    """Raise UserError, beginning with `source` (the file's name), for the first fault of a config."""
    for fault in _faults(config):
        raise UserError(f"{source}: {fault}")


def _faults(config: Mapping[str, Any]) -> Iterator[str]:
    validator = Draft202012Validator(schema.schema())
    # The outermost first: an unknown key often explains the missing one beside it.
    errors = sorted(
        validator.iter_errors(config), key=lambda e: (len(e.absolute_path), e.validator == "required")
    )
    yield from map(_sentence, errors)
    yield from _model_faults(config)
    yield from _benchmark_faults(config)
    yield from _data_faults(config)
    try:
        wanted = variant_list.needs(config["variants"])
    except UserError as error:
        yield str(error)
        return
    yield from _missing_parts(config, wanted)
    if not any(v["method"] == "vlm" for v in config["variants"].values()):
        yield "no variant has `method: vlm`, which all others are compared with: add `vlm: {method: vlm}`."


def _missing_parts(config: Mapping[str, Any], wanted: Mapping[str, list[str]]) -> Iterator[str]:
    """What variants or tables go by and the config does not name."""
    learning = [name for name, parts in wanted.items() if "calibration" in parts]
    if learning and "calibration" not in config:
        yield (
            f"variant {learning[0]} learns from unlabelled pictures and questions: say which under"
            " `calibration` (config/README.md)."
        )
    for axis, name in config.get("explain", {}).items():
        known = [d["name"] for d in resolved(config["benchmarks"]) if d["axis"] == axis]
        if name is not None and name not in known:
            yield (
                f"explain.{axis} is '{name}', which is no benchmark of this config on that axis (there are:"
                f" {', '.join(known)}).{suggest(name, known)}"
            )
    papers = sorted(path.stem for path in PAPERS.glob("*.yaml"))
    if (wished := config.get("published")) is not None and wished not in papers:
        yield (
            f"published: there are no published numbers called '{wished}' (there are: {', '.join(papers)})."
            f"{suggest(wished, papers)}"
        )


def _sentence(error: ValidationError) -> str:
    place = ".".join(str(part) for part in error.absolute_path)
    inside = f" in {place}" if place else ""
    wanted = error.validator_value
    match error.validator:
        case "additionalProperties":
            known = error.schema.get("properties", {})
            unknown = next(key for key in error.instance if key not in known)
            return (
                f"unknown key '{unknown}'{inside} (known: {', '.join(known)}).{suggest(str(unknown), known)}"
            )
        case "required":
            missing = next(key for key in wanted if key not in error.instance)
            return f"the key '{missing}' is missing{inside}."
        case "type" | "const":
            return f"{place or 'the whole'} must be {_kinds(error.schema)}, not {error.instance!r}."
        case "anyOf":
            # The alternative of the right type explains itself, as for a number that is too small.
            near = [e for e in error.context or () if e.validator not in ("type", "const")]
            wrong = f"{place} must be {_kinds(error.schema)}, not {error.instance!r}."
            return _sentence(near[0]) if near else wrong
        case "enum":
            near_word = suggest(str(error.instance), map(str, wanted))
            options = ", ".join(map(str, wanted))
            return f"{place} must be one of {options}, not {error.instance!r}.{near_word}"
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


def _kinds(node: Mapping[str, Any]) -> str:
    """What a part of the schema accepts, in words: "a whole number or 'all'"."""
    if "anyOf" in node:
        return " or ".join(_kinds(part) for part in node["anyOf"])
    if "const" in node or "enum" in node:
        return " or ".join(repr(value) for value in node.get("enum", [node.get("const")]))
    kinds = node.get("type", "object")
    return " or ".join(KINDS[kind] for kind in ([kinds] if isinstance(kinds, str) else kinds))


def _model_faults(config: Mapping[str, Any]) -> Iterator[str]:
    """What a settings model finds that its schema cannot say: settings that do not go together."""
    for key, module in schema.models().items():
        if key in config:
            added = schema.extra_keys(key)
            given = {name: value for name, value in config[key].items() if name not in added}
            code = code_digest(module.partition(":")[0])
            found = remembered(["model", key, code, given], partial(_model_fault, key, given))
            yield from filter(None, [found])


def _model_fault(key: str, given: Mapping[str, Any]) -> str:
    try:
        schema.model(key).model_validate(given)
    except ModelError as error:
        first = error.errors()[0]
        where = ".".join([key, *map(str, first["loc"])])
        return f"{where}: {first['msg'].removeprefix('Value error, ')}."
    return ""


def _benchmark_faults(config: Mapping[str, Any]) -> Iterator[str]:
    found: dict[str, list[dict[str, Any]]] = {}
    for key in ("benchmarks", "text"):
        try:
            found[key] = resolved(config.get(key, []))
        except UserError as error:
            yield f"{key}: {error}"
    for definition in found["benchmarks"]:
        if definition["kind"] == "lm_eval":
            yield f"benchmarks: {definition['name']} asks without pictures: name it under `text`."
    for definition in found["text"]:
        if definition["kind"] != "lm_eval" and definition["source"].get("miniature") is None:
            yield f"text: {definition['name']} asks about pictures: name it under `benchmarks`."
    for axis in ("perception", "reasoning"):
        if not any(d["axis"] == axis for d in found["benchmarks"]):
            yield f"benchmarks holds none on the axis '{axis}': coefficients cannot be chosen without one."
        if not any(d["axis"] == axis and d["on_dev"] for d in found["benchmarks"]):
            yield (
                f"benchmarks holds none on the axis '{axis}' that can be split into dev and test:"
                " coefficients cannot be chosen without one."
            )
    for key, number in (("benchmarks", "test"), ("text", text_number(config["questions"]))):
        endless = [d["name"] for d in found[key] if d["source"].get("miniature") is not None]
        if endless and config["questions"][number] == "all":
            yield f"questions.{number} is all, but {endless[0]} has no last question: give a number."


def text_number(questions: Mapping[str, Any]) -> str:
    """The key that says how many text questions are asked: `text`, or `test` where it is missing."""
    return "text" if "text" in questions else "test"


def _data_faults(config: Mapping[str, Any]) -> Iterator[str]:
    folder = config.get("data", {}).get("folder")
    needing = [d for d in resolved(config["benchmarks"]) if d["source"].get("tsv") is not None]
    if folder is None and needing:
        name = needing[0]["name"]
        yield f"benchmarks: {name} needs a TSV: name the folder that holds it as data.folder."
    if folder is not None and not Path(folder).is_dir():
        yield (f"data.folder {folder} is not a folder: fill it with python -m benchmarks.tools.data.")
    for entry in config["benchmarks"] if needing else ():
        definition = lookup.find(entry)
        if definition.source.tsv is not None:
            try:
                tsv_files.locate(definition, folder)
            except UserError as error:
                yield str(error)
