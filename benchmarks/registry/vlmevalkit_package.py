"""Find the installed VLMEvalKit, identify its files, and keep its `__init__` from running."""

import hashlib
import importlib.machinery
import importlib.metadata
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

from frism.errors import UserError
from frism.files import sha256_file


def find_package() -> Path:
    """Return the folder of the package `vlmeval`. Raises UserError when it is not installed."""
    spec = importlib.machinery.PathFinder.find_spec("vlmeval")
    if spec is None or not spec.submodule_search_locations:
        raise UserError("VLMEvalKit is not installed: run pip install --no-deps -r requirements-nodeps.txt.")
    return Path(next(iter(spec.submodule_search_locations)))


def get_version() -> str:
    """Return the installed VLMEvalKit, as "ms-vlmeval 0.0.20"."""
    return f"ms-vlmeval {importlib.metadata.version('ms-vlmeval')}"


@cache
def hash_installation() -> str:
    """Return 16 hex digits of every file of VLMEvalKit: its version says nothing about a checkout."""
    digest = hashlib.sha256()
    root = find_package()
    for path in sorted(root.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(f"{path.relative_to(root)} {sha256_file(path)}\n".encode())
    return digest.hexdigest()[:16]


def add_bare_package(name: str = "vlmeval") -> None:
    """Put a bare module in place of a package, so that modules below it import without its `__init__`.

    That of `vlmeval` switches off TLS checks for the whole process and reads a .env file; that of
    `vlmeval.dataset` imports every dataset class. Nothing changes when the package is already imported.
    Raises UserError when VLMEvalKit is not installed.
    """
    if name in sys.modules:
        return
    folder = find_package().joinpath(*name.split(".")[1:])
    module = ModuleType(name)
    module.__path__ = [str(folder)]
    module.__spec__ = importlib.machinery.PathFinder.find_spec(name, [str(folder.parent)])
    sys.modules[name] = module
