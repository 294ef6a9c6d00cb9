"""Say in one sentence what pydantic finds wrong with a config: key, cause and the nearest valid name."""

import re
from collections.abc import Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from frism.errors import shorten, suggest

KINDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", NoneType: "nothing",
         tuple: "a list", list: "a list", dict: "a mapping"}  # fmt: skip
TOO_SMALL = {"greater_than_equal": "ge", "greater_than": "gt"}
TOO_LARGE = {"less_than_equal": "le", "less_than": "lt"}


def describe_fault(model: type[BaseModel], content: Any, error: ValidationError) -> str:
    """Return the outermost fault of `content`, which `model` refused with `error`.

    An unknown key often explains the missing one beside it, so missing keys come last.
    """
    errors = [e for e in error.errors() if e["type"] != "default_factory_not_called"]  # a consequence
    faults = [(_locate(fault["loc"], content), fault) for fault in errors]
    faults.sort(key=lambda f: (len(f[0]) - (f[1]["type"] == "extra_forbidden"), f[1]["type"] == "missing"))
    # Of a choice of kinds, the one of the right kind explains itself, as for a number that is too small.
    path = faults[0][0]
    rank = {**dict.fromkeys(TOO_SMALL, 0), **dict.fromkeys(TOO_LARGE, 0)}
    candidates = sorted((f for p, f in faults if p == path), key=lambda f: rank.get(f["type"], 1))
    return _describe(model, path, candidates[0])


def _describe(model: type[BaseModel], path: tuple[str | int, ...], fault: ErrorDetails) -> str:
    name, context, value = ".".join(map(str, path)) or "the whole", fault.get("ctx", {}), fault["input"]
    kind = fault["type"]
    if kind == "extra_forbidden":
        key, inside = str(path[-1]), ".".join(map(str, path[:-1]))
        known = list(getattr(_unwrap(_find_annotation(model, path[:-1])), "model_fields", {}))
        where = f" in {inside}" if inside else ""
        return f"unknown key '{key}'{where} (known: {', '.join(known)}).{suggest(key, known)}"
    if kind == "missing":
        return f"the key '{fault['loc'][-1]}' is missing{f' in {name}' if path else ''}."
    if kind == "literal_error" and get_origin(_unwrap(_find_annotation(model, path))) is Literal:
        options = re.findall(r"'([^']*)'", context["expected"])
        return (
            f"{name} must be one of {', '.join(options)}, not {_show(value)}.{suggest(str(value), options)}"
        )
    if kind in TOO_SMALL:
        bound = f"{_describe_bound(kind)} {context[TOO_SMALL[kind]]}"
        return f"{name} is {_show(value)}, which is too small ({bound})."
    if kind in TOO_LARGE:
        bound = f"{_describe_bound(kind)} {context[TOO_LARGE[kind]]}"
        return f"{name} is {_show(value)}, which is too large ({bound})."
    if kind in ("too_short", "string_too_short"):
        return f"{name} is empty: name at least one."
    if kind == "string_pattern_mismatch":
        return f"{name} is {_show(value)}: use lower-case letters, digits and _ only, a letter first."
    if kind == "value_error":
        message = fault["msg"].removeprefix("Value error, ")
        whole = message if message.endswith("?") else f"{message}."
        return f"{name}: {whole}" if path else whole
    return f"{name} must be {_describe_kinds(_find_annotation(model, path))}, not {_show(value)}."


def _show(value: object) -> str:
    return shorten(repr(value), 80)


def _describe_bound(kind: str) -> str:
    return {"greater_than_equal": "at least", "greater_than": "above", "less_than_equal": "at most"}.get(
        kind, "below"
    )


def _locate(loc: Sequence[str | int], content: Any) -> tuple[str | int, ...]:
    """Return the part of pydantic's location that is in the content; the rest names branches of unions."""
    path: list[str | int] = []
    for step in loc:
        try:
            content = content[step]
        except (KeyError, IndexError, TypeError):
            break
        path.append(step)
    return tuple(path)


def _find_annotation(model: Any, path: Sequence[str | int]) -> Any:
    """Return what a model declares at a path of keys."""
    declared = model
    for step in path:
        declared = _unwrap(declared)
        if isinstance(declared, type) and issubclass(declared, BaseModel):
            declared = declared.model_fields[str(step)].annotation
        else:  # of a mapping the values, of a list the entries
            arguments = [a for a in get_args(declared) if a is not Ellipsis]
            declared = arguments[-1] if arguments else Any
    return declared


def _unwrap(declared: Any) -> Any:
    """Return a declaration without its constraints, and without "or nothing"."""
    if get_origin(declared) is Annotated:
        return _unwrap(get_args(declared)[0])
    if get_origin(declared) in (Union, UnionType):
        choices = [a for a in get_args(declared) if a is not NoneType]
        return _unwrap(choices[0]) if len(choices) == 1 else declared
    return declared


def _describe_kinds(declared: Any) -> str:
    """Describe what a declaration accepts, in words: "a whole number or 'all'"."""
    origin = get_origin(declared)
    if origin is Annotated:
        return _describe_kinds(get_args(declared)[0])
    if origin in (Union, UnionType):
        return " or ".join(map(_describe_kinds, get_args(declared)))
    if origin is Literal:
        return " or ".join(repr(value) for value in get_args(declared))
    return KINDS.get(origin or declared, "a mapping")
