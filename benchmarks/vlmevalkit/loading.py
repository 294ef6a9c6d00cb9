"""VLMEvalKit's dataset classes, each imported alone, and their objects on our own files.

`import vlmeval` loads every model wrapper and API client (about 9 s), switches off TLS checks for the
whole process and reads a .env file. The module of one dataset class needs none of that: it is imported
under bare packages, whose __init__ does not run (0.5 s). It is the same class from the same file.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.machinery
import importlib.metadata
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from benchmarks.registry.definition import Definition
from frism.errors import UserError, suggest
from frism.files import sha256_file

if TYPE_CHECKING:
    import vlmeval  # noqa: F401 - names the library for whoever looks for what this module depends on

# Answers, and what VLMEvalKit derives from them: pandas would make numbers of some and nothing of "NA".
TEXTS = ("prediction", "answer", "answer_option", "extracted", "extract", "res")
_NO_PICTURE = "x" * 65  # VLMEvalKit takes up to 64 characters for the index of another row's picture


@cache
def dataset_class(name: str) -> type:
    """VLMEvalKit's dataset class `name`, or `PlainVQADataset`. Raises UserError for an unknown one."""
    if name == "PlainVQADataset":
        vqa: Any = dataset_class("ImageVQADataset")
        base = next(c for c in vqa.__mro__ if c.__name__ == "ImageBaseDataset")
        # The question carries its own request; ImageVQADataset would append another one.
        return type(name, (vqa,), {"build_prompt": base.build_prompt})
    loaded = sys.modules.get("vlmeval.dataset")
    if hasattr(loaded, name):
        return getattr(loaded, name)
    return getattr(_import_alone(_module_of(name)), name)


def build(definition: Definition, root: str | Path, *, pictures: bool = True) -> Any:
    """VLMEvalKit's dataset object on the file `root`/<dataset>.tsv; its pictures go to `root`/images.

    Cells that say "None", "NA" or "null" stay texts; only an empty cell is nothing. Without `pictures`
    (which scoring does not need) they are not kept in memory. Raises UserError when the file is missing:
    VLMEvalKit would try to download it, or another one over it.
    """
    path = Path(root).resolve() / f"{definition.dataset}.tsv"
    if not path.is_file():
        raise UserError(f"{path} is missing: run python -m benchmarks.stages.items again.")
    found: Any = dataset_class(definition.dataset_class)
    with (
        environment(LMUData=str(path.parent)),
        # Our file counts, whatever its name: no checksum of another one, no address to fetch one from.
        replaced(found, DATASET_MD5={}, DATASET_URL={}),
        replaced_in(modules_of(found), load=reader(pictures), file_size=_never_split),
    ):
        dataset = found(dataset=definition.dataset)
    if "image" not in dataset.data and "image_path" in dataset.data:
        # As benchmarks.questions.published writes them.
        dataset.img_root = str(path.parent / "images" / definition.dataset)
        dataset.data["image_path"] = [_located(cell, dataset.img_root) for cell in dataset.data["image_path"]]
    if not pictures:
        dataset.data = dataset.data.drop(columns="image", errors="ignore")
    return dataset


def version() -> str:
    """The installed VLMEvalKit, as "ms-vlmeval 0.0.20"."""
    return f"ms-vlmeval {importlib.metadata.version('ms-vlmeval')}"


