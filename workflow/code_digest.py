"""Digest source code, so that results follow the code that made them.

Snakemake sees a rule's parameters but not the modules behind `python -m ...`. The digest of a module
covers the module, everything of this project that it imports (anywhere in the file, relative or not,
with the `__init__` of every package on the way), the versions of the libraries that this code imports,
and data files named beside it. Comments, layout, docstrings and descriptions of settings do not count: prose
must not cost a week of GPU time.

Not seen: modules that are imported by a name known at run time only. Merging methods are such, so the
rules name a method's module themselves, and a change in one method leaves the other methods alone.
"""

import ast
import hashlib
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import NamedTuple

from workflow.remember import remember

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("frism", "baselines", "benchmarks")
PROSE = ("description", "help")  # keywords that only say what a setting or an option means


def digest_code(
    *modules: str, data: Iterable[str] = (), without: Iterable[str] = (), root: Path = ROOT
) -> str:
    """Return 16 hex digits for `modules` with all that they import, and for the bytes of the files in `data`.

    `data` holds glob patterns relative to `root`. `without` names modules and packages that are imported
    on the way but do nothing for the job. Raises FileNotFoundError for a module that is not there and for a
    pattern that matches nothing: a digest of nothing would never change.
    """
    sources, libraries = _trace(_open_sources(root), modules, without)
    lines = [f"python {sys.version_info.major}.{sys.version_info.minor}"]
    lines += [f"{name} {source.meaning}" for name, source in sorted(sources.items())]
    lines += [f"{library} {_find_version(library)}" for library in sorted(libraries)]
    for pattern in data:
        files = sorted(root.glob(pattern))
        if not files:
            raise FileNotFoundError(f"no file matches {pattern} in {root}")
        lines += [f"{file.relative_to(root)} {_sha256(file.read_bytes())}" for file in files]
    return _sha256("\n".join(lines).encode())[:16]


def trace_imports(
    modules: Iterable[str], root: Path = ROOT, without: Iterable[str] = ()
) -> tuple[dict[str, Path], set[str]]:
    """Return the project's modules that `modules` import, directly or not, and the distributions they use.

    What `without` names, its submodules included, is left out, and so is what only they import.
    """
    sources, libraries = _trace(_open_sources(root), modules, without)
    return {module: source.path for module, source in sources.items()}, libraries


class _Source(NamedTuple):
    path: Path
    imports: list[str]  # absolute names
    meaning: str  # sha256 of what it does


class _Sources:
    """The project's files as they are now: each is looked for, read and parsed once for all digests."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._sources: dict[str, _Source | None] = {}

    def find(self, module: str) -> _Source | None:
        """Return a module of the project, None for what is none."""
        if module not in self._sources:
            self._sources[module] = self._read(module)
        return self._sources[module]

    def _read(self, module: str) -> _Source | None:
        if module.split(".")[0] not in PACKAGES:
            return None
        stem = self.root.joinpath(*module.split("."))
        path = next((p for p in (stem.with_suffix(".py"), stem / "__init__.py") if p.is_file()), None)
        if path is None:
            return None
        text, is_package = path.read_text(encoding="utf-8"), path.name == "__init__.py"
        if self.root != ROOT:  # a project made for a test: not worth remembering
            return _Source(path, *_parse(text, module, is_package))
        made_by = [_digest_this_file(), *sys.version_info[:2]]
        found = remember([made_by, module, is_package, text], lambda: _parse(text, module, is_package))
        return _Source(path, *found)


def _open_sources(root: Path) -> _Sources:
    return _open_own_sources() if root == ROOT else _Sources(root)


@cache  # as long as the process, which would not see a change in what it has imported either
def _open_own_sources() -> _Sources:
    return _Sources(ROOT)


def _trace(
    sources: _Sources, modules: Iterable[str], without: Iterable[str]
) -> tuple[dict[str, _Source], set[str]]:
    traced: dict[str, _Source] = {}
    imported: set[str] = set()
    waiting, left_out = list(modules), tuple(without)
    for module in [*waiting, *left_out]:
        if sources.find(module) is None:
            raise FileNotFoundError(f"no module {module} in {sources.root}")
    unwanted = tuple(f"{module}." for module in left_out)
    seen: set[str] = set()
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        source = None if f"{module}.".startswith(unwanted) else sources.find(module)
        if source is None:
            continue
        traced[module] = source
        waiting += [name for name in source.imports if name.split(".")[0] in PACKAGES]
        waiting += [parent for name in (module, *source.imports) for parent in _list_parents(name)]
        imported |= {name.split(".")[0] for name in source.imports}
    installed = _map_distributions()
    return traced, {d for name in imported if name not in PACKAGES for d in installed.get(name, ())}


def _list_parents(module: str) -> Iterator[str]:
    while "." in module:
        module = module.rpartition(".")[0]
        yield module


def _parse(text: str, module: str, is_package: bool) -> tuple[list[str], str]:
    tree = ast.parse(text)
    return _list_imports(tree, module, is_package), _digest_meaning(tree)


def _list_imports(tree: ast.Module, module: str, is_package: bool) -> list[str]:
    """List absolute names of what a module imports: `from a import b` names a and a.b, maybe a module."""
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:
                package = module.split(".")[: None if is_package else -1]
                parents = package[: len(package) - (node.level - 1)]
                origin = ".".join([*parents, *filter(None, [node.module])])
            names += [origin, *(f"{origin}.{alias.name}" for alias in node.names)]
    return list(dict.fromkeys(names))


def _digest_meaning(tree: ast.Module) -> str:
    """Return the sha256 of a module without comments, layout, docstrings and the descriptions of settings.

    Changes `tree`.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and (
            ast.get_docstring(node, clean=False) is not None
        ):
            node.body = node.body[1:] or [ast.Pass()]
        if isinstance(node, ast.Call):
            node.keywords = [k for k in node.keywords if k.arg not in PROSE]
    return _sha256(ast.unparse(tree).encode())


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@cache
def _digest_this_file() -> str:
    return _sha256(Path(__file__).read_bytes())


_find_version = cache(version)


@cache
def _map_distributions() -> dict[str, list[str]]:
    """Map importable names to the distributions that bring them, remembered until one comes or goes."""
    folders = [path for path in map(Path, sys.path) if any(path.glob("*.dist-info"))]
    states = [[str(path), path.stat().st_mtime_ns] for path in folders]
    installed: dict[str, list[str]] = remember(["distributions", *states], _ask_for_distributions)
    return installed


def _ask_for_distributions() -> dict[str, list[str]]:
    return {
        name: sorted(set(distributions))
        for name, distributions in packages_distributions().items()
        if name not in sys.stdlib_module_names
    }
