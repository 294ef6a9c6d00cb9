"""What a plan counts of analyses: jobs, interventions, tokens, swaps and attention weights, by hand."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.study.config import StudyConfig
from benchmarks.tools import plan_machines
from benchmarks.tools.plan_analyses import AnalysisCounter, PlannedJob, count_analyses
from benchmarks.tools.plan_stages import Assumptions, Planner
from tests.support.studies import study_of

ROOT = Path(__file__).resolve().parents[3]
MACHINES = plan_machines.load_data_sheets()
TRIPLE = {"base": "models/Qwen2.5-7B", "vlm": "models/Qwen2.5-VL-7B-Instruct", "lrm": "models/DeepSeek"}
MERGED = 6_525_288_448  # values of the matrices of 28 layers at 7B


@pytest.fixture(autouse=True)
def from_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def count(machine: str = "h200", questions: int = 40, **entry: Any) -> dict[str, PlannedJob]:
    """The jobs of one entry at 7B, by the entry's name; V and one merge, one benchmark on each axis."""
    (name,) = entry
    study = study_of(
        {
            "triple": TRIPLE,
            "engine": {"name": "transformers", "dtype": "bfloat16", "device": "cuda", "batch_size": 64,
                       "max_new_tokens": 64},
            "benchmarks": ["mini_number", "mini_total", "mini_add"],
            "calibration": {"source": "miniature", "questions": 64},
            "variants": {"vlm": {"method": "vlm"}, "inject": {"method": "inject"}},
            "analyses": {name: {"questions": questions, "variants": ["inject"], "params": entry[name]}},
        }
    )  # fmt: skip
    return dict(AnalysisCounter(Planner(study, MACHINES[machine], Assumptions(224 * 224, 16))).list_jobs())


def test_a_knock_out_answers_once_a_block() -> None:
    """28 layers, two modules, and the intact model: 57 times 40 questions on each axis, 16 tokens each."""
    job = count(knock_out={"module": ["attention", "mlp"]})["knock_out"]
    assert job.parts["write"].tokens == 57 * 2 * 40 * 16
    coarse = count(knock_out={"module": ["attention", "mlp"], "block": 4})["knock_out"]
    assert coarse.parts["write"].tokens == 15 * 2 * 40 * 16
    assert job.parts["see"] == coarse.parts["see"]  # pictures are seen once
    # The same tensors are silenced in the end, each once.
    assert job.parts["swap"].seconds == pytest.approx(coarse.parts["swap"].seconds)
    assert job.host == pytest.approx(2 * MERGED / 28) and coarse.host == pytest.approx(2 * MERGED / 7)


def test_a_change_that_is_put_in_holds_v_and_the_merge() -> None:
    out, put = (count(**{f"delta_knock_{way}": {}})[f"delta_knock_{way}"] for way in ("out", "in"))
    assert put.host == pytest.approx(2 * 2 * MERGED) and out.host == pytest.approx(2 * MERGED)
    assert "svd" not in out.parts
    spectral = count(delta_knock_in={"unit": "spectrum", "parts": 8})["delta_knock_in"]
    assert spectral.parts["write"].tokens == (2 + 8) * 2 * 40 * 16
    assert spectral.parts["svd"].seconds > 10
    assert spectral.scratch == pytest.approx(33.4e9, rel=0.01)  # U and V of every matrix in fp32


def test_attention_weights_come_and_go_a_layer_at_a_time() -> None:
    """28 heads, 1,000 tokens: three arrays in bfloat16 and one in fp32."""
    planner = Planner(StudyConfig.load(ROOT / "config/qwen2_5_vl_7b.yaml"), MACHINES["h200"])
    assert AnalysisCounter(planner).attention_bytes(1000) == 28 * 1000**2 * 10
    job = count(visual_attention={})["visual_attention"]
    model = planner.counter.model
    weights = 2 * model.values
    assert weights < job.device < 1.05 * weights and job.host == 0


def test_drift_reads_twice_and_holds_states_beside_the_model() -> None:
    read, drift = count(visual_attention={})["visual_attention"], count(hidden_drift={})["hidden_drift"]
    assert drift.parts["read"].products == 2 * read.parts["read"].products
    assert drift.host > 2 * MERGED  # the merge's tensors, and the states of 32 questions
    twice = count(questions=60, hidden_drift={})["hidden_drift"]
    # 80 questions are three lots of 32, 120 are four.
    assert twice.parts["swap"].seconds == pytest.approx(4 / 3 * drift.parts["swap"].seconds)


def test_tiles_read_each_question_with_every_change() -> None:
    tiles, looks = (
        count(tile_dependence={})["tile_dependence"],
        count(visual_attention={})["visual_attention"],
    )
    assert tiles.parts["painted"].products > 7 * looks.parts["read"].products


def test_stored_answers_need_no_model() -> None:
    job = count(reflection={})["reflection"]
    assert list(job.parts) == ["start"] and job.device == job.host == job.disk == 0


def test_the_study_of_why_has_its_jobs_and_fits_its_time() -> None:
    study = StudyConfig.load(ROOT / "config/miniature_why.yaml")
    planner = Planner(study, MACHINES["cpu1"])
    jobs, parts, memory, disk, notes = count_analyses(planner)
    assert jobs == 43 and notes == () and disk < 1e9 and memory < 1e9
    seconds = sum(cost.seconds for cost in parts.values())
    assert 5 * 60 < seconds < 2 * 30 * 60  # of two cores in half an hour
    stages = {stage.name: stage for stage in planner.stages()}
    assert stages["analyse"].jobs == 43 and stages["others"].jobs == 7
    assert stages["analyse"].cost.seconds == pytest.approx(seconds)


@pytest.mark.parametrize("name", ["qwen2_5_vl_3b", "qwen2_5_vl_7b", "qwen3_vl_8b", "internvl3_5_8b"])
def test_published_triples_name_the_analyses_of_the_papers(name: str) -> None:
    study = StudyConfig.load(ROOT / f"config/{name}.yaml")
    planner = Planner(study, MACHINES["h200"])
    jobs = list(AnalysisCounter(planner).list_jobs())
    assert {"knock_out", "delta_knock_in", "visual_attention", "heat_maps", "reflection"} <= {
        n for n, _ in jobs
    }
    assert all(job.device < MACHINES["h200"].memory for _, job in jobs)
    assert len(jobs) == sum(len(entry.variants) for entry in study.analyses.values())
    everything = {stage.name: stage.cost.seconds for stage in planner.stages()}
    assert everything["analyse"] < 0.5 * sum(everything.values())