@cache
def tree_hash() -> str:
    """16 hex digits of every file of the installed VLMEvalKit: its version says nothing about a checkout."""
    digest = hashlib.sha256()
    root = package_folder()
    for path in sorted(root.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(f"{path.relative_to(root)} {sha256_file(path)}\n".encode())
    return digest.hexdigest()[:16]


def package_folder() -> Path:
    """Where VLMEvalKit is installed. Raises UserError when it is not."""
    spec = importlib.machinery.PathFinder.find_spec("vlmeval")
    if spec is None or not spec.submodule_search_locations:
        raise UserError("VLMEvalKit is not installed: pip install --no-deps ms-vlmeval==0.0.20.")
    return Path(next(iter(spec.submodule_search_locations)))


def modules_of(found: type) -> list[ModuleType]:
    """The modules of VLMEvalKit in which a dataset class and its ancestors are written."""
    names = dict.fromkeys(c.__module__ for c in found.__mro__ if c.__module__.startswith("vlmeval."))
    return [sys.modules[name] for name in names]


def reader(pictures: bool = True) -> Callable[..., Any]:
    """VLMEvalKit's `load` for tables and pickles, with texts left as they are (see TEXTS)."""

    def load(path: Any, *_: Any, **__: Any) -> Any:
        import pandas as pd

        if Path(path).suffix == ".pkl":
            return pd.read_pickle(path)
        converters: dict[str, Callable[[str], str]] = dict.fromkeys(TEXTS, str)
        if not pictures:
            converters["image"] = lambda cell: _NO_PICTURE if len(cell) > 64 else cell
        separator = "\t" if Path(path).suffix == ".tsv" else ","
        return pd.read_csv(path, sep=separator, converters=converters, keep_default_na=False, na_values=[""])

    return load


def _located(cell: str | list[str], root: str) -> str | list[str]:
    """Whole paths of a table's pictures: without a column `image`, VLMEvalKit takes the cells as they are."""
    return [os.path.join(root, c) for c in cell] if isinstance(cell, list) else os.path.join(root, cell)  # noqa: PTH118


def _never_split(*_: Any) -> float:
    """VLMEvalKit's `file_size`: it would write a second file beside one of more than a gigabyte."""
    return 0.0


# --- importing one module -----------------------------------------------------------------------


def _module_of(name: str) -> str:
    """The module that defines class `name`: "vlmeval.dataset.image_yorn"."""
    folder = package_folder() / "dataset"
    classes: dict[str, str] = {}
    for path in sorted(folder.rglob("*.py")):
        module = ".".join(("vlmeval.dataset", *path.relative_to(folder).with_suffix("").parts))
        for found in re.findall(r"^class (\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE):
            classes.setdefault(found, module)
    if name not in classes:
        raise UserError(f"VLMEvalKit has no dataset class '{name}'.{suggest(name, classes)}")
    return classes[name]


def _import_alone(module: str) -> ModuleType:
    bare = [package for package in ("vlmeval", "vlmeval.dataset") if package not in sys.modules]
    for package in bare:
        parent = sys.modules.get(package.rpartition(".")[0])
        spec = importlib.machinery.PathFinder.find_spec(package, list(parent.__path__) if parent else None)
        assert spec is not None and spec.submodule_search_locations is not None
        stand_in = ModuleType(package)
        stand_in.__path__, stand_in.__spec__ = list(spec.submodule_search_locations), spec
        sys.modules[package] = stand_in
    try:
        return importlib.import_module(module)
    except ImportError:
        # A few classes want their whole package: then it has to be the slow way.
        for name in [n for n in sys.modules if n == "vlmeval" or n.startswith("vlmeval.")]:
            del sys.modules[name]
        return importlib.import_module(module)


# --- the surroundings for a while ---------------------------------------------------------------


@contextmanager
def environment(**values: str) -> Iterator[None]:
    """Environment variables inside the `with` block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def replaced(owner: Any, **attributes: Any) -> Iterator[None]:
    """Attributes of a module or class inside the `with` block; those that were not there vanish again."""
    own = vars(owner)
    before = {name: own[name] for name in attributes if name in own}
    for name, value in attributes.items():
        setattr(owner, name, value)
    try:
        yield
    finally:
        for name in attributes:
            if name in before:
                setattr(owner, name, before[name])
            else:
                delattr(owner, name)


@contextmanager
def replaced_in(modules: list[ModuleType], **attributes: Any) -> Iterator[None]:
    """The same in several modules, in each those names that it has itself."""
    with ExitStack() as stack:
        for module in modules:
            own = {name: value for name, value in attributes.items() if name in vars(module)}
            stack.enter_context(replaced(module, **own))
        yield
