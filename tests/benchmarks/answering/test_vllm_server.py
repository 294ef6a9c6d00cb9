"""A real `vllm serve` that a job starts: swapped over HTTP, asked by both clients, ended with the job."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.answering.engine import open_engine
from benchmarks.answering.vllm_server import MODEL
from benchmarks.questions.unanswerable import UnanswerableError
from frism.errors import UserError
from frism.method.fitted import Fitted
from frism.method.recipe import Recipe
from frism.triples.triple import Triple
from tests.support import vllm as support
from tests.support.vllm import ask, inject, opened, settings

pytestmark = support.MARKS
SERVED = settings("openai", serve="vllm", workers=16)


@pytest.fixture(scope="module")
def triple() -> Triple:
    return support.open_miniature()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("items")
    support.write_questions(folder, 50)
    return folder


@pytest.fixture(scope="module")
def items(folder: Path) -> list:
    return support.read_questions(folder)


@pytest.fixture(scope="module")
def variants(triple: Triple) -> list[Recipe]:
    return [Recipe.make(triple, "vlm"), inject(triple, 0.9), Recipe.make(triple, "ties", {"density": 0.5})]


@pytest.fixture(scope="module")
def expected(triple: Triple, folder: Path, items: list, variants: list[Recipe]) -> list:
    with opened(triple, settings("transformers"), folder) as engine:
        return [(engine.become(triple, recipe), ask(engine, items))[1] for recipe in variants]


@pytest.fixture(scope="module")
def engine(triple: Triple, folder: Path) -> Iterator[Any]:
    with opened(triple, SERVED, folder) as engine:
        yield engine


def test_one_server_goes_through_variants_and_back(
    engine: Any, triple: Triple, items: list, variants: list[Recipe], expected: list
) -> None:
    for number in (0, 1, 2, 1, 0):
        engine.become(triple, variants[number])
        assert ask(engine, items) == expected[number], variants[number].name
    assert expected[0] != expected[1] != expected[2] != expected[0]


def test_a_merge_that_breaks_off_leaves_a_server_that_goes_on(
    engine: Any, triple: Triple, items: list, variants: list[Recipe], expected: list
) -> None:
    engine.become(triple, variants[0])
    ask(engine, items[:1])
    broken = Fitted({"vlm": torch.tensor(0.4), "lrm": torch.tensor(float("nan"))})
    with pytest.raises(UserError, match="collective_rpc"):
        engine.become(triple, Recipe.make(triple, "metagpt", fitted=broken), broken)
    with pytest.raises(UserError):
        ask(engine, items[:1])
    engine.become(triple, variants[1])
    assert ask(engine, items) == expected[1]


def test_a_client_that_knows_no_vllm_stores_the_same(
    engine: Any, triple: Triple, folder: Path, items: list, variants: list[Recipe], expected: list
) -> None:
    """Text, tokens without the end token, and what was cut, by OpenAI's chat completions alone."""
    engine.become(triple, variants[1])
    ask(engine, items[:1])
    elsewhere = settings("openai", vllm=None, address=f"{engine.server.address}/v1", model=MODEL, workers=8)
    with opened(triple, elsewhere, folder) as client:
        assert ask(client, items) == expected[1]
        shown = items[0].message[0]
        many = replace(items[0], message=(shown,) * 25 + items[0].message[1:], images=items[0].images * 25)
        with pytest.raises(UnanswerableError, match=r"shows 25 pictures and http\S+ takes 24 at a time"):
            ask(client, [many])


def test_the_server_ends_with_its_engine(
    engine: Any, triple: Triple, items: list, variants: list[Recipe], expected: list
) -> None:
    """And starts again as the same variant when it is asked again."""
    engine.become(triple, variants[2])
    ask(engine, items[:1])
    started = support.list_children(engine.server._process.pid) | {engine.server._process.pid}
    assert len(started) > 1
    engine.close()
    assert not support.are_running(started)
    assert ask(engine, items) == expected[2]


def test_a_server_that_does_not_start_says_why(triple: Triple, folder: Path, items: list) -> None:
    broken = settings("openai", serve="vllm", vllm=support.SMALL_BLOCKS.model_copy(update={"block_size": 7}))
    engine = open_engine(triple, None, None, broken, folder)
    with pytest.raises(UserError, match=r"vLLM's server on \S+ has ended or does not answer \(.*\w"):
        ask(engine, items[:1])


STARTS = """
import sys, time
from pathlib import Path
from tests.support import vllm as support
from tests.benchmarks.answering.test_vllm_server import SERVED
if __name__ == "__main__":
    folder = Path(sys.argv[1])
    with support.opened(support.open_miniature(), SERVED, folder) as engine:
        support.ask(engine, support.read_questions(folder)[:1])
        print("ready", flush=True)
        time.sleep(600)
"""


def test_the_server_ends_with_a_job_that_is_killed(folder: Path) -> None:
    job = subprocess.Popen(
        [sys.executable, "-c", STARTS, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[3])},
    )  # fmt: skip
    assert job.stdout is not None
    assert job.stdout.readline().strip() == b"ready"
    started = support.list_children(job.pid)
    assert len(started) > 1
    job.send_signal(signal.SIGKILL)
    job.wait()
    for _ in range(60):
        if not support.are_running(started):
            return
        time.sleep(0.5)
    raise AssertionError(f"still there: {support.are_running(started)}")
