"""Isolate VLMEvalKit while it scores: one process, one folder, no chance, no foreign code.

Its dataset code evaluates cells and answers as Python, draws random options where a judge is unclear,
forks processes, writes to /tmp under a name of one second, and reads "007" as a number. Each of these
is replaced in its modules while a scoring runs.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import inspect
import io
import logging
import multiprocessing
import pickle
import random
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pandas as pd

from benchmarks.scoring.judges import Judge
from benchmarks.scoring.literals import is_equal
from benchmarks.vlmevalkit.literals import read_cells_as_literals
from benchmarks.vlmevalkit.loading import (
    list_modules,
    make_reader,
    replace_attributes,
    replace_in_modules,
    set_environment,
)


@contextmanager
def isolate_scoring(kind: type, folder: Path, judge: Judge | None) -> Iterator[list[ModuleType]]:
    """Make `kind().evaluate` work on files in `folder` within the `with` block; yields its modules."""
    modules = [*list_modules(kind), *_import_late(kind)]
    by_name: dict[str, Any] = {
        "load": lambda path, *_, **__: make_reader()(_enter_folder(folder, path)),
        "dump": _make_writer(folder),
        "build_judge": _make_builder(judge),
        "track_progress_rich": _make_asker(judge),
        "is_equal": is_equal,
    }
    chance = {name: _NoChance for m in modules for name, value in vars(m).items() if value is random}
    forks = {n: SimpleNamespace(Pool=_OneProcess) for m in modules for n, v in vars(m).items()
             if v is multiprocessing}  # fmt: skip
    read_cells_as_literals()
    with ExitStack() as stack:
        stack.enter_context(set_environment(PRED_FORMAT="tsv", EVAL_FORMAT="csv"))
        stack.enter_context(replace_in_modules(modules, **by_name, **chance, **forks))
        for module in modules:
            if module.__name__.endswith(".wemath"):
                stack.enter_context(replace_attributes(module, len=_count_calls))
        if not hasattr(pd.DataFrame, "_append"):  # gone from pandas 3; WeMath's scoring calls it
            stack.enter_context(replace_attributes(pd.DataFrame, _append=_append))
        stack.enter_context(_silence())
        yield modules


@cache
def _import_late(kind: type) -> tuple[ModuleType, ...]:
    """Import the modules that the class imports when it scores: what is replaced must be there before."""
    imported: dict[str, ModuleType] = {}
    for ancestor in kind.__mro__:
        module = sys.modules[ancestor.__module__]
        if not module.__name__.startswith("vlmeval."):
            continue
        tree = ast.parse(inspect.getsource(module))
        scope = next(
            (n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == ancestor.__name__), tree
        )
        for function in scope.body:
            name = getattr(function, "name", "")
            for node in ast.walk(function) if name.startswith("evaluate") and "verifier" not in name else ():
                if isinstance(node, ast.ImportFrom) and node.level and node.module:
                    package = module.__name__.rpartition(".")[0]
                    late = importlib.import_module("." * node.level + node.module, package)
                    imported[late.__name__] = late
    return tuple(imported.values())


def _enter_folder(folder: Path, path: str | Path) -> Path:
    """Move a file that VLMEvalKit would put straight into /tmp to the scoring's own folder."""
    path = Path(path)
    return folder / path.name if str(path.parent) == "/tmp" else path


def _make_writer(folder: Path) -> Callable[..., None]:
    """Make VLMEvalKit's `dump` for tables and pickles; its own silently pickles a table that fails."""

    def dump(data: object, path: str | Path, **_: object) -> None:
        path = _enter_folder(folder, path)
        if path.suffix == ".pkl":
            path.write_bytes(pickle.dumps(data))
        elif isinstance(data, pd.DataFrame):
            data.to_csv(path, sep="\t" if path.suffix == ".tsv" else ",", index=False, quoting=1)
        else:
            path.write_text(str(data), encoding="utf-8")  # totals, which are also returned

    return dump


# --- judges -------------------------------------------------------------------------------------


def _make_builder(judge: Judge | None) -> Callable[..., Judge]:
    def build_judge(**options: Any) -> Judge:
        if judge is None:
            raise RuntimeError("it asks for a judge model")
        judge.system_prompt = None
        judge.max_tokens = options.get("max_tokens")
        return judge

    return build_judge


def _make_asker(judge: Judge | None) -> Callable[..., list[Any]]:
    """Make VLMEvalKit's `track_progress_rich`, without a file written after every answer.

    The judge gets the row that it is asked about.
    """

    def ask(
        function: Callable[..., Any], tasks: Sequence[Any] = (), *_: Any,
        save: str | None = None, keys: Sequence[Any] | None = None, **__: Any,
    ) -> list[Any]:  # fmt: skip
        def one(task: Any) -> Any:
            values = list(task.values()) if isinstance(task, Mapping) else list(task)
            if judge is not None:
                judge.row = next((v for v in values if isinstance(v, pd.Series)), None)
            return function(**task) if isinstance(task, Mapping) else function(*task)

        if judge is not None and judge.workers > 1:
            with ThreadPoolExecutor(judge.workers) as pool:
                results = list(pool.map(one, tasks))
        else:
            results = [one(task) for task in tasks]
        if save is not None and keys is not None:
            saved = pd.read_pickle(save) if Path(save).is_file() else {}
            Path(save).write_bytes(pickle.dumps({**saved, **dict(zip(keys, results, strict=True))}))
        return results

    return ask


class _NoChance:
    """Stands for `random` where VLMEvalKit would let it decide: an unclear judgement is no option ("Z")."""

    @staticmethod
    def choice(options: Sequence[str]) -> str:
        """Choose none of the options."""
        return "Z"


# --- the process --------------------------------------------------------------------------------


class _OneProcess:
    """Stands for `multiprocessing.Pool`, as far as VLMEvalKit's scoring uses it, without processes."""

    def __init__(self, processes: int | None = None) -> None:
        pass

    def map(self, function: Callable[[Any], Any], values: Sequence[Any]) -> list[Any]:
        return [function(value) for value in values]

    def close(self) -> None: ...

    def join(self) -> None: ...


class _Count(int):
    """A count that can be divided by none: WeMath's rates when no multi-step question is right."""

    def __add__(self, other: int) -> _Count:
        return _Count(int(self) + int(other))

    def __truediv__(self, other: float) -> float:
        return int(self) / other if other else float("nan")


def _count_calls(value: Sized) -> _Count:
    return _Count(len(value))


def _append(frame: pd.DataFrame, row: Mapping[str, Any], ignore_index: bool = False) -> pd.DataFrame:
    return pd.concat([frame, pd.DataFrame([row])], ignore_index=ignore_index)


@contextmanager
def _silence() -> Iterator[None]:
    """Silence VLMEvalKit's progress bars, prompts and log lines."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
