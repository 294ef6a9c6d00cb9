"""`python -m benchmarks.stages.predict`: killed anywhere it resumes to the same bytes."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.answering import cost, keys
from benchmarks.answering.answer import predict
from benchmarks.answering.model_facts import ModelFacts
from benchmarks.answering.predictions import read_predictions
from benchmarks.questions import reading
from benchmarks.stages.predict import main
from benchmarks.study.engine_settings import EngineSettings
from benchmarks.study.sampling_settings import SamplingSettings
from frism.method.recipe import Recipe
from frism.triples.triple import Triple
from tests.benchmarks.conftest import QUESTIONS, SUITES, invoke, refused
from tests.support.loads import count_loads
from tests.support.studies import record

ENGINE = {"name": "transformers", "batch_size": 2, "max_new_tokens": 6}


@pytest.fixture
def study(triple_settings: dict[str, str], triple: Triple, items_folder: Path, tmp_path: Path) -> Path:
    """The record of a study whose questions and one variant are there."""
    results = tmp_path / "results"
    shutil.copytree(items_folder, results / "items")
    Recipe.make(triple, "inject", {"strength": 0.5}).save(results / "variants" / "inject")
    return record(results, SETTINGS | {"triple": triple_settings})


SETTINGS = {
    "benchmarks": SUITES,
    "engine": ENGINE,
    "variants": {"vlm": {"method": "vlm"}, "inject": {"method": "inject"}},
}


def command(study: Path, out: Path, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "benchmarks.stages.predict", "--study", str(study), "--variant", "inject",
        "--out", str(out), *more,
    ]  # fmt: skip


def timeless(path: Path) -> list[str]:
    """The lines without their times, which the sums cover too."""
    lines = map(json.loads, path.read_text().splitlines())
    return [json.dumps({k: v for k, v in line.items() if k not in ("seconds", "sum")}) for line in lines]


@pytest.mark.parametrize("sampling", [None, SamplingSettings(samples=2, temperature=1.5)])
def test_killed_and_resumed_is_as_if_undisturbed(
    triple: Triple,
    variant: Callable[..., Path],
    items_folder: Path,
    tmp_path: Path,
    sampling: SamplingSettings | None,
) -> None:
    """SIGKILL at ten random points, each run going on where the one before was killed."""
    asked = reading.load_items(items_folder, "test", SUITES)
    settings = EngineSettings(batch_size=2, max_new_tokens=6, sampling=sampling)
    recipe, fitted = Recipe.load(variant("inject", strength=0.5))
    folder = shutil.copytree(items_folder, tmp_path / "items")
    once, killed = tmp_path / "once.jsonl", tmp_path / "killed.jsonl"
    total = QUESTIONS * len(SUITES) * (settings.samples or 1)
    assert predict(triple, recipe, fitted, asked, settings, folder, once) == total
    shutil.rmtree(folder / "prepared")

    def begin() -> int:
        """A process that predicts into `killed`; forked, which spares ten times the imports."""
        child = os.fork()
        if child == 0:
            with suppress(BaseException):
                predict(triple, recipe, fitted, asked, settings, folder, killed)
            os._exit(0)
        return child

    rng = random.Random(time.time_ns())
    kills = 0
    for least in sorted(rng.sample(range(total - 4), 10)):
        child = begin()
        while not killed.exists() or killed.read_bytes().count(b"\n") < least:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.02))
        os.kill(child, signal.SIGKILL)
        kills += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        with killed.open("a") as stream:  # what a kill in the middle of a write leaves
            stream.write('{"key": "12')
    os.waitpid(begin(), 0)
    assert kills == 10
    assert timeless(killed) == timeless(once)
    assert len(read_predictions(killed)) == total
    assert keys.recompute_keys(killed) == keys.recompute_keys(once)


@pytest.mark.slow
def test_a_killed_process_leaves_what_another_takes_up(study: Path, tmp_path: Path) -> None:
    """The command line itself, killed once."""
    killed = tmp_path / "killed.jsonl"
    process = subprocess.Popen(command(study, killed), stderr=subprocess.DEVNULL)
    while process.poll() is None and not (killed.exists() and killed.read_bytes().count(b"\n") > 4):
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    subprocess.run(command(study, killed), check=True, capture_output=True)
    assert len(read_predictions(killed)) == QUESTIONS * len(SUITES)


@pytest.mark.slow
def test_several_processes_answer_as_one(
    study: Path, triple_settings: dict[str, str], tmp_path: Path
) -> None:
    out = {}
    for devices in (1, 2):
        out[devices] = tmp_path / f"{devices}.jsonl"
        record(study.parent, SETTINGS | {"triple": triple_settings, "engine": ENGINE | {"devices": devices}})
        for _ in range(devices):  # a second time there is nothing to do, and nothing is lost
            done = subprocess.run(command(study, out[devices]), capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr[-2000:]
    assert sorted(timeless(out[1])) == sorted(timeless(out[2]))
    assert keys.recompute_keys(out[1]) == keys.recompute_keys(out[2])
    assert sorted(path.name for path in tmp_path.glob("2*")) == [
        "2.batches.jsonl", "2.jsonl", "2.provenance.json",
    ]  # fmt: skip


def test_what_every_batch_cost_is_recorded(
    triple: Triple, variant: Callable[..., Path], items_folder: Path, tmp_path: Path
) -> None:
    asked = reading.load_items(items_folder, "test", SUITES)
    recipe, fitted = Recipe.load(variant("vlm"))
    settings, out = EngineSettings(batch_size=4, max_new_tokens=6), tmp_path / "v.jsonl"
    predict(triple, recipe, fitted, asked, settings, items_folder, out)
    costs, lines = cost.read_costs(out), read_predictions(out)
    assert [c.questions for c in costs] == [3, 3, 4] * len(SUITES)
    assert sum(c.tokens for c in costs) == sum(line.tokens for line in lines)
    assert sum(c.seconds for c in costs) == pytest.approx(sum(line.seconds for line in lines), rel=1e-3)
    assert all(c.peak_memory > 10**6 and c.parts == 1 for c in costs)


def test_half_a_batch_is_completed_with_the_same_answers(
    triple: Triple, variant: Callable[..., Path], items_folder: Path, tmp_path: Path
) -> None:
    asked, settings = (
        reading.load_items(items_folder, "test", SUITES),
        EngineSettings(batch_size=4, max_new_tokens=6),
    )
    recipe, fitted = Recipe.load(variant("vlm"))
    out = tmp_path / "v.jsonl"

    def run() -> int:
        return predict(triple, recipe, fitted, asked, settings, items_folder, out)

    total = QUESTIONS * len(SUITES)
    assert run() == total
    whole = timeless(out)
    lines = out.read_text().splitlines(keepends=True)
    out.write_text("".join(lines[:5]))
    assert run() == total - 5
    assert timeless(out) == whole
    before = out.read_bytes()
    assert run() == 0
    assert out.read_bytes() == before


ENGINES = {
    "transformers": {},
    "token budget": {"token_budget": 900},
    "bfloat16": {"dtype": "bfloat16"},
    "spread": {"device_map": "auto"},
    "vlmeval": {"name": "vlmeval"},
}


@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_whose_answers_are_there_loads_no_model(
    study: Path, triple_settings: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    settings = {"triple": triple_settings, "engine": ENGINE | ENGINES[engine], "benchmarks": SUITES[:2]}
    record(study.parent, SETTINGS | settings)
    out = tmp_path / "v.jsonl"

    def run() -> dict[str, bytes]:
        done = invoke(main, *command(study, out)[3:])
        assert done.exit_code == 0, done.output
        return {path.name: path.read_bytes() for path in tmp_path.glob("v.*")}

    loads = count_loads(monkeypatch)
    first = run()
    assert loads == [triple_settings["vlm"]]
    assert run() == first
    assert loads == [triple_settings["vlm"]], "nothing was missing"
    out.write_text(out.read_text().split("\n", 1)[1])  # now the first answer is
    run()
    assert {line.key for line in read_predictions(out)} == set(keys.recompute_keys(out))
    assert loads == 2 * [triple_settings["vlm"]]
    record(study.parent, SETTINGS | settings | {"engine": ENGINE | ENGINES[engine] | {"max_new_tokens": 5}})
    run()
    assert loads == 3 * [triple_settings["vlm"]], "other settings, other answers"


def test_an_engine_that_was_foreseen_wrongly_loses_nothing(
    triple: Triple,
    variant: Callable[..., Path],
    items_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a plan does not find in the file is left to the engine's own keys."""
    asked = reading.load_items(items_folder, "test", SUITES[:1])
    recipe, fitted = Recipe.load(variant("vlm"))
    settings, out = EngineSettings(batch_size=4, max_new_tokens=6), tmp_path / "v.jsonl"
    predict(triple, recipe, fitted, asked, settings, items_folder, out)
    before, foresee = out.read_bytes(), ModelFacts.foresee
    monkeypatch.setattr(ModelFacts, "foresee", lambda *a: replace(foresee(*a), attention="other"))
    loads = count_loads(monkeypatch)
    assert predict(triple, recipe, fitted, asked, settings, items_folder, out) == 0
    assert out.read_bytes() == before
    assert len(loads) == 1


