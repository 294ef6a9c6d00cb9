"""Which datasets the installed VLMEvalKit declares, read from its sources: importing it takes ten seconds.

A dataset class lists its names in DATASET_URL (or in `supported_datasets`) and checksums in DATASET_MD5.
Those statements alone are run, without the rest of the module, so that tables made by loops count too.
"""

import ast
import importlib.machinery
import warnings
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from frism.errors import UserError

INSTALL = "pip install --no-deps ms-vlmeval==0.0.20"
_ROOTS = ("ImageBaseDataset", "VideoBaseDataset", "TextBaseDataset", "object")


@dataclass(frozen=True)
class Declared:
    """One dataset name: its class and that one's MODALITY, the class whose `evaluate` it has ("" when none is
    seen), the TSV's address ("" without) and md5."""

    name: str
    class_name: str
    modality: str
    evaluates: str
    url: str
    md5: str | None


@dataclass
class _Class:
    name: str
    bases: list[str]
    evaluates: bool
    values: dict[str, Any]
    supported: list[str] = field(default_factory=list)


_Classes = dict[str, _Class]


@cache
def source_folder() -> Path:
    """The folder of VLMEvalKit's package `vlmeval`. Raises UserError when it is not installed."""
    spec = importlib.machinery.PathFinder.find_spec("vlmeval")
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"VLMEvalKit is not installed: {INSTALL}.")
    return Path(next(iter(spec.submodule_search_locations)))


@cache
def find(name: str) -> Declared | None:
    """The dataset called `name`, or None. All modules are read only where those that write the name in
    quotes do not settle it."""
    return _declared(name, _classes(name)) or _declared(name, _all_classes())


@cache
def names() -> list[str]:
    """All names of datasets of pictures, sorted."""
    classes = _all_classes()
    found = [classes[c] for c in _listed() if c in classes]
    return sorted({n for c in found if _modality(c, classes) == "IMAGE" for n in _supported(c, classes)})


def _declared(name: str, classes: _Classes) -> Declared | None:
    for class_name in _listed():
        found = classes.get(class_name)
        if found is None or name not in _supported(found, classes):
            continue
        lineage = list(_lineage(found, classes))
        if not all(base in classes or base in _ROOTS for c in lineage for base in c.bases):
            return None  # a part of it is in a module that was not read
        evaluates = next((c.name for c in lineage if c.evaluates), "")
        url, md5 = _value(found, "DATASET_URL", classes) or {}, _value(found, "DATASET_MD5", classes) or {}
        modality = _modality(found, classes)
        return Declared(
            name, class_name, modality, evaluates, str(url.get(name) or ""), md5.get(name) or None
        )
    return None


@cache
def _listed() -> list[str]:
    """The classes that VLMEvalKit looks through for a name, in its order."""
    module = ast.parse((source_folder() / "dataset" / "__init__.py").read_text(encoding="utf-8"))
    return [
        entry.id
        for statement in module.body
        if isinstance(statement, ast.Assign | ast.AugAssign) and isinstance(statement.value, ast.List)
        for entry in statement.value.elts
        if isinstance(entry, ast.Name)
    ]


def _lineage(found: _Class, classes: _Classes) -> Iterator[_Class]:
    yield found
    for base in found.bases:
        if base in classes:
            yield from _lineage(classes[base], classes)


def _value(found: _Class, table: str, classes: _Classes) -> Any:
    return next((c.values[table] for c in _lineage(found, classes) if table in c.values), None)


def _modality(found: _Class, classes: _Classes) -> str:
    return str(_value(found, "MODALITY", classes) or "IMAGE")


def _supported(found: _Class, classes: _Classes) -> Iterable[str]:
    for parent in _lineage(found, classes):
        if parent.supported:
            return parent.supported
        if isinstance(parent.values.get("DATASET_URL"), dict):
            return parent.values["DATASET_URL"]
    return []


@cache
def _all_classes() -> _Classes:
    return _classes("")


def _classes(name: str) -> _Classes:
    """The dataset classes of the modules that write `name` in quotes; of all for ""."""
    found: _Classes = {}
    for path in sorted((source_folder() / "dataset").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        base = path.name in ("image_base.py", "video_base.py", "text_base.py")
        if name and not base and not any(f"{quote}{name}{quote}" in text for quote in "'\""):
            continue
        if "DATASET_" in text or "supported_datasets" in text:
            with warnings.catch_warnings(action="ignore"):  # of its escape sequences
                module = ast.parse(text)
            found |= {c.name: c for c in _of_module(module)}
    return found


def _of_module(module: ast.Module) -> Iterator[_Class]:
    scope: dict[str, Any] = {}
    for statement in module.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            _run(statement, {}, scope)
        if isinstance(statement, ast.ClassDef):
            found = _of_class(statement, scope)
            scope[found.name] = SimpleNamespace(**found.values)  # a later class may quote its tables
            yield found


def _of_class(statement: ast.ClassDef, scope: dict[str, Any]) -> _Class:
    values: dict[str, Any] = {}
    supported: list[str] = []
    methods = {part.name: part for part in statement.body if isinstance(part, ast.FunctionDef)}
    tables = ast.Assign | ast.AnnAssign | ast.AugAssign | ast.For | ast.Expr
    for part in statement.body:
        if isinstance(part, tables):
            _run(part, scope, values)
    if "supported_datasets" in methods:
        supported = _returned(methods["supported_datasets"], scope | {"cls": SimpleNamespace(**values)})
    bases = [base.id for base in statement.bases if isinstance(base, ast.Name)]
    return _Class(statement.name, bases, "evaluate" in methods, values, supported)


def _returned(function: ast.FunctionDef, scope: dict[str, Any]) -> list[str]:
    """What `supported_datasets` gives when it follows from the tables of its class."""
    found: dict[str, Any] = {}
    for statement in function.body:
        if isinstance(statement, ast.Return) and statement.value is not None:
            target = ast.Assign([ast.Name("returned", ast.Store())], statement.value)
            statement = ast.fix_missing_locations(ast.copy_location(target, statement))
        _run(statement, scope, found)
    return [str(name) for name in found.get("returned", [])]


def _run(statement: ast.stmt, known: dict[str, Any], into: dict[str, Any]) -> None:
    """Run one statement; one that needs more than constants and tables before it has no effect."""
    code = compile(ast.Module([statement], []), "vlmeval", "exec")
    with suppress(Exception):
        exec(code, {**known, **into}, into)
