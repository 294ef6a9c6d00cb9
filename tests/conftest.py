"""Shared fixtures: a tiny untrained triple in the real classes, on disk, and unlabelled questions for it."""

import gc
import logging
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import logging as transformers_logging

from benchmarks.miniature import question_families
from benchmarks.miniature.models import new_language_model, new_vlm
from benchmarks.miniature.tokenizer import build_processor, build_tokenizer
from benchmarks.miniature.world import render
from frism.checkpoints.sources import forget_sources
from frism.triples.triple import Triple

transformers_logging.disable_progress_bar()

Folders = dict[str, Path]


def perturb(module: nn.Module, seed: int, size: float = 0.02) -> None:
    """Add seeded noise to every parameter: what training would have done to it."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(size * torch.randn(parameter.shape, generator=generator))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with files that take minutes: one at the end would keep a single worker."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: not item.nodeid.startswith(("tests/workflow/", "tests/docs/")))


def pytest_collection_finish() -> None:
    """Take what was imported and collected, millions of objects, out of every later search for garbage."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """Let what was set apart be freed at the end, as always."""
    gc.unfreeze()


@pytest.fixture(autouse=True)
def fresh_logging() -> None:
    """Give every test the log settings of a fresh process: a stage's command changes them for its own."""
    root = logging.getLogger()
    root.setLevel(logging.WARNING)
    root.handlers[:] = [handler for handler in root.handlers if type(handler) is not logging.StreamHandler]
    for name in ("frism", "baselines", "benchmarks"):
        logging.getLogger(name).setLevel(logging.NOTSET)


@pytest.fixture(autouse=True)
def no_watched_sources() -> Iterator[None]:
    """Let a command that a test runs in this process watch its checkpoints no longer than the test."""
    yield
    forget_sources()


@pytest.fixture(scope="session")
def triple_folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """B, V and R as from_pretrained folders (tokenizer in each, processor in V); copy before editing."""
    root = tmp_path_factory.mktemp("triple")
    folders = {role: root / role for role in ("base", "vlm", "lrm")}
    processor = build_processor(build_tokenizer())
    base = new_language_model(processor.tokenizer, seed=0)
    vlm = new_vlm(base, processor, seed=1)
    perturb(vlm.model.language_model, seed=2)
    base.save_pretrained(folders["base"])
    vlm.save_pretrained(folders["vlm"])
    perturb(base, seed=3)
    base.save_pretrained(folders["lrm"])
    processor.save_pretrained(folders["vlm"])
    for role in ("base", "lrm"):
        processor.tokenizer.save_pretrained(folders[role])
    return folders


@pytest.fixture(scope="session")
def triple(triple_folders: Folders) -> Triple:
    """The untrained triple, opened with scope "mat"."""
    return Triple.open(**triple_folders)


@pytest.fixture
def copied_folders(triple_folders: Folders, tmp_path: Path) -> Folders:
    """A copy of the untrained triple that a test may damage."""
    return {role: shutil.copytree(folder, tmp_path / role) for role, folder in triple_folders.items()}


@pytest.fixture
def edit_weights() -> Callable[[Path, Callable[[dict[str, Tensor]], object]], None]:
    """A function that rewrites a folder's model.safetensors after `change` edited its dict of tensors."""

    def edit(folder: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
        tensors = load_file(folder / "model.safetensors")
        tensors = {name: tensor.clone() for name, tensor in tensors.items()}
        change(tensors)
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})

    return edit


@pytest.fixture(scope="session")
def calibration() -> SimpleNamespace:
    """Eight unlabelled questions: `.questions` is a list of (picture, text)."""
    rng = random.Random(0)
    asked = [question_families.ask(question_families.number, rng, "calibration") for _ in range(8)]
    return SimpleNamespace(
        questions=[
            (render(scene), question_families.REQUEST_SHORT + question.text) for scene, question in asked
        ]
    )
