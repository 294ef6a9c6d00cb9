"""Load VLMEvalKit's dataset classes, each imported alone, and build their objects on our own files.

`import vlmeval` loads every model wrapper and API client (about 9 s), switches off TLS checks for the
whole process and reads a .env file. The module of one dataset class needs none of that: it is imported
under bare packages, whose __init__ does not run (0.5 s). It is the same class from the same file.
"""

from __future__ import annotations

import importlib
import os
import re
import string
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from benchmarks.registry.definition import Definition
from benchmarks.registry.vlmevalkit_package import add_bare_package, find_package
from benchmarks.vlmevalkit.literals import read_cells_as_literals
from frism.errors import UserError, suggest

if TYPE_CHECKING:
    import pandas as pd
    import vlmeval  # noqa: F401 - names the library for tools that look for what this module depends on

# Answers, and what VLMEvalKit derives from them: pandas would make numbers of some and nothing of "NA".
TEXTS = ("prediction", "answer", "answer_option", "extracted", "extract", "res")
# What a question shows: pandas would make "6.0" of an option "6" where another row has no such option.
SHOWN = ("question", "hint", *string.ascii_uppercase)
_NO_PICTURE = "x" * 65  # VLMEvalKit takes up to 64 characters for the index of another row's picture


@cache
def load_dataset_class(name: str) -> type[Any]:
    """Return VLMEvalKit's dataset class `name`, or `PlainVQADataset`. Raises UserError for an unknown one."""
    if name == "PlainVQADataset":
        vqa = load_dataset_class("ImageVQADataset")
        base: type[Any] = next(c for c in vqa.__mro__ if c.__name__ == "ImageBaseDataset")
        # The question carries its own request; ImageVQADataset would append another one.
        return type(name, (vqa,), {"build_prompt": base.build_prompt})
    module = sys.modules.get("vlmeval.dataset")
    if not hasattr(module, name):
        module = _import_alone(_find_module(name))
    read_cells_as_literals()
    loaded: type[Any] = getattr(module, name)
    return loaded


def build_dataset(definition: Definition, root: str | Path, *, pictures: bool = True) -> Any:
    """Return VLMEvalKit's dataset object on `root`/<dataset>.tsv; its pictures go to `root`/images.

    Cells that say "None", "NA" or "null" stay texts; only an empty cell is nothing. Without `pictures`
    (which scoring does not need) they are not kept in memory. Raises UserError when the file is missing:
    VLMEvalKit would try to download it, or another one over it.
    """
    path = Path(root).resolve() / f"{definition.dataset}.tsv"
    if not path.is_file():
        raise UserError(f"{path} is missing: run python -m benchmarks.stages.items again.")
    loaded = load_dataset_class(definition.dataset_class)
    with (
        set_environment(LMUData=str(path.parent)),
        # Our file counts, whatever its name: no checksum of another one, no address to fetch one from.
        replace_attributes(loaded, DATASET_MD5={}, DATASET_URL={}),
        replace_in_modules(list_modules(loaded), load=make_reader(pictures), file_size=_report_no_size),
    ):
        dataset = loaded(dataset=definition.dataset)
    if "image" not in dataset.data and "image_path" in dataset.data:
        # As benchmarks.questions.published writes them.
        dataset.img_root = str(path.parent / "images" / definition.dataset)
        dataset.data["image_path"] = [
            _join_paths(cell, dataset.img_root) for cell in dataset.data["image_path"]
        ]
    if not pictures:
        dataset.data = dataset.data.drop(columns="image", errors="ignore")
    return dataset


def list_modules(dataset_class: type) -> list[ModuleType]:
    """Return the modules of VLMEvalKit that define a dataset class and its ancestors."""
    names = dict.fromkeys(c.__module__ for c in dataset_class.__mro__ if c.__module__.startswith("vlmeval."))
    return [sys.modules[name] for name in names]


def make_reader(pictures: bool = True) -> Callable[..., pd.DataFrame]:
    """Make a stand-in for VLMEvalKit's `load` of tables and pickles that keeps texts (see TEXTS)."""

    def load(path: str | Path, *_: object, **__: object) -> pd.DataFrame:
        import pandas as pd

        if Path(path).suffix == ".pkl":
            pickled: pd.DataFrame = pd.read_pickle(path)
            return pickled
        converters: dict[str, Callable[[str], str]] = dict.fromkeys(TEXTS, str)
        if not pictures:
            converters["image"] = lambda cell: _NO_PICTURE if len(cell) > 64 else cell
        separator = "\t" if Path(path).suffix == ".tsv" else ","
        return read_texts(path, separator, converters)

    return load


def read_texts(
    source: Any, separator: str = "\t", converters: Mapping[str, Callable[[str], str]] | None = None
) -> pd.DataFrame:
    """Read a table: TEXTS and SHOWN stay as they are written, and only an empty cell is nothing."""
    import pandas as pd

    return pd.read_csv(
        source, sep=separator, converters=converters or dict.fromkeys(TEXTS, str),
        dtype=dict.fromkeys(SHOWN, str), keep_default_na=False, na_values=[""],
    )  # fmt: skip


def _join_paths(cell: str | list[str], root: str) -> str | list[str]:
    """Join the paths of a row's pictures with `root`: without a column `image` VLMEvalKit joins nothing."""
    return [os.path.join(root, c) for c in cell] if isinstance(cell, list) else os.path.join(root, cell)  # noqa: PTH118


def _report_no_size(*_: object) -> float:
    """Stand in for VLMEvalKit's `file_size`, by which it would copy a file of more than a gigabyte."""
    return 0.0


# --- importing one module -----------------------------------------------------------------------


def _find_module(name: str) -> str:
    """Return the module that defines class `name`: "vlmeval.dataset.image_yorn".

    Found in the sources, not in the table of dataset names: our own benchmarks need few classes, and to
    import the whole package for them would take ten seconds on every new machine.
    """
    folder = find_package() / "dataset"
    modules: dict[str, str] = {}
    for path in sorted(folder.rglob("*.py")):
        module = ".".join(("vlmeval.dataset", *path.relative_to(folder).with_suffix("").parts))
        for class_name in re.findall(r"^class (\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE):
            modules.setdefault(class_name, module)
    if name not in modules:
        raise UserError(f"VLMEvalKit has no dataset class '{name}'.{suggest(name, modules)}")
    return modules[name]


def _import_alone(module: str) -> ModuleType:
    add_bare_package("vlmeval")
    add_bare_package("vlmeval.dataset")
    try:
        return importlib.import_module(module)
    except ImportError:
        # A few classes want their whole package: then it has to be the slow way.
        for name in [n for n in sys.modules if n == "vlmeval" or n.startswith("vlmeval.")]:
            del sys.modules[name]
        return importlib.import_module(module)


# --- temporary changes to the process -----------------------------------------------------------


@contextmanager
def set_environment(**values: str) -> Iterator[None]:
    """Set environment variables inside the `with` block."""
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
def replace_attributes(owner: ModuleType | type, **attributes: object) -> Iterator[None]:
    """Replace attributes of a module or class inside the `with` block; new ones vanish again."""
    before = {name: vars(owner)[name] for name in attributes if name in vars(owner)}
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
def replace_in_modules(modules: list[ModuleType], **attributes: object) -> Iterator[None]:
    """Replace attributes of several modules inside the `with` block, in each those that it has itself."""
    with ExitStack() as stack:
        for module in modules:
            present = {name: value for name, value in attributes.items() if name in vars(module)}
            stack.enter_context(replace_attributes(module, **present))
        yield
