"""What jobs ask a cluster for: more for larger checkpoints, more when tried again, nothing on one machine."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from benchmarks.study.config import StudyConfig
from frism.errors import UserError
from workflow.jobs import Jobs
from workflow.requests import Requests

ROOT = Path(__file__).resolve().parents[2]
RULES = (
    "items",
    "spectrum",
    "answer",
    "text",
    "score",
    "questions",
    "tables",
    "explain",
    "figures",
    "summary",
)


def wildcards(**values: str) -> Any:
    return SimpleNamespace(**values)


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that plans a shipped config for a kind of machine."""

    def plan(config: str, machine: str | None, **changes: Any) -> Requests:
        study = StudyConfig.load(ROOT / "config" / config).model_copy(update=changes)
        jobs = SimpleNamespace(study=study, gpus=Jobs.gpus.fget(SimpleNamespace(study=study)))
        if not (tmp_path / "benchmarks").exists():
            (tmp_path / "benchmarks").symlink_to(ROOT / "benchmarks")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("workflow.requests.digest_code", lambda *_, **__: "code")
        return Requests(jobs, {} if machine is None else {"machine": machine, "mem_mb": 900})

    return plan


def ask(requests: Requests, rule: str, attempt: int = 1, **values: str) -> tuple[int, int, int]:
    """Megabytes, minutes and processors of a job."""
    found = requests.of(rule)
    given = wildcards(**values)
    mem_mb, runtime = (found[key](given, attempt=attempt) for key in ("mem_mb", "runtime"))
    return mem_mb, runtime, found["cpus_per_task"]


def test_nothing_is_asked_for_on_one_machine(make: Any) -> None:
    for rule in RULES:
        assert make("miniature.yaml", None).of(rule) == {}


def test_larger_checkpoints_ask_for_more(make: Any) -> None:
    """On a GPU: host memory for the process and the whole model on its way there."""
    small, large = (make(f"qwen2_5_vl_{size}.yaml", "h200") for size in ("3b", "32b"))
    variant = next(name for name, v in large.study.variants.items() if v.method == "inject")
    first, second = (ask(requests, "answer", variant=variant) for requests in (small, large))
    assert first[0] > 3 * 2 * 1000 and second[0] > 32 * 2 * 1000
    assert second[1] > first[1] >= 20
    assert first[2] == second[2] == 4
    assert ask(large, "score", variant=variant)[0] == 2000


def test_a_job_that_is_tried_again_gets_more(make: Any) -> None:
    requests = make("miniature.yaml", "cpu1")
    asked = [ask(requests, "answer", attempt, variant="frism") for attempt in (1, 2, 3)]
    assert asked[0][0] < asked[1][0] < asked[2][0]
    assert [one[1] // asked[0][1] for one in asked] == [1, 2, 4]


def test_who_learns_gets_more_time_than_who_is_merged(make: Any) -> None:
    requests = make("qwen2_5_vl_7b.yaml", "a100-80")
    assert ask(requests, "answer", variant="frism")[1] > ask(requests, "answer", variant="vlm")[1]


def test_every_rule_of_the_workflow_asks() -> None:
    """A rule without resources would get the profile's defaults in silence."""
    for path in sorted((ROOT / "workflow/rules").glob("*.smk")):
        text = path.read_text()
        if path.stem in ("models", "common"):  # training runs on one machine
            continue
        assert text.count("shell:") == text.count("**REQUESTS.of("), path


def test_an_unknown_machine_is_named(make: Any, capsys: pytest.CaptureFixture[str]) -> None:
    requests = make("miniature.yaml", "z9000")
    with pytest.raises((SystemExit, UserError)):
        ask(requests, "answer", variant="vlm")
    assert "unknown machine 'z9000'" in capsys.readouterr().err


def test_the_profile_has_what_a_cluster_needs() -> None:
    profile = yaml.safe_load((ROOT / "profiles/slurm/profile.yaml").read_text())
    local = yaml.safe_load((ROOT / "profiles/default/profile.yaml").read_text())
    assert profile["executor"] == "slurm" and profile["retries"] >= 2 and profile["keep-going"]
    # It stands in for the default profile, so it has to have what that has beside cores and GPUs.
    for key in ("rerun-incomplete", "show-failed-logs", "nolock"):
        assert profile[key] == local[key]
    from benchmarks.tools.plan_machines import load_data_sheets

    assert profile["default-resources"]["machine"] in load_data_sheets()
