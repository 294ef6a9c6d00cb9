"""A function's keyword-only arguments as typed, checked parameters."""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from frism.errors import UserError

TYPES: dict[str, type] = {"int": int, "float": float, "str": str, "bool": bool}

Value = bool | int | float | str


@dataclass(frozen=True)
class Parameter:
    """One parameter of a method: its type's name, its default, and a Literal's allowed strings."""

    name: str
    type: str
    default: Value
    choices: tuple[str, ...] = ()

    def check(self, value: object, method: str) -> Value:
        """Return `value` in the parameter's type (an int becomes a float where a float is asked for)."""
        if self.type == "float" and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if type(value) is not TYPES[self.type]:
            shown = f"{value!r} ({type(value).__name__})"
            raise UserError(f"method {method}: parameter '{self.name}' must be {self.type}, not {shown}.")
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"method {method}: parameter '{self.name}' must be a finite number, not {value}.")
        if self.choices and value not in self.choices:
            options = ", ".join(self.choices)
            raise UserError(
                f"method {method}: parameter '{self.name}' must be one of {options}, not {value!r}."
            )
        return value  # type: ignore[return-value]


def read_signature(
    function: Callable[..., Any], where: str, positional: tuple[str, ...], reserved: tuple[str, ...]
) -> tuple[tuple[str, ...], dict[str, Parameter], frozenset[str]]:
    """Return (positional names, parameters, all keyword-only names) of `merge` or `fit`.

    Raises UserError, beginning with `where`, for an argument that breaks the interface.
    """
    sources: list[str] = []
    parameters: dict[str, Parameter] = {}
    keywords: set[str] = set()
    for argument in inspect.signature(function).parameters.values():
        what = f"{where}: argument '{argument.name}' of {function.__name__}"
        if argument.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD:
            if argument.name not in positional:
                raise UserError(f"{what} is not one of {', '.join(positional)}: put parameters after `*`.")
            sources.append(argument.name)
            continue
        if argument.kind is not inspect.Parameter.KEYWORD_ONLY:
            raise UserError(f"{what} must be a named argument: the signature is the parameter schema.")
        keywords.add(argument.name)
        if argument.name not in reserved:
            parameters[argument.name] = _parameter(argument, what)
    return tuple(sources), parameters, frozenset(keywords)


def _parameter(argument: inspect.Parameter, what: str) -> Parameter:
    annotation, default = argument.annotation, argument.default
    choices = get_args(annotation) if get_origin(annotation) is Literal else ()
    kind = (
        "str"
        if choices
        else annotation
        if isinstance(annotation, str)
        else getattr(annotation, "__name__", "")
    )
    if kind not in TYPES or not all(isinstance(choice, str) for choice in choices):
        raise UserError(f"{what} needs a type: int, float, str, bool or a Literal of strings.")
    if default is inspect.Parameter.empty:
        raise UserError(f"{what} needs a default.")
    plain = Parameter(argument.name, kind, default, choices)
    return Parameter(argument.name, kind, plain.check(default, what), choices)
