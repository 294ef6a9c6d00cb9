"""Read a function's keyword arguments as parameters with types, ranges and defaults, and check values.

An argument whose annotation is a dataclass stands for its fields: parameters that several functions share. An
instance as that argument's default gives the function defaults of its own; a ValueError of its
`__post_init__` says which values do not go together.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cached_property
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from frism.errors import UserError, suggest

Value = bool | int | float | str
KINDS: dict[Any, str] = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
BOUNDS = {"ge": "of at least", "gt": "above", "le": "at most", "lt": "below"}


@dataclass(frozen=True)
class Parameter:
    """Describe one parameter of a method: its annotation says what values it takes."""

    name: str
    annotation: Any
    default: Value

    @property
    def plain(self) -> Any:
        """The annotation without its range."""
        return get_args(self.annotation)[0] if get_origin(self.annotation) is Annotated else self.annotation

    @property
    def choices(self) -> tuple[str, ...]:
        """A Literal's strings."""
        return get_args(self.plain) if get_origin(self.plain) is Literal else ()

    @property
    def type(self) -> str:
        """int, float, str or bool."""
        return "str" if self.choices else str(self.plain.__name__)

    @cached_property
    def bounds(self) -> dict[str, float]:
        """The range's ends: "ge", "gt", "le", "lt", those that are given."""
        extras = get_args(self.annotation)[1:] if self.plain is not self.annotation else ()
        single = [bound for extra in extras for bound in getattr(extra, "metadata", [extra])]
        limits = [(key, getattr(bound, key, None)) for key in BOUNDS for bound in single]
        return {key: limit for key, limit in limits if limit is not None}

    @property
    def ends(self) -> list[Value]:
        """The ends of the range that belong to it."""
        return [self.plain(limit) for key, limit in self.bounds.items() if key in ("ge", "le")]

    @property
    def description(self) -> str:
        """What values it takes, as a message says it: "a number above 0 and at most 1"."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        limits = {key: f"{limit:g}" for key, limit in self.bounds.items()}
        if "ge" in limits and limits["ge"] == limits.get("le"):
            return limits["ge"]
        return f"{KINDS[self.plain]} {' and '.join(f'{BOUNDS[k]} {v}' for k, v in limits.items())}".strip()

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.annotation, config=ConfigDict(strict=True, allow_inf_nan=False))

    def check(self, value: object, where: str) -> Value:
        """Return `value` in the parameter's type (an int becomes a float where the type is float).

        Raises UserError, beginning with `where`, for one of another type or out of range.
        """
        try:
            checked: Value = self._adapter.validate_python(value)
        except ValidationError:
            raise UserError(
                f"{where}: parameter '{self.name}' must be {self.description}, not {value!r}."
            ) from None
        return checked


@dataclass(frozen=True)
class Signature:
    """Describe the parameters of one function.

    Attributes:
        parameters: by name; the fields of a dataclass count one by one.
        groups: the dataclasses among the arguments, by the argument's name.
        plain: the names of the other arguments.
    """

    parameters: dict[str, Parameter]
    groups: dict[str, type]
    plain: tuple[str, ...]

    def build_arguments(self, values: Mapping[str, Value]) -> dict[str, Any]:
        """Build the function's keyword arguments from complete parameters. A group may raise ValueError."""
        groups = {
            name: group(**{field.name: values[field.name] for field in fields(group)})
            for name, group in self.groups.items()
        }
        return {name: values[name] for name in self.plain} | groups


def read_signature(function: Callable[..., Any], where: str, positional: int = 1) -> Signature:
    """Read the keyword arguments of a function of so many positional arguments.

    Raises UserError, beginning with `where`, for an argument that breaks the interface.
    """
    parameters: dict[str, Parameter] = {}
    groups: dict[str, type] = {}
    plain: list[str] = []
    arguments = [*inspect.signature(function).parameters.values()]
    first = [argument.kind for argument in arguments[:positional]]
    if first != [inspect.Parameter.POSITIONAL_OR_KEYWORD] * positional:
        count = "one positional argument" if positional == 1 else f"{positional} positional arguments"
        raise UserError(f"{where}: {function.__name__} must take {count}, then `*`.")
    for argument in arguments[positional:]:
        label = f"{where}: argument '{argument.name}' of {function.__name__}"
        if argument.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD:
            raise UserError(f"{label} is positional: put parameters after `*`.")
        if argument.kind is not inspect.Parameter.KEYWORD_ONLY:
            raise UserError(f"{label} must be a named argument: the signature is the parameter schema.")
        annotation = argument.annotation
        if isinstance(annotation, str):  # postponed
            annotation = eval(annotation, getattr(function, "__globals__", {}))
        if isinstance(annotation, type) and is_dataclass(annotation):
            groups[argument.name] = annotation
            hints = get_type_hints(annotation, include_extras=True)
            for field in fields(annotation):
                default = getattr(argument.default, field.name, field.default)
                label = f"{where}: field '{field.name}' of {annotation.__name__}"
                parameters[field.name] = _make_parameter(field.name, hints[field.name], default, label)
        else:
            plain.append(argument.name)
            parameters[argument.name] = _make_parameter(argument.name, annotation, argument.default, label)
    return Signature(parameters, groups, tuple(plain))


def _make_parameter(name: str, annotation: Any, default: Any, label: str) -> Parameter:
    """Make one parameter. Raises UserError when it has no default or a type that is not allowed."""
    if default in (inspect.Parameter.empty, MISSING):
        raise UserError(f"{label} has no default: give it one.")
    parameter = Parameter(name, annotation, default)
    choices = parameter.choices
    if parameter.plain not in KINDS and not (choices and all(isinstance(c, str) for c in choices)):
        raise UserError(
            f"{label} needs a type: int, float, str, bool (with a range) or a Literal of strings."
        )
    return Parameter(name, annotation, parameter.check(default, label))


def validate(
    params: Mapping[str, object], parameters: Mapping[str, Parameter], where: str
) -> dict[str, Value]:
    """Return all parameters, checked, with defaults filled in and in the order of the signature.

    Raises UserError, beginning with `where`, for an unknown name, or a value of the wrong type or range.
    """
    for name in params:
        if name not in parameters:
            raise UserError(
                f"{where} has no parameter '{name}' (it accepts: {', '.join(parameters) or 'none'})."
                f"{suggest(name, parameters)}"
            )
    return {
        name: parameter.check(params[name], where) if name in params else parameter.default
        for name, parameter in parameters.items()
    }
