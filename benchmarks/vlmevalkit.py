"""The one place that touches VLMEvalKit: its dataset classes on our TSVs, their prompts and their metrics.

`import vlmeval` loads every model wrapper and API client (about 9 s), switches off TLS checks for the
whole process and reads a .env file. The module of one dataset class needs none of that: it is imported
under bare packages, whose __init__ does not run (0.5 s). It is the same class from the same file.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.metadata
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

from benchmarks.registry import Definition
from frism.errors import UserError, nearest

if TYPE_CHECKING:
    import pandas as pd
    import vlmeval  # noqa: F401 - names the library for whoever looks for what this module depends on

# How VLMEvalKit (ImageVQADataset.evaluate) chooses a metric: the first word found in the TSV's name.
_VQA_METRICS = {"TextVQA": "vqa_score", "ChartQA": "relaxed_accuracy", "OCRVQA": "accuracy",
                "GQA": "accuracy", "DocVQA": "anls", "InfoVQA": "anls"}  # fmt: skip
_PER_QUESTION = ("eval_score", "hit", "score")  # columns of its result files, per kind of dataset
UNANSWERED = "[unanswered]"  # stands for a missing answer; contains no word that any rule looks for


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


def build(definition: Definition, root: str | Path) -> Any:
    """VLMEvalKit's dataset object on the file `root`/<dataset>.tsv; its pictures go to `root`/images.

    Raises UserError when the file is missing: VLMEvalKit would try to download it, or another one over it.
    """
    path = Path(root).resolve() / f"{definition.dataset}.tsv"
    if not path.is_file():
        raise UserError(f"{path} is missing: run python -m benchmarks.items again.")
    found: Any = dataset_class(definition.dataset_class)
    with (
        _environment(LMUData=str(path.parent)),
        # Our file counts, whatever its name: no checksum of another one, no address to fetch one from.
        _replaced(found, DATASET_MD5={}, DATASET_URL={}),
    ):
        return found(dataset=definition.dataset)


def prompts(dataset: Any) -> Iterator[tuple[str, list[dict[str, str]], str]]:
    """(index, message, answer) of every question; the message as VLMEvalKit sends it to a model."""
    for position in range(len(dataset.data)):
        line = dataset.data.iloc[position]
        yield str(line["index"]), dataset.build_prompt(line), str(line["answer"])


def evaluate(
    definition: Definition, root: str | Path, predictions: Sequence[str]
) -> tuple[list[float], float]:
    """Judge one text per question with VLMEvalKit's metric, judge `exact_matching`.

    Returns the score of every question in the TSV's order and VLMEvalKit's own total, both in [0, 1].
    It runs in a fresh folder, because VLMEvalKit reuses any result file that it finds beside the
    predictions; and in one process, because it would fork sixteen. Raises UserError when the metric is
    not the definition's, or when no number comes out.
    """
    dataset, questions = _questions(definition, Path(root), _state(Path(root) / f"{definition.dataset}.tsv"))
    _check_metric(definition, dataset)
    table = questions.copy()
    if len(predictions) != len(table):
        raise UserError(
            f"{definition.name}: {len(predictions)} answers for {len(table)} questions:"
            " run python -m benchmarks.items and python -m benchmarks.predict again."
        )
    table["prediction"] = list(predictions)
    module = sys.modules[type(dataset).evaluate.__module__]
    with (
        tempfile.TemporaryDirectory(prefix="score-") as folder,
        _environment(PRED_FORMAT="tsv", EVAL_FORMAT="csv"),
        _replaced(module, load=_texts_stay_texts(module), mp=SimpleNamespace(Pool=_OneProcess)),
    ):
        path = Path(folder) / f"scored_{definition.dataset}.tsv"
        table.to_csv(path, sep="\t", index=False, quoting=1)
        total = dataset.evaluate(str(path), model=definition.judge, nproc=1)
        scores = _per_question(Path(folder), definition, [str(i) for i in table["index"]])
    return scores, _total(total, scores, definition)


def version() -> str:
    """The installed VLMEvalKit, as "ms-vlmeval 0.0.20"."""
    return f"ms-vlmeval {importlib.metadata.version('ms-vlmeval')}"


# --- importing one module -----------------------------------------------------------------------


def _module_of(name: str) -> str:
    """The module that defines class `name`: "vlmeval.dataset.image_yorn"."""
    spec = importlib.machinery.PathFinder.find_spec("vlmeval")
    if spec is None or not spec.submodule_search_locations:
        raise UserError("VLMEvalKit is not installed: pip install --no-deps ms-vlmeval==0.0.20.")
    folder = Path(next(iter(spec.submodule_search_locations))) / "dataset"
    classes: dict[str, str] = {}
    for path in sorted(folder.rglob("*.py")):
        module = ".".join(("vlmeval.dataset", *path.relative_to(folder).with_suffix("").parts))
        for found in re.findall(r"^class (\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE):
            classes.setdefault(found, module)
    if name not in classes:
        raise UserError(f"VLMEvalKit has no dataset class '{name}'.{nearest(name, classes)}")
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


@contextmanager
def _environment(**values: str) -> Iterator[None]:
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
def _replaced(owner: Any, **attributes: Any) -> Iterator[None]:
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


def _state(path: Path) -> tuple[int, int]:
    """Size and time of a file, so that a table is read once for many scorings but never after a change."""
    found = path.stat() if path.is_file() else None
    return (found.st_size, found.st_mtime_ns) if found else (0, 0)


@lru_cache(maxsize=64)
def _questions(definition: Definition, root: Path, state: tuple[int, int]) -> tuple[Any, pd.DataFrame]:
    """The dataset without its pictures, which scoring does not need, and its table."""
    dataset = build(definition, root)
    dataset.data = dataset.data.drop(columns="image", errors="ignore")
    return dataset, dataset.data


# --- judging ------------------------------------------------------------------------------------


class _OneProcess:
    """`multiprocessing.Pool`, as far as VLMEvalKit's scoring uses it, without processes."""

    def __init__(self, processes: int | None = None) -> None:
        pass

    def map(self, function: Callable[[Any], Any], values: Sequence[Any]) -> list[Any]:
        return [function(value) for value in values]

    def close(self) -> None: ...

    def join(self) -> None: ...


