"""One process takes a variant from the fit to its text answers, with one loaded model."""

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmarks.answering.answer import predict
from benchmarks.answering.predictions import read_predictions
from benchmarks.questions import reading, writing
from benchmarks.registry.lookup import find
from benchmarks.stages import answer, text, tune
from benchmarks.stages import predict as predict_stage
from benchmarks.study.layout import Layout
from benchmarks.study.slices.predict_slice import PredictSlice
from benchmarks.study.slices.text_slice import TextSlice
from benchmarks.study.slices.tune_slice import TuneSlice
from frism.errors import UserError
from frism.method.recipe import Recipe
from tests.benchmarks.conftest import invoke, refused
from tests.support.loads import count_loads
from tests.support.studies import record

BENCHMARKS = ["mini_number", "mini_total"]
VARIANTS = {
    "vlm": {"method": "vlm"},
    "inject": {"method": "inject", "grid": {"strength": [0.5, 1.0]}},
    "frism": {"method": "frism", "params": {"steps": 2, "batch": 4, "max_new_tokens": 3}},
}


@pytest.fixture
def study(triple_settings: dict[str, str], tmp_path: Path) -> Path:
    """The record of a study whose questions are written."""
    writing.write_items(tmp_path / "items", [find(name) for name in BENCHMARKS], {"dev": 4, "test": 5})
    return write_record(triple_settings, tmp_path)


def write_record(triple: dict[str, str], folder: Path, **changes: Any) -> Path:
    settings = {
        "triple": triple,
        "engine": {"name": "transformers", "batch_size": 8, "max_new_tokens": 4},
        "benchmarks": BENCHMARKS,
        "text": ["mini_total"],
        "questions": {"dev": 4, "test": 5},
        "calibration": {"source": "miniature", "questions": 8},
        "variants": VARIANTS,
    }
    return record(folder, settings | changes)


def list_results(folder: Path) -> dict[str, str]:
    """What other stages read of a variant's answers, but for times."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name.startswith(("variants/", "text/", "predictions/")) and "cost" not in name:
            found[name] = path.read_text() if path.suffix in {".csv", ".json"} else ""
            if name.startswith("text/") and path.suffix == ".json":  # it names the bytes of a file with times
                found[name] = json.dumps(json.loads(found[name]) | {"predictions": None})
            if path.suffix == ".jsonl" and "batches" not in name:
                found[name] = str(
                    sorted((line.key, line.raw, line.tokens) for line in read_predictions(path))
                )
    return found


@pytest.mark.parametrize("variant", ["inject", "frism"])
def test_one_loaded_model_gives_what_three_stages_give(
    variant: str,
    study: Path,
    triple_settings: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    layout, apart = Layout.beside(study), Layout(tmp_path / "apart")
    answer.run(study, {"vlm": "c"})
    apart.root.mkdir()
    other = write_record(triple_settings, apart.root)
    (apart.root / "items").symlink_to(layout.items())
    tune.run(TuneSlice.read(other), "vlm", apart, "c")
    tune.run(TuneSlice.read(other), variant, apart, "c")
    slice_, out = PredictSlice.read(other), apart.predictions(variant)
    recipe, fitted = Recipe.load(apart.variant(variant))
    out.parent.mkdir(parents=True)
    questions = reading.load_items(apart.items(), "test", BENCHMARKS)
    triple = slice_.triple.open(recipe.scope)
    assert predict(triple, recipe, fitted, questions, slice_.engine, apart.items(), out) == 10
    text.ask(TextSlice.read(other), variant, apart)

    loads = count_loads(monkeypatch)
    answer.run(study, {variant: "c"})
    assert loads == [triple_settings["vlm"]] * (2 if variant == "frism" else 1), "one learns, one answers"
    expected = list_results(apart.root)
    found = list_results(layout.root)
    own = {name: found[name] for name in expected if f"/{variant}" in name and "batches" not in name}
    assert own == {name: expected[name] for name in own} and len(own) > 8
    assert f"predictions/{variant}.jsonl" in own and f"text/{variant}.csv" in own


def test_what_is_there_is_not_done_again_and_keeps_its_cost(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = Layout.beside(study)
    answer.run(study, {"vlm": "c"})
    stages = {name: layout.costs(name, "vlm") for name in ("tune", "predict", "text")}
    costs = {name: path.read_text() for name, path in stages.items()}
    for path in stages.values():
        table = pd.read_csv(path, sep="\t")
        assert table["s"].item() > 0 and table["max_rss"].item() > 50
    before = list_results(layout.root)
    loads = count_loads(monkeypatch)
    answer.run(study, {"vlm": "c"})
    assert not loads
    assert list_results(layout.root) == before
    assert {name: path.read_text() for name, path in stages.items()} == costs
    journal = layout.journal("vlm")
    journal.write_text(journal.read_text().split("\n", 1)[1])
    answer.run(study, {"vlm": "c"})
    assert len(loads) == 1 and list_results(layout.root) == before
    again = {name: path.read_text() for name, path in stages.items()}
    assert [name for name in costs if costs[name] != again[name]] == ["predict"]


def test_a_stage_that_fails_leaves_no_cost_and_is_taken_up_again(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = Layout.beside(study)
    layout.predictions("vlm").mkdir(parents=True)
    with pytest.raises(UserError, match=r"vlm\.jsonl: a folder of that name is in the way"):
        answer.run(study, {"vlm": "c"})
    assert layout.costs("tune", "vlm").exists() and not layout.costs("predict", "vlm").exists()
    layout.predictions("vlm").rmdir()
    loads = count_loads(monkeypatch)
    answer.run(study, {"vlm": "c"})
    assert len(read_predictions(layout.predictions("vlm"))) == 10
    assert len(loads) == 1, "for the text answers"


def test_a_study_without_text_asks_none(triple_settings: dict[str, str], study: Path) -> None:
    layout = Layout.beside(study)
    write_record(triple_settings, layout.root, text=[])
    answer.run(study, {"vlm": "c"})
    assert layout.predictions("vlm").exists() and not layout.root.joinpath("text").exists()


def test_variants_take_turns_in_one_process(
    triple_settings: dict[str, str], study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each answers as it does alone, whoever was there before; a checkpoint is loaded for itself."""
    variants = VARIANTS | {
        "uniform": {"method": "frism_uniform", "reference": "frism"},
        "released": {"checkpoint": triple_settings["vlm"]},
    }
    write_record(triple_settings, Layout.beside(study).root, variants=variants)
    alone = Layout(tmp_path / "alone")
    other = write_record(triple_settings, alone.root, variants=variants)
    (alone.root / "items").symlink_to(Layout.beside(study).items())
    for layout in (alone, Layout.beside(study)):
        layout.items("released").parent.mkdir()
        layout.items("released").symlink_to(Layout.beside(study).items())
    for variant in variants:
        answer.run(other, {variant: "c"})
    loads = count_loads(monkeypatch)
    answer.run(study, dict.fromkeys(variants, "c"))
    assert (alone.variant("released", 0) / "recipe.json").is_file(), "the oracle asks points"
    assert len(loads) == 4, "V, V as learner, V again for frism and its control, the checkpoint"
    assert list_results(Layout.beside(study).root) == list_results(alone.root)


