"""Read a config from its file, and put it over the one that it `extends`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from frism.documents import parse_json, parse_yaml, read_document
from frism.errors import UserError

EXTENDS = "extends"


def read_yaml(path: Path) -> dict[str, Any]:
    """Return a config as its file says it. Raises UserError when it cannot be read or is no mapping."""
    text = read_document(path, "correct it")
    # YAML 1.1 takes a JSON number like 1e-05 for a text.
    content = (parse_json if path.suffix == ".json" else parse_yaml)(text, path, "correct it")
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
    if not isinstance(content[EXTENDS], str):
        raise UserError(f"{EXTENDS} of a config below {folder} is no text: name another config's file.")
    path = (folder / content[EXTENDS]).resolve()
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
