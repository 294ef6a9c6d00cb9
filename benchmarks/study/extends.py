"""Read a config from its file, and put it over the one that it `extends`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from frism.errors import UserError

EXTENDS = "extends"


def read_yaml(path: Path) -> dict[str, Any]:
    """Return a config as its file says it. Raises UserError when it cannot be read or is no mapping."""
    try:
        text = path.read_text(encoding="utf-8")
        # YAML 1.1 takes a JSON number like 1e-05 for a text.
        content = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except OSError as error:
        raise UserError(
            f"cannot read {path} ({error.strerror or error}): name a file that you may read."
        ) from None
    except (yaml.YAMLError, ValueError) as error:
        fault = " ".join(str(error).split())
        raise UserError(
            f"{path} is not valid {path.suffix[1:].upper() or 'YAML'} ({fault}): correct it."
        ) from None
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no mapping: write a study's config into it.")
    return content


def resolve_extends(content: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return `content` over the config that its key `extends` names, as a file in `folder`.

    Mappings are merged key by key and everything else is replaced, as Snakemake does with several configs;
    null takes a key away from what is extended. Raises UserError for a file that cannot be read, and for one
    that extends itself.
    """
    return _resolve(content, folder, ())


def _resolve(content: Mapping[str, Any], folder: Path, before: tuple[Path, ...]) -> dict[str, Any]:
    overrides = {key: value for key, value in content.items() if key != EXTENDS}
    if EXTENDS not in content:
        return overrides
    path = (folder / str(content[EXTENDS])).resolve()
    if path in before:
        raise UserError(f"{folder / str(content[EXTENDS])} extends itself: name another config.")
    return merge_configs(_resolve(read_yaml(path), path.parent, (*before, path)), overrides)


def merge_configs(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return `below` with the keys of `above` put over it; the order of `below` stays."""
    whole = dict(below)
    for key, value in above.items():
        if isinstance(value, Mapping) and isinstance(whole.get(key), Mapping):
            whole[key] = merge_configs(whole[key], value)
        elif value is None:
            whole.pop(key, None)
        else:
            whole[key] = value
    return whole
