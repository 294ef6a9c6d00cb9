"""Analysing a variant on an untrained triple: oracles, what is kept after a kill, what a plan refuses."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch

from benchmarks.analyses.measuring import asking, pieces
from benchmarks.analyses.measuring.ground import Ground
from benchmarks.analyses.measuring.pieces import Pieces
from benchmarks.answering.transformers_engine import TransformersEngine
from benchmarks.questions import writing
from benchmarks.registry.lookup import find
from benchmarks.stages import analyse
from benchmarks.study.layout import Layout
from benchmarks.study.slices.analyse_slice import AnalyseSlice
from frism.errors import UserError
from frism.method.recipe import Recipe
from frism.triples.triple import Triple
from tests.support.loads import count_loads
from tests.support.studies import record, study_of

BENCHMARKS = ["mini_number", "mini_total"]
QUESTIONS = 4
Run = Callable[..., pd.DataFrame]


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("items")
    writing.write_items(folder, [find(name) for name in BENCHMARKS], {"dev": 8})
    return folder


@pytest.fixture
def results(tmp_path: Path, items: Path, triple: Triple) -> Path:
    """The results of a study with V and a strong injection."""
    (tmp_path / "items").symlink_to(items)
    Recipe.make(triple, "vlm").save(tmp_path / "variants/vlm")
    Recipe.make(triple, "inject", {"strength": 3.0}).save(tmp_path / "variants/inject")
    return tmp_path


def settings_of(triple: dict[str, str], entry: str, **params: Any) -> dict[str, Any]:
    return {
        "triple": triple,
        "engine": {"name": "transformers", "batch_size": 8, "max_new_tokens": 3},
        "benchmarks": BENCHMARKS,
        "calibration": {"source": "miniature", "questions": 8},
        "variants": {"vlm": {"method": "vlm"}, "inject": {"method": "inject"}},
        "analyses": {entry: {"questions": QUESTIONS, "params": params}},
    }


@pytest.fixture
def run(triple_settings: dict[str, str], results: Path) -> Run:
    def analysed(entry: str, variant: str = "inject", code: str = "c", **params: Any) -> pd.DataFrame:
        study = AnalyseSlice.of(study_of(settings_of(triple_settings, entry, **params)))
        analyse.run(study, entry, variant, Layout(results), code)
        return pd.read_csv(results / f"analyses/{entry}/{variant}.csv", keep_default_na=False)

    return analysed


def texts(results: Path, entry: str, variant: str = "inject") -> dict[str, str]:
    path = results / f"journal/analyses/{entry}/{variant}.jsonl"
    return {line["key"]: line["raw"] for line in map(json.loads, path.read_text().splitlines())}


def test_every_block_module_and_replacement_is_scored_on_the_same_questions(run: Run) -> None:
    table = run("knock_out", module=["attention", "mlp"], replacement=["reciprocal", "zero", "mean"], block=2)
    steps = table.groupby(["action", "module", "first"])["index"].agg(tuple)
    assert len(steps) == 1 + 2 * 3 * 3 and len(set(steps)) == 1
    assert table.groupby("benchmark")["index"].nunique().tolist() == [QUESTIONS, QUESTIONS]
    assert set(table["axis"]) == {"perception", "reasoning"}
    assert sorted(table["last"].unique()) == [-1, 1, 3, 5]


def test_a_model_is_restored_to_its_bits(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    states: list[dict[str, torch.Tensor]] = []
    close = TransformersEngine.close

    def kept(self: TransformersEngine) -> None:
        states.append({name: value.clone() for name, value in self.model.state_dict().items()})
        assert not any(module._forward_hooks for module in self.model.modules())
        close(self)

    monkeypatch.setattr(TransformersEngine, "close", kept)
    run("knock_out", module=["attention", "mlp"], replacement=["reciprocal", "zero", "mean"], block=3)
    monkeypatch.setattr(asking, "_sort_out", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run("knock_out", code="other", block=6)
    assert len(states) == 2
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name


def test_what_is_finished_is_not_done_again_after_a_kill(
    run: Run, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By key: whole, cut off and taken up, the same bytes; a changed code or question asks anew."""
    given = {"replacement": ["zero"], "block": 3}
    whole = run("knock_out", **given)
    journal = results / "journal/analyses/knock_out/inject.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    loads = count_loads(monkeypatch)
    assert run("knock_out", **given).equals(whole) and not loads
    journal.write_text("".join(lines[: QUESTIONS * 3]) + lines[QUESTIONS * 3][:20])
    asked: list[int] = []
    answers = TransformersEngine.answers

    def counted(self: TransformersEngine, batches: Any) -> Any:
        asked.append(sum(len(batch.items) for batch in batches))
        return answers(self, batches)

    monkeypatch.setattr(TransformersEngine, "answers", counted)
    assert run("knock_out", **given).equals(whole)
    assert sum(asked) == len(lines) - QUESTIONS * 3
    assert sorted(journal.read_text().splitlines()) != sorted(lines)  # seconds differ
    asked.clear()
    run("knock_out", code="another", **given)
    assert sum(asked) == len(lines)