def test_nothing_stale_is_kept(
    copied_folders: dict[str, Path],
    edit_weights: Callable[..., None],
    items_folder: Path,
    tmp_path: Path,
) -> None:
    """Other weights in the same folders, or another recipe: every question is answered again."""
    asked = reading.load_items(items_folder, "test", SUITES[:1])
    settings, out = EngineSettings(batch_size=4, max_new_tokens=6), tmp_path / "v.jsonl"

    def run(strength: float) -> tuple[int, list[str]]:
        triple = Triple.open(**copied_folders)
        recipe = Recipe.make(triple, "inject", {"strength": strength})
        return predict(triple, recipe, {}, asked, settings, items_folder, out), [
            x.key for x in read_predictions(out)
        ]

    first = run(0.5)
    assert run(0.5) == (0, first[1])
    assert run(0.6)[0] == QUESTIONS
    edit_weights(
        copied_folders["lrm"], lambda t: [x.mul_(1.5) for n, x in t.items() if n.endswith("up_proj.weight")]
    )
    changed = run(0.6)
    assert changed[0] == QUESTIONS
    assert not set(first[1]) & set(changed[1])
    assert len(changed[1]) == QUESTIONS


def test_predicting_does_not_import_vlmevalkit() -> None:
    code = "import sys, benchmarks.stages.predict; assert not [m for m in sys.modules if 'vlmeval.' in m]"
    subprocess.run([sys.executable, "-c", code], check=True)


