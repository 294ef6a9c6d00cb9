"""A function's keyword-only arguments as typed, checked parameters.

An argument whose annotation is a dataclass stands for its fields: parameters that several functions share. An
instance as that argument's default gives the function defaults of its own.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
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


@dataclass(frozen=True)
class Signature:
    """What a function asks for.

    Attributes:
        positional: names, in order.
        parameters: by name; the fields of a dataclass count one by one.
        names: of all keyword-only arguments.
        groups: the dataclasses among them.
    """

    positional: tuple[str, ...]
    parameters: dict[str, Parameter]
    names: frozenset[str]
    groups: dict[str, type]

    def keywords(self, supplied: Mapping[str, object], complete: Mapping[str, object]) -> dict[str, Any]:
        """The keyword arguments from reserved names that the caller supplies and complete parameters."""
        values: dict[str, Any] = {**complete, **supplied}
        return {
            name: (
                self.groups[name](**{field.name: values[field.name] for field in fields(self.groups[name])})
                if name in self.groups
                else values[name]
            )
            for name in sorted(self.names)
        }


def read_signature(
    function: Callable[..., Any], where: str, positional: tuple[str, ...], reserved: tuple[str, ...]
) -> Signature:
    """Read the signature of `merge` or `fit`.

    Raises UserError, beginning with `where`, for an argument that breaks the interface.
    """
    sources: list[str] = []
    parameters: dict[str, Parameter] = {}
    keywords: set[str] = set()
    groups: dict[str, type] = {}
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
        if argument.name in reserved:
            continue
        if isinstance(argument.annotation, type) and is_dataclass(argument.annotation):
            groups[argument.name] = argument.annotation
            for field in fields(argument.annotation):
                what = f"{where}: field '{field.name}' of {argument.annotation.__name__}"
                default = getattr(argument.default, field.name, field.default)
                parameters[field.name] = _parameter(field.name, field.type, default, what)
        else:
            parameters[argument.name] = _parameter(argument.name, argument.annotation, argument.default, what)
    return Signature(tuple(sources), parameters, frozenset(keywords), groups)


def _parameter(name: str, annotation: Any, default: Any, what: str) -> Parameter:
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
    if default in (inspect.Parameter.empty, MISSING):
        raise UserError(f"{what} needs a default.")
    plain = Parameter(name, kind, default, choices)
    return Parameter(name, kind, plain.check(default, what), choices)