def _texts_stay_texts(module: Any) -> Callable[..., Any]:
    """VLMEvalKit's `load`, except that pandas turns no answer into a number or (for "NA") into nothing."""
    load = module.load

    def read(path: str, *args: Any, **options: Any) -> Any:
        if not str(path).endswith(".tsv"):
            return load(path, *args, **options)
        import pandas as pd

        texts = dict.fromkeys(("prediction", "answer", "extracted"), str)
        return pd.read_csv(path, sep="\t", converters=texts)

    return read


def _check_metric(definition: Definition, dataset: Any) -> None:
    kind = getattr(dataset, "TYPE", "")
    if kind == "VQA":
        found = next((m for word, m in _VQA_METRICS.items() if word in definition.dataset), "vqa_score")
    else:
        found = {"Y/N": "yes_no", "MCQ": "option"}.get(kind, kind)
    if found != definition.metric:
        raise UserError(
            f"{definition.path}: VLMEvalKit scores a {kind} set called {definition.dataset} by {found},"
            f" not by {definition.metric}: change `metric`, or for a VQA set the name (GQA: accuracy)."
        )


def _per_question(folder: Path, definition: Definition, indices: list[str]) -> list[float]:
    import pandas as pd

    for path in sorted(folder.iterdir()):
        if path.suffix not in (".tsv", ".csv"):
            continue
        table = pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",", dtype={"index": str})
        column = next((c for c in _PER_QUESTION if c in table), None)
        if column and "index" in table and list(table["index"]) == indices:
            return [float(value) for value in table[column]]
    raise UserError(
        f"{definition.name}: VLMEvalKit's {definition.dataset_class} leaves no score per question:"
        " use another class."
    )


def _total(result: pd.DataFrame | dict[str, Any], scores: list[float], definition: Definition) -> float:
    """VLMEvalKit's overall number as a share. It prints per cent or shares, depending on the class."""
    values = dict(result) if isinstance(result, dict) else {c: result[c].iloc[0] for c in result.columns}
    overall = values.get("Overall", values.get("overall"))
    try:
        number = float(overall)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise UserError(
            f"{definition.name}: VLMEvalKit gave no overall number but {values}: nothing is scored."
        ) from None
    mean = sum(scores) / len(scores)
    for share in (number, number / 100):
        if abs(share - mean) < 1e-4:
            return share
    raise UserError(
        f"{definition.name}: VLMEvalKit's total {number} is not the mean of its scores per question"
        f" ({mean:.4f}): a benchmark with a composite metric needs a reader of its own."
    )