DAMAGES = {
    "mini_number without questions": ({"benchmarks": ["mini_net"]}, [], "has no items of benchmark mini_net"),
    "no such split": ({}, ["--split", "tset"], "has no items of benchmark mini_number on split 'tset'"),
    "no such variant": (
        {},
        ["--variant", "injekt"],
        "no variant 'injekt' (vlm, inject). Did you mean 'inject'",
    ),
    "no recipe": ({}, ["--variant", "vlm"], "variants/vlm/recipe.json"),
    "no such point": ({}, ["--point", "3"], "variants/inject/points/3/recipe.json"),
    "no triple": ({"triple": dict.fromkeys(("base", "vlm", "lrm"), "no")}, [], "no is not a folder"),
    "nowhere to write": ({}, ["--out", "/dev/null/v.jsonl"], "cannot write /dev/null"),
    "no such part": ({}, ["--part", "2/2"], "--part must be i/n"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_bad_input_is_one_sentence(
    study: Path, triple_settings: dict[str, str], tmp_path: Path, damage: str
) -> None:
    changes, options, complaint = DAMAGES[damage]
    record(study.parent, SETTINGS | {"triple": triple_settings} | changes)
    assert refused(invoke(main, *command(study, tmp_path / "v.jsonl", *options)[3:]), complaint)


def test_the_record_is_named_when_it_is_none(study: Path, tmp_path: Path) -> None:
    study.write_text("{")
    assert refused(invoke(main, *command(study, tmp_path / "v.jsonl")[3:]), "study.json is not valid JSON")


def test_a_refusal_leaves_no_traceback(study: Path, tmp_path: Path) -> None:
    called = command(study, tmp_path / "v.jsonl", "--split", "tset")
    failed = subprocess.run(called, capture_output=True, text=True, check=False)
    assert failed.returncode == 2
    assert (
        failed.stderr
        == f"error: {study.parent}/items has no items of benchmark mini_number on split 'tset': "
        + ("run python -m benchmarks.stages.items again.\n")
    )
