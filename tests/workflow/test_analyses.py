"""Analyses at planning: faults in one sentence, jobs and what makes them run again; without any, nothing."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.stages.record import describe_run
from benchmarks.study.config import StudyConfig
from frism.errors import UserError
from tests.support.studies import study_of
from workflow import config as configs
from workflow.analyses import AnalysisJobs, resolve_analyses
from workflow.jobs import Jobs

FOLDER = Path(__file__).resolve().parents[2] / "config"
VARIANTS: dict[str, Any] = {
    "vlm": {"method": "vlm"},
    "inject": {"method": "inject"},
    "both": {"method": "ensemble_logits"},
}


@pytest.fixture(autouse=True)
def remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workflow.analyses.remember", lambda _, compute: compute())


def jobs_of(analyses: dict[str, Any], **changes: Any) -> AnalysisJobs:
    return AnalysisJobs(Jobs(study_of({"variants": VARIANTS, "analyses": analyses} | changes)))


def test_a_study_without_analyses_is_what_it_was() -> None:
    study = study_of({"variants": VARIANTS})
    assert "analyses" not in study.model_dump_json()
    assert "analyses" not in json.dumps(describe_run(study)["config"])
    assert jobs_of({}).list_scores() == []


def test_there_is_a_job_for_each_entry_and_variant_that_it_is_made_for() -> None:
    jobs = jobs_of({"knock_out": {}, "early": {"analysis": "knock_out", "variants": ["vlm"]}})
    root = "results/study/analyses"
    assert jobs.list_scores() == [
        f"{root}/knock_out/vlm.csv", f"{root}/knock_out/inject.csv", f"{root}/early/vlm.csv",
    ]  # fmt: skip
    other = jobs_of({"knock_out": {"params": {"block": 2}}, "early": {"analysis": "knock_out"}})
    assert jobs.describe("knock_out", "vlm") != other.describe("knock_out", "vlm")
    assert jobs.describe("early", "vlm") == other.describe("early", "vlm")
    assert jobs.list_waits("early", "vlm") == ["results/study/variants/vlm/recipe.json"]
    drift = jobs_of({"hidden_drift": {}})
    waits = [f"results/study/variants/{name}/recipe.json" for name in ("inject", "vlm")]
    assert drift.entries["hidden_drift"]["variants"] == ["inject"]
    assert drift.list_waits("hidden_drift", "inject") == waits
    assert jobs.changing_code("early") == jobs.changing_code("knock_out")


FAULTS = {
    "unknown analysis": ({"knockout": {}}, {}, "unknown analysis 'knockout'", "Did you mean 'knock_out'"),
    "unknown parameter": ({"knock_out": {"params": {"blok": 2}}}, {}, "no parameter 'blok'", "'block'"),
    "out of range": ({"knock_out": {"params": {"block": 0}}}, {}, "'block' must be", "at least 1"),
    "a list where one goes": ({"knock_out": {"params": {"block": [1, 2]}}}, {}, "'block' must be", "[1, 2]"),
    "an empty list": ({"knock_out": {"params": {"module": []}}}, {}, "'module' lists", "name each once"),
    "a gap": ({"knock_out": {"params": {"stride": 2}}}, {}, "stride 2 leaves layers out", "most `block`"),
    "unknown variant": ({"knock_out": {"variants": ["injekt"]}}, {}, "'injekt' is none", "'inject'"),
    "unknown benchmark": ({"knock_out": {"benchmarks": ["mini_numer"]}}, {}, "none of", "'mini_number'"),
    "more than dev": ({"knock_out": {"questions": 61}}, {}, "questions is 61", "dev has 60"),
    "unknown key": ({"knock_out": {"question": 6}}, {}, "unknown key 'question'", "'questions'"),
    "two models": ({"knock_out": {"variants": ["both"]}}, {}, "variant both lets two models", "drop it"),
    "nothing changed": (
        {"delta_knock_in": {"variants": ["vlm"]}}, {}, "variant vlm is no merge", "drop it",
    ),
    "no calibration": (
        {"knock_out": {"params": {"replacement": ["mean"]}}}, {}, "calibration questions", "say which",
    ),
    "another world": (
        {"tile_dependence": {}},
        {"benchmarks": ["mini_number", "POPE"]},
        "of POPE",
        "name benchmarks of the miniature world",
    ),
    "another engine": (
        {"knock_out": {}},
        {"engine": {"name": "vllm", "max_new_tokens": 8}},
        "engine vllm cannot",
        "engine transformers, or drop it",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_sentence(fault: str) -> None:
    analyses, changes, *parts = FAULTS[fault]
    variants = {name: VARIANTS[name] for name in VARIANTS if "engine" not in changes or name != "both"}
    with pytest.raises(UserError) as caught:
        jobs_of(analyses, **({"variants": variants} | changes))
    assert "\n" not in str(caught.value)
    for part in parts:
        assert part in str(caught.value)


def test_the_shipped_study_of_why_is_sound() -> None:
    content = yaml.safe_load((FOLDER / "miniature_why.yaml").read_text())
    jobs = AnalysisJobs(Jobs(configs.load(content, "miniature_why", FOLDER)))
    assert (
        jobs.names == list(content["analyses"])
        and len(jobs.list_scores()) == 5 + 4 + 4 + 5 + 5 + 5 + 5 + 4 + 6
    )


TRIPLES = sorted(
    path
    for path in FOLDER.glob("*.yaml")
    if yaml.safe_load(path.read_text()).get("extends") and "vl" in path.stem
)


@pytest.mark.parametrize(
    "path", [path for path in TRIPLES if path.stem != "real_qwen2_5_vl"], ids=lambda p: p.stem
)
def test_analyses_of_shipped_triples_are_sound(path: Path) -> None:
    """Every entry is resolved against the study's own variants, benchmarks and questions."""
    study = StudyConfig.load(path)
    entries = resolve_analyses(study)
    assert entries.keys() == study.analyses.keys() and len(entries) >= 4
    assert all(entry["variants"] for entry in entries.values())
