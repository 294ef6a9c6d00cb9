"""The config's schema: schemas/config.schema.yaml with the packages' own settings put in, and its defaults.

A mapping there with the key `model` stands for a pydantic model (`benchmarks.study.engine_settings:
EngineSettings`), so that a setting is described once, where it is used.
What else the mapping says is added to the model's schema.
"""

from copy import deepcopy
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from workflow.code_digest import code_digest
from workflow.remember import remembered

FILE = Path(__file__).with_name("schemas") / "config.schema.yaml"
MODEL = "model"


def schema() -> dict[str, Any]:
    """The whole as JSON schema. Kept until a model's code changes: some come with half the library."""
    written = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    code = code_digest(*sorted({name.partition(":")[0] for name in models().values()}))
    return remembered(["schema", written, code], lambda: _composed(written))


def models() -> dict[str, str]:
    """The settings models by the config's key."""
    written = yaml.safe_load(FILE.read_text(encoding="utf-8"))["properties"]
    return {key: node[MODEL] for key, node in written.items() if MODEL in node}


def model(key: str) -> Any:
    """The settings model of one of the config's keys."""
    module, _, name = models()[key].partition(":")
    return getattr(import_module(module), name)


def extra_keys(key: str) -> list[str]:
    """What the YAML adds to the model of one of the config's keys."""
    written = yaml.safe_load(FILE.read_text(encoding="utf-8"))["properties"]
    return list(written[key].get("properties", {}))


def fill(values: dict[str, Any], node: dict[str, Any] | None = None) -> None:
    """Put the defaults of the schema into a config that satisfies it."""
    node = schema() if node is None else node
    for key, below in node.get("properties", {}).items():
        if "default" in below:
            values.setdefault(key, deepcopy(below["default"]))
        if isinstance(values.get(key), dict):
            fill(values[key], below)
    every = node.get("additionalProperties")
    for value in values.values() if isinstance(every, dict) else ():
        if isinstance(value, dict):
            fill(value, every)


def _composed(written: dict[str, Any]) -> dict[str, Any]:
    whole = deepcopy(written)
    for key, node in whole["properties"].items():
        if MODEL in node:
            given = model(key).model_json_schema()
            whole["$defs"] |= given.pop("$defs", {})
            own = {k: v for k, v in node.items() if k not in (MODEL, "properties")}
            properties = {**given["properties"], **node.get("properties", {})}
            whole["properties"][key] = {
                "type": "object", "additionalProperties": False, "required": given.get("required", []),
                **own, "properties": properties,
            }  # fmt: skip
    return whole
