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
    sources, libraries = trace_imports(modules, root, without)
    lines = [f"python {sys.version_info.major}.{sys.version_info.minor}"]
    lines += [
        f"{name} {_digest_meaning(path.read_text(encoding='utf-8'))}"
        for name, path in sorted(sources.items())
    ]
    lines += [f"{library} {version(library)}" for library in sorted(libraries)]
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
    sources: dict[str, Path] = {}
    imported: set[str] = set()
    waiting, left_out = list(modules), tuple(without)
    for module in [*waiting, *left_out]:
        if _locate(module, root) is None:
            raise FileNotFoundError(f"no module {module} in {root}")
    unwanted = tuple(f"{module}." for module in left_out)
    seen: set[str] = set()  # a name is looked for on the disk once: a plan takes many digests
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        path = None if f"{module}.".startswith(unwanted) else _locate(module, root)
        if path is None:
            continue
        sources[module] = path
        names = set(_list_imports(path.read_text(encoding="utf-8"), module, path.name == "__init__.py"))
        waiting += [name for name in names if name.split(".")[0] in PACKAGES]
        waiting += [parent for name in (module, *names) for parent in _list_parents(name)]
        imported |= {name.split(".")[0] for name in names}
    installed = _map_distributions()
    return sources, {d for name in imported if name not in PACKAGES for d in installed.get(name, ())}


def _locate(module: str, root: Path) -> Path | None:
    if module.split(".")[0] not in PACKAGES:
        return None
    stem = root.joinpath(*module.split("."))
    return next((p for p in (stem.with_suffix(".py"), stem / "__init__.py") if p.is_file()), None)


def _list_parents(module: str) -> Iterator[str]:
    while "." in module:
        module = module.rpartition(".")[0]
        yield module


@cache
def _list_imports(source: str, module: str, is_package: bool) -> tuple[str, ...]:
    """List absolute names of what a source imports: `from a import b` names a and a.b, maybe a module."""
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:
                package = module.split(".")[: None if is_package else -1]
                parents = package[: len(package) - (node.level - 1)]
                origin = ".".join([*parents, *filter(None, [node.module])])
            names += [origin, *(f"{origin}.{alias.name}" for alias in node.names)]
    return tuple(names)


@cache
def _digest_meaning(source: str) -> str:
    """Return the sha256 of a source without comments, layout, docstrings and the descriptions of settings."""
    tree = ast.parse(source)
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
def _map_distributions() -> dict[str, list[str]]:
    return {
        name: sorted(set(distributions))
        for name, distributions in packages_distributions().items()
        if name not in sys.stdlib_module_names
    }