def test_variants_and_digests_come_in_pairs(study: Path) -> None:
    done = invoke(answer.main, "--study", study, "--variant", "vlm", "--variant", "inject", "--code", "c")
    assert refused(done, "2 variants with 1 digests: give one --code for each --variant")


def test_every_grid_point_answers_for_the_oracle_with_the_same_model(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oracle's own job then finds all answers there."""
    layout = Layout.beside(study)
    answer.run(study, {"vlm": "c"})
    loads = count_loads(monkeypatch)
    answer.run(study, {"inject": "c"}, oracle=True)
    assert len(loads) == 1
    for point in range(2):
        out = layout.root / f"journal/points/inject/{point}.jsonl"
        assert len(read_predictions(out)) == 10
        found = ["--study", study, "--variant", "inject", "--point", str(point), "--out", out]
        assert invoke(predict_stage.main, *found).exit_code == 0
    assert len(loads) == 1


def test_samples_are_answered_after_greedy_dev_answers(
    triple_settings: dict[str, str], study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By an engine of their own: what decides an answer is part of its key."""
    layout = Layout.beside(study)
    engine = {"name": "transformers", "batch_size": 8, "max_new_tokens": 4, "sampling": {"samples": 2}}
    write_record(triple_settings, layout.root, engine=engine)
    loads = count_loads(monkeypatch)
    answer.run(study, {"vlm": "c"})
    assert len(loads) == 2
    assert {line.sample for line in read_predictions(layout.predictions("vlm"))} == {0, 1}
    assert {line.sample for line in read_predictions(layout.variant("vlm", 0) / "dev.jsonl")} == {None}
    assert set(pd.read_csv(layout.text("vlm"))["sample"]) == {0, 1}


def test_the_stages_may_be_taken_in_two_processes(study: Path, tmp_path: Path) -> None:
    """As the unmodified model's are, whose dev scores all others wait for."""
    answer.run(study, {"vlm": "c"})
    together = list_results(tmp_path)
    for name in ("variants", "text", "predictions", "journal"):
        shutil.rmtree(tmp_path / name)
    answer.run(study, {"vlm": "c"}, only=["tune"])
    assert set(list_results(tmp_path)) == {name for name in together if name.startswith("variants/")}
    answer.run(study, {"vlm": "c"}, only=["predict", "text"])
    assert list_results(tmp_path) == together


def test_an_unknown_stage_is_refused(study: Path) -> None:
    done = invoke(answer.main, "--study", study, "--variant", "vlm", "--code", "c", "--stage", "guess")
    assert refused(done, "there is no stage 'guess': name one of tune, predict, oracle, text")
