"""Find methods by file name, in this project's folders or anywhere, and read their files."""

import importlib
import importlib.util
import inspect
import pkgutil
import sys
from dataclasses import is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from frism.errors import UserError, suggest
from frism.method.method import NEEDS, Method
from frism.method.parameters import Signature, read_signature
from frism.method.site import Array, Site
from frism.triples.triple import DEFAULT_SCOPE, ROLES, SCOPES

PACKAGES = ["frism.methods", "baselines"]
DIRECTIONS = ("singular", "random")
GRANULARITIES = ("", "model", "layer", "matrix", "tensor", "direction", "entry")


def find_modules() -> dict[str, str]:
    """Map every method's name to its module, without importing any method.

    Modules whose name starts with "_" are not methods.
    """
    modules: dict[str, str] = {}
    for package in PACKAGES:
        for entry in pkgutil.iter_modules(importlib.import_module(package).__path__):
            if entry.name.startswith("_") or entry.ispkg:
                continue
            if entry.name in modules:
                raise UserError(
                    f"two methods are named '{entry.name}' ({modules[entry.name]} and {package}): rename one."
                )
            modules[entry.name] = f"{package}.{entry.name}"
    return modules


def list_names() -> list[str]:
    """List the names of all methods, sorted."""
    return sorted(find_modules())


def find(name: str) -> Method:
    """Import a method by its name, or by the path of its file (which ends in .py).

    Raises UserError when there is none or it breaks the interface.
    """
    if name.endswith(".py"):
        return read_file(name)
    modules = find_modules()
    if name not in modules:
        raise UserError(
            f"unknown method '{name}' (available: {', '.join(sorted(modules))}).{suggest(name, modules)}"
        )
    try:
        module = importlib.import_module(modules[name])
    except Exception as error:
        raise _explain_import_failure(name, modules[name], error) from error
    return read_module(module, name)


def read_file(file: str | Path) -> Method:
    """Read a method from a file anywhere. Raises UserError when there is none or it breaks the interface."""
    path = Path(file)
    if not path.is_file():
        raise UserError(f"{path} is not a file: name a method's file.")
    spec = importlib.util.spec_from_file_location(f"frism_method_file.{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise _explain_import_failure(path.stem, str(path), error) from error
    return read_module(module, str(file))


def _explain_import_failure(name: str, where: str, error: Exception) -> UserError:
    """Return the error for a method whose module raises when it is imported."""
    return UserError(f"method {name} ({where}) fails to import: {type(error).__name__}: {error}.")


def read_module(module: ModuleType, name: str) -> Method:
    """Read a module as a method. Raises UserError, naming the file, when it breaks the interface."""
    where = module.__file__ or module.__name__

    def read_constant(constant: str, default: Any, allowed: Any = None) -> Any:
        value = getattr(module, constant, default)
        for item in value if isinstance(value, set | frozenset | tuple | list) else (value,):
            if allowed is not None and item not in allowed:
                options = ", ".join(allowed)
                raise UserError(f"{where}: {constant} is '{item}': choose from {options}.")
        return value

    merge, fit, measure, mix = (
        getattr(module, function, None) for function in ("merge", "fit", "measure", "mix")
    )
    if mix is not None and (merge is not None or fit is not None):
        raise UserError(
            f"{where} has both mix and {'merge' if merge else 'fit'}: a method does one of the two."
        )
    merge = merge or (keep_receiver if mix is not None else None)
    if not callable(merge):
        raise UserError(
            f"{where} has no function merge(site, *, ...): write one, or prefix the file with '_'."
        )
    doc = inspect.cleandoc(module.__doc__ or "")
    label = doc.partition("\n")[0].partition(":")[0].partition(". ")[0].strip().rstrip(".")
    if not label:
        raise UserError(f"{where} has no docstring: its first line, up to ':' or '.', is the method's label.")
    merging = read_signature(merge, where)
    fitting = read_signature(fit, where) if fit is not None else None
    measuring = read_signature(measure, where) if measure is not None else None
    mixing = read_signature(mix, where, positional=2) if mix is not None else None
    parameters = dict(merging.parameters)
    for function, signature in (("fit", fitting), ("measure", measuring), ("mix", mixing)):
        for parameter in signature.parameters.values() if signature else ():
            if parameters.setdefault(parameter.name, parameter) != parameter:
                raise UserError(
                    f"{where}: parameter '{parameter.name}' differs between merge and {function}: make them"
                    " equal."
                )
    pieces = getattr(module, "ELEMENTWISE", False)
    identity = getattr(module, "IDENTITY", None)
    for constant, values in (("ELEMENTWISE", pieces), ("IDENTITY", identity)):
        for key, value in values.items() if isinstance(values, dict) else ():
            if key not in parameters:
                raise UserError(
                    f"{where}: {constant} names '{key}', which is not a parameter: "
                    f"name one of {', '.join(parameters)}."
                )
            parameters[key].check(value, where)
    arithmetic = bool(getattr(module, "ARITHMETIC", False))
    reads = read_constant("READS", ROLES, ROLES)
    return Method(
        name=name,
        label=label,
        doc="\n\n".join([doc, *_read_group_docs(merging, fitting, mixing)]),
        module=module.__name__,
        file=where,
        scope=read_constant("SCOPE", DEFAULT_SCOPE, SCOPES),
        needs=frozenset(read_constant("NEEDS", frozenset(), NEEDS)),
        reads=tuple(role for role in ROLES if role in reads),
        parameters=parameters,
        merge=merge,
        merging=merging,
        fit=fit,
        fitting=fitting,
        measure=measure,
        measuring=measuring,
        mix=mix,
        mixing=mixing,
        mergekit=getattr(module, "mergekit", None),
        mergekit_difference=read_constant("MERGEKIT_DIFFERENCE", ""),
        pieces=pieces or arithmetic,
        arithmetic=arithmetic,
        svds=read_constant("SVDS", 0),
        directions=read_constant("DIRECTIONS", "singular", DIRECTIONS),
        granularity=read_constant("GRANULARITY", "", GRANULARITIES),
        gradients=read_constant("GRADIENTS", "", ("", "model", "weights")),
        family=read_constant("FAMILY", ""),
        ignores=frozenset(read_constant("IGNORES", frozenset(), parameters)),
        identity=identity,
        swept=bool(read_constant("SWEPT", False)),
    )


def keep_receiver(site: Site) -> Array:
    """Return V: all that a method which mixes predictions makes of weights."""
    return site.vlm


def _read_group_docs(*signatures: Signature | None) -> list[str]:
    """Read the docstrings of the dataclasses among the parameters, and of those that they extend."""
    groups = [group for signature in signatures if signature for group in signature.groups.values()]
    classes = dict.fromkeys(cls for group in groups for cls in group.__mro__ if is_dataclass(cls))
    return [inspect.cleandoc(cls.__doc__ or "") for cls in classes]
