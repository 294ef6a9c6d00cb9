"""A study with vLLM: the same choices, answers and scores as with the default engine, killed or not."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.answering.predictions import read_predictions
from benchmarks.answering.vllm_model import VllmModel
from benchmarks.questions import writing
from benchmarks.registry.lookup import find
from benchmarks.stages import answer, score, tables, text
from benchmarks.study.config import StudyConfig
from benchmarks.study.layout import Layout
from benchmarks.study.slices.text_slice import TextSlice
from tests.support import vllm as support
from tests.support.studies import record

pytestmark = support.MARKS
BENCHMARKS = ["mini_number", "mini_place", "mini_total"]
VARIANTS = {
    "vlm": {"method": "vlm"},
    "inject": {"method": "inject", "grid": {"strength": [0.5, 0.9]}},
    "frism": {"method": "frism", "params": {"steps": 4, "batch": 4, "max_new_tokens": 3, "lr": 0.5}},
    "evolve_layers": {"method": "evolve_layers", "params": {"evaluations": 3}},
}
DEFAULT = {"name": "transformers", "batch_size": 40, "max_new_tokens": 32}
VLLM = DEFAULT | {"name": "vllm", "vllm": {"block_size": 32, "max_model_len": 512}}


def make_study(folder: Path, engine: dict[str, Any]) -> Path:
    """A study whose questions are written; its record."""
    writing.write_items(folder / "items", [find(name) for name in BENCHMARKS], {"dev": 20, "test": 40})
    return record(
        folder,
        {
            "engine": engine, "benchmarks": BENCHMARKS, "text": ["mini_total"],
            "questions": {"dev": 20, "test": 40, "text": 30},
            "calibration": {"source": "miniature", "questions": 16}, "variants": VARIANTS,
        },
    )  # fmt: skip


def list_answers(layout: Layout, owner: str) -> dict[str, Any]:
    """What a variant was chosen by, what it answered, and its scores in words."""
    found: dict[str, Any] = {}
    for kind in ("", "text"):
        path = layout.predictions(owner, kind) if kind else layout.predictions(owner)
        if path.is_file():
            lines = read_predictions(path)
            found[kind] = {(x.benchmark, x.index): (x.raw, x.tokens, x.truncated) for x in lines}
    found["scores"] = layout.text(owner).read_text()
    if owner in VARIANTS:
        found["dev"] = (layout.variant(owner) / "dev.csv").read_text()
        found["choice"] = json.loads((layout.variant(owner) / "choice.json").read_text())
    return found


def make_tables(layout: Layout) -> dict[str, bytes]:
    """Score a study's answers and write its tables; those that hold no times."""
    study = StudyConfig.model_validate(json.loads(layout.record.read_text())["config"])
    for name in VARIANTS:
        score.run(
            name, BENCHMARKS, layout.predictions(name), layout.items(), layout.root / f"scores/{name}.csv"
        )
    tables.build(layout.root, study, layout.root / "tables")
    paths = sorted((layout.root / "tables").iterdir())
    return {path.name: path.read_bytes() for path in paths if "cost" not in path.name}


def count_starts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths with which vLLM is started from now on."""
    starts: list[int] = []
    start = VllmModel._start

    def note(self: VllmModel, length: int) -> None:
        starts.append(length)
        start(self, length)

    monkeypatch.setattr(VllmModel, "_start", note)
    return starts


@pytest.fixture(scope="module")
def default(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """The study with the default engine."""
    study = make_study(tmp_path_factory.mktemp("default") / "study", DEFAULT)
    answer.run(study, dict.fromkeys(VARIANTS, ""))
    for name in text.PARENTS:
        text.ask(TextSlice.read(study), name, Layout.beside(study))
    return Layout.beside(study)


def test_four_variants_end_as_with_the_default_engine(
    default: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs of vLLM take turns: a grid, a fit that wants the memory, a search with its candidates."""
    study = make_study(tmp_path / "study", VLLM)
    starts = count_starts(monkeypatch)
    answer.run(study, dict.fromkeys(VARIANTS, ""))
    assert len(starts) == 2, "it ends for the fit of frism alone"
    for name in VARIANTS:
        assert list_answers(Layout.beside(study), name) == list_answers(default, name), name
    for name in text.PARENTS:
        text.ask(TextSlice.read(study), name, Layout.beside(study))
        assert list_answers(Layout.beside(study), name) == list_answers(default, name), name
    assert make_tables(Layout.beside(study)) == make_tables(default)


def test_a_served_variant_ends_so_as_well(default: Layout, tmp_path: Path) -> None:
    served = VLLM | {"name": "openai", "serve": "vllm", "workers": 16}
    study = make_study(tmp_path / "study", served)
    answer.run(study, dict.fromkeys(("vlm", "inject"), ""))
    for name in ("vlm", "inject"):
        assert list_answers(Layout.beside(study), name) == list_answers(default, name), name


def test_killed_at_random_and_taken_up_again_it_ends_the_same(default: Layout, tmp_path: Path) -> None:
    study = make_study(tmp_path / "study", VLLM)
    answer.run(study, {"vlm": ""})
    command = [
        sys.executable, "-m", "benchmarks.stages.answer", "--study", str(study), "--variant", "inject",
        "--code", "",
    ]  # fmt: skip
    chance, descended = random.Random(0), set()
    began = time.monotonic()
    journal = Layout.beside(study).journal("inject")
    for _ in range(3):
        job = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if descended:
            time.sleep(chance.uniform(2, 40))  # while modules load, vLLM starts, or dev is answered
        else:  # the first one in the midst of the test answers
            while job.poll() is None and not (journal.is_file() and journal.stat().st_size):
                time.sleep(0.01)
        descended |= support.list_children(job.pid)
        job.send_signal(signal.SIGKILL)
        job.wait()
    print(f"three runs killed within {time.monotonic() - began:.0f} s")
    # One that began in the last second of its job has not been seen: vLLM itself ends it, after five minutes.
    for _ in range(660):
        if not support.are_running(descended):
            break
        time.sleep(0.5)
    assert not support.are_running(descended), "vLLM ends with the job that started it"
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    assert list_answers(Layout.beside(study), "inject") == list_answers(default, "inject")
