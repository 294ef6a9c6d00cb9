"""Look up a benchmark by its name: in our definitions, the prepared table, then in VLMEvalKit.

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
Content = dict[str, Any]  # of a definition as YAML or JSON has it, not yet validated


def available() -> list[str]:
    """Return the names of the benchmarks with a file of their own, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def prepared() -> list[str]:
    """Return the names in the prepared table, in its order."""
    return list(_catalogue(CATALOGUE, CATALOGUE.stat().st_mtime_ns))


def find(name: str | Mapping[str, object]) -> Definition:
    """Return the benchmark called `name`, or the one that a mapping with the key `name` describes.

    Raises UserError for an unknown name, a faulty file or mapping, and when the axis is not known.
    """
    if not isinstance(name, str):
        return _of_mapping(name)
    if name in available():
        return _checked(FOLDER / f"{name}.yaml", name, _yaml(FOLDER / f"{name}.yaml"))
    content = _known(name)
    if content is None:
        everything = [*available(), *prepared(), *vlmevalkit_names.names()]
        hint = suggest(name, everything) or f" There are: {', '.join([*available(), *prepared()])}."
        raise UserError(f"unknown benchmark '{name}'.{hint}")
    if "axis" not in content:
        raise UserError(
            f"VLMEvalKit's {name} is not in the prepared table, so its axis is not known:"
            f" write {{name: {name}, axis: perception}} (or reasoning, or other)."
        )
    return _checked(CATALOGUE, name, content)


def path_of(definition: Definition) -> Path:
    """Return the file that defines a benchmark; `catalogue.yaml` for one without a file of its own."""
    path = FOLDER / f"{definition.name}.yaml"
    return path if path.is_file() else CATALOGUE


def find_all(text: str) -> list[Definition]:
    """Return the benchmarks of a list, in its order, each once: names with commas between, or a JSON list.

    Raises UserError as `find`, and when two entries share a name.
    """
    if text.lstrip().startswith("["):
        try:
            entries = json.loads(text)
        except ValueError as error:
            raise UserError(f"the list of benchmarks is not valid JSON ({error}): correct it.") from None
    else:
        entries = [name.strip() for name in text.split(",") if name.strip()]
    if not entries:
        raise UserError("no benchmark is named: give one or more, separated by commas.")
    definitions: dict[str, Definition] = {}
    for entry in entries:
        definition = find(entry)
        if definitions.setdefault(definition.name, definition) != definition:
            raise UserError(f"benchmark '{definition.name}' is described twice, differently: keep one.")
    return list(definitions.values())


def _of_mapping(mapping: Mapping[str, object]) -> Definition:
    given = dict(mapping)
    name = given.pop("name", None)
    if not isinstance(name, str):
        raise UserError(f"a benchmark is a name or a mapping with `name`, not {mapping!r}.")
    where = f"benchmark {name}"
    if name in available():
        base: Content | None = _yaml(FOLDER / f"{name}.yaml")
    elif given.get("kind") == "lm_eval" and name not in prepared():
        base = _lm_eval(name)
    else:
        base = _known(name)
    if base is None and "class" not in given:
        raise UserError(
            f"VLMEvalKit has no dataset '{name}'.{suggest(name, vlmevalkit_names.names())}"
            " For a table of your own, name one of its classes: `class: ImageMCQDataset`."
        )
    if base is None:
        base = _table(name, str(given["class"]), str(given["class"]))
    content = {**base, **given}
    if "axis" not in content:
        raise UserError(f"{where}: the axis is missing: add `axis: perception` (or reasoning, or other).")
    return _checked(where, name, content)


def _checked(where: object, name: str, content: Content) -> Definition:
    try:
        return Definition.model_validate({"group": content.get("axis"), **content, "name": name})
    except ValidationError as error:
        raise UserError(f"{where}: {describe_first_fault(error, name)}: correct the definition.") from error


def _known(name: str) -> Content | None:
    """Return what the prepared table or else the installed VLMEvalKit says of a name."""
    table = _catalogue(CATALOGUE, CATALOGUE.stat().st_mtime_ns)
    if name in table:
        entry = table[name]
        return dict(entry) if "source" in entry else {"dataset": name, "source": {"tsv": {}}, **entry}
    dataset = vlmevalkit_names.find(name)
    if dataset is None:
        return None
    if dataset.modality == "VIDEO":
        raise UserError(f"VLMEvalKit's {name} asks about videos: choose a benchmark on pictures.")
    if dataset.class_name == "ConcatDataset":
        raise UserError(f"VLMEvalKit's {name} is a collection of datasets: name them one by one.")
    return _table(name, dataset.class_name, dataset.evaluates)


def _table(name: str, class_name: str, evaluates: str) -> Content:
    """Describe a TSV that is not in the prepared table, read by one of VLMEvalKit's classes."""
    rules = evaluating_class(evaluates)
    return {
        "title": name, "dataset": name, "class": class_name, "metric": rules.metric_of(name),
        "answers": rules.answers, "judge": rules.judge, "source": {"tsv": {}},
    }  # fmt: skip


def _lm_eval(name: str) -> Content:
    return {
        "title": name, "axis": "text", "kind": "lm_eval", "dataset": name, "class": "lm_eval",
        "metric": "lm_eval", "source": {"lm_eval": {"task": name}},
    }  # fmt: skip


def _yaml(path: Path) -> Content:
    try:
        return dict(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, TypeError, ValueError) as error:
        raise UserError(f"{path} is not a YAML mapping ({error}): correct it.") from error


@lru_cache(maxsize=4)
def _catalogue(path: Path, changed: int) -> dict[str, Content]:
    return _yaml(path)