def test_a_merge_that_changes_nothing_answers_alike_whatever_is_knocked_out(
    run: Run, results: Path, triple: Triple
) -> None:
    Recipe.make(triple, "inject", {"strength": 0.0}).save(results / "variants/inject")
    table = run("delta_knock_out", block=2, unit=["layers", "spectrum"], parts=2)
    kept = table.groupby(["action", "unit", "first"])[["extracted", "tokens"]].agg(tuple)
    assert len(kept) == 2 + 3 + 2 and len(set(kept.itertuples(index=False))) == 1


def test_the_whole_change_knocked_in_answers_as_the_merge(run: Run) -> None:
    table = run("delta_knock_in", block=6).set_index(["action", "benchmark", "index"]).sort_index()
    assert table.loc["in", "extracted"].equals(table.loc["intact", "extracted"])
    assert not table.loc["bare", "tokens"].isna().any()


def test_v_is_read_once_however_many_parts_are_put_in(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    read_vlm = Ground.read_vlm

    def counted(self: Ground, name: str) -> torch.Tensor:
        read.append(name)
        return read_vlm(self, name)

    monkeypatch.setattr(Ground, "read_vlm", counted)
    table = run("delta_knock_in", block=2, stride=1, module=["all", "attention", "mlp"])
    assert table.groupby(["action", "module", "first"]).ngroups == 2 + 3 * 5
    assert len(read) == len(set(read)) == 6 * 7  # matrices of six layers


def test_directions_on_the_disk_are_gone_when_the_job_ends(
    run: Run, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[Path] = []
    add = Pieces.add

    def noted(self: Pieces, name: str, matrix: torch.Tensor) -> None:
        add(self, name, matrix)
        kept.append(self.folder / f"{name}.safetensors")
        assert kept[-1].is_file()

    monkeypatch.setattr(Pieces, "add", noted)
    stale = results / "journal/analyses/delta_knock_out/inject.scratch/parts_2/of a killed run"
    stale.parent.mkdir(parents=True)
    stale.touch()
    run("delta_knock_out", unit="spectrum", parts=2, module=["all", "attention"])
    assert len(kept) == len(set(kept)) == 6 * 7  # decomposed once for both
    assert not (results / "journal/analyses/delta_knock_out/inject.scratch").exists()


def test_a_disk_without_room_for_directions_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces.shutil, "disk_usage", lambda path: SimpleNamespace(free=1e6))
    with pytest.raises(UserError, match=r"inject.scratch/parts_2 has 0.0 GB left, .* free some space"):
        run("delta_knock_out", unit="spectrum", parts=2)


def test_a_name_that_the_study_lacks_is_refused(run: Run, triple_settings: dict[str, str]) -> None:
    with pytest.raises(UserError, match=r"unknown analysis 'knock_in'"):
        run("knock_in")
    study = AnalyseSlice.of(study_of(settings_of(triple_settings, "knock_out")))
    with pytest.raises(UserError, match=r"no analysis 'knockout' \(knock_out\). Did you mean 'knock_out'"):
        analyse.run(study, "knockout", "inject", Layout(Path()))


def test_the_command_reads_the_record(triple_settings: dict[str, str], results: Path) -> None:
    path = record(results, settings_of(triple_settings, "knock_out", block=6))
    with pytest.raises(SystemExit):
        analyse.main(path, "knock_uot", "inject")
    analyse.main(path, "knock_out", "inject")
    assert (results / "analyses/knock_out/inject.provenance.json").is_file()
