"""The benchmarks that exist: definitions of a few lines, a prepared table, and every other VLMEvalKit name.

A name is looked up in definitions/*.yaml, then in catalogue.yaml, then in the installed VLMEvalKit. A study
may give a mapping instead, {"name": "BLINK", "axis": "perception", ...}, whose other keys take precedence.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from benchmarks.registry import vlmevalkit_names
from benchmarks.registry.definition import Definition
from benchmarks.registry.metric_names import evaluating_class
from frism.errors import UserError, describe_first_fault, suggest

FOLDER = Path(__file__).parents[1] / "definitions"
CATALOGUE = Path(__file__).with_name("catalogue.yaml")


def available() -> list[str]:
    """Names of the benchmarks with a file of their own, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def prepared() -> list[str]:
    """Names in the prepared table, in its order."""
    return list(_catalogue(CATALOGUE, CATALOGUE.stat().st_mtime_ns))


def find(name: str | Mapping[str, Any]) -> Definition:
    """The benchmark called `name`, or the one that a mapping with the key `name` describes.

    Raises UserError for an unknown name, a faulty file or mapping, and when the axis is not known.
    """
    if not isinstance(name, str):
        return _of_mapping(name)
    if name in available():
        return _checked(FOLDER / f"{name}.yaml", name, _yaml(FOLDER / f"{name}.yaml"))
    found = _known(name)
    if found is None:
        everything = [*available(), *prepared(), *_declared_names()]
        near = suggest(name, everything) or f" There are: {', '.join([*available(), *prepared()])}."
        raise UserError(f"unknown benchmark '{name}'.{near}")
    if "axis" not in found:
        raise UserError(
            f"VLMEvalKit's {name} is not in the prepared table, so its axis is not known:"
            f" write {{name: {name}, axis: perception}} (or reasoning, or other)."
        )
    return _checked(CATALOGUE, name, found)


def path_of(definition: Definition) -> Path:
    """The file that defines a benchmark; `catalogue.yaml` for one without a file of its own."""
    own = FOLDER / f"{definition.name}.yaml"
    return own if own.is_file() else CATALOGUE


def find_all(text: str) -> list[Definition]:
    """The benchmarks of a list, in its order, each once: names separated by commas, or a JSON list.

    Raises UserError as `find`, and when two entries share a name.
    """
    if text.lstrip().startswith("["):
        try:
            wanted = json.loads(text)
        except ValueError as error:
            raise UserError(f"the list of benchmarks is not valid JSON ({error}): correct it.") from None
    else:
        wanted = [name.strip() for name in text.split(",") if name.strip()]
    if not wanted:
        raise UserError("no benchmark is named: give one or more, separated by commas.")
    found: dict[str, Definition] = {}
    for entry in wanted:
        definition = find(entry)
        if found.setdefault(definition.name, definition) != definition:
            raise UserError(f"benchmark '{definition.name}' is described twice, differently: keep one.")
    return list(found.values())


def _of_mapping(mapping: Mapping[str, Any]) -> Definition:
    given = dict(mapping)
    name = given.pop("name", None)
    if not isinstance(name, str):
        raise UserError(f"a benchmark is a name or a mapping with `name`, not {mapping!r}.")
    where = f"benchmark {name}"
    if name in available():
        base: dict[str, Any] | None = _yaml(FOLDER / f"{name}.yaml")
    else:
        base = _known(name)
    if base is None and given.get("kind") == "lm_eval":
        base = _lm_eval(name)
    if base is None and "class" not in given:
        raise UserError(
            f"VLMEvalKit has no dataset '{name}'.{suggest(name, _declared_names())}"
            " For a table of your own, name one of its classes: `class: ImageMCQDataset`."
        )
    if base is None:
        base = _table(name, str(given["class"]), str(given["class"]))
    content = {**base, **given}
    if "axis" not in content:
        raise UserError(f"{where}: the axis is missing: add `axis: perception` (or reasoning, or other).")
    return _checked(where, name, content)


def _checked(where: object, name: str, content: dict[str, Any]) -> Definition:
    try:
        return Definition.model_validate({"group": content.get("axis"), **content, "name": name})
    except ValidationError as error:
        raise UserError(f"{where}: {describe_first_fault(error, name)}: correct the definition.") from error


def _known(name: str) -> dict[str, Any] | None:
    """What the prepared table or else the installed VLMEvalKit says of a name."""
    table = _catalogue(CATALOGUE, CATALOGUE.stat().st_mtime_ns)
    if name in table:
        entry = dict(table[name])
        return {"dataset": name, "source": {"tsv": {}}, **entry} if "source" not in entry else entry
    try:
        found = vlmevalkit_names.find(name)
    except UserError:
        return None  # VLMEvalKit is not installed, so it knows no name
    if found is None:
        return None
    if found.modality == "VIDEO":
        raise UserError(f"VLMEvalKit's {name} asks about videos: choose a benchmark on pictures.")
    if found.class_name == "ConcatDataset":
        raise UserError(f"VLMEvalKit's {name} is a collection of datasets: name them one by one.")
    return _table(name, found.class_name, found.evaluates)


def _table(name: str, class_name: str, evaluates: str) -> dict[str, Any]:
    """A TSV that is not in the prepared table, read by one of VLMEvalKit's classes."""
    rules = evaluating_class(evaluates)
    return {
        "title": name, "dataset": name, "class": class_name, "metric": rules.metric_of(name),
        "answers": rules.answers, "judge": rules.judge, "source": {"tsv": {}},
    }  # fmt: skip


def _lm_eval(name: str) -> dict[str, Any]:
    return {
        "title": name, "axis": "text", "kind": "lm_eval", "dataset": name, "class": "lm_eval",
        "metric": "lm_eval", "source": {"lm_eval": {"task": name}},
    }  # fmt: skip


def _declared_names() -> list[str]:
    try:
        return vlmevalkit_names.names()
    except UserError:
        return []


def _yaml(path: Path) -> dict[str, Any]:
    try:
        return dict(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, TypeError, ValueError) as error:
        raise UserError(f"{path} is not a YAML mapping ({error}): correct it.") from error


@lru_cache(maxsize=4)
def _catalogue(path: Path, changed: int) -> dict[str, dict[str, Any]]:
    return _yaml(path)
