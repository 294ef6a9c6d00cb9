"""Shared fixtures: a few items on disk, the untrained VLM with its engine, and recipes."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import typer
from hypothesis import settings
from typer.testing import CliRunner, Result

from benchmarks.answering.engine import open_engine
from benchmarks.answering.transformers_engine import TransformersEngine
from benchmarks.questions import writing
from benchmarks.registry.lookup import find
from benchmarks.study.engine_settings import EngineSettings
from frism.method.recipe import Recipe
from frism.triples.triple import Triple

settings.register_profile("patient", deadline=None)  # a busy machine is not a failure
settings.load_profile("patient")

SUITES = ["mini_number", "mini_existence", "mini_total", "mini_total_unasked"]
QUESTIONS = 10
SETTINGS = EngineSettings(batch_size=4, max_new_tokens=6)


def invoke(main: Callable[..., None], *arguments: str | Path) -> Result:
    """Call a command line in this process, which spares its imports; `exit_code` and `stderr` tell."""
    app = typer.Typer()
    app.command()(main)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refused(result: Result, complaint: str) -> bool:
    """Whether a command ended with code 2 and one sentence that contains `complaint`."""
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    return result.exit_code == 2 and len(errors) == 1 and complaint in errors[0]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Two test workers on two cores; and sums in one order."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def items_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten test questions of each suite in SUITES; copy before editing."""
    folder = tmp_path_factory.mktemp("items")
    writing.write_items(
        folder, [find(name).model_copy(update={"sha256": {}}) for name in SUITES], {"test": QUESTIONS}
    )
    return folder


@pytest.fixture
def engine(triple: Triple) -> TransformersEngine:
    """A fresh engine with the untrained V."""
    return open_engine(triple, None, {}, SETTINGS)


@pytest.fixture(scope="session")
def variant(triple: Triple, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A function that writes the recipe of a method and returns its folder."""

    def write(method: str, **params: float) -> Path:
        folder = tmp_path_factory.mktemp(method)
        Recipe.make(triple, method, params).save(folder)
        return folder

    return write


@pytest.fixture(scope="session")
def triple_settings(triple_folders: dict[str, Path]) -> dict[str, str]:
    """The untrained triple as a study's config names it."""
    return {role: str(folder) for role, folder in triple_folders.items()}
