"""An undisturbed study to compare with, and the table of what was tried and seen.

    FAULT_TIMES=2 FAULT_KILLS=10 FAULT_TABLE=faults.md python -m pytest -m slow tests/faults

`make slow` tries each fault once, with three kills of a study that is killed. The table is the one in
docs/reliability.md.
"""

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.running import STUDY, Running, read_decided
from tests.slurm.conftest import OnCluster, cluster  # noqa: F401 - a fixture
from tests.slurm.loopback import Cluster
from tests.workflow.conftest import Project, new_project  # noqa: F401 - a fixture

TIMES = int(os.environ.get("FAULT_TIMES", "1"))
SEED = int(os.environ.get("FAULT_SEED", "0"))
OUTCOME = "fault"


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, new_project: Any) -> Project:  # noqa: F811
    """The study, run once without a fault."""
    project = new_project(tmp_path_factory.mktemp("undisturbed"), **STUDY)
    study = Running(project, {}, random.Random(0))
    assert study.run("--cores", "1") == 0, study.said[-1]
    return project


@pytest.fixture
def disturb(
    undisturbed: Project,
    tmp_path_factory: pytest.TempPathFactory,
    new_project: Any,  # noqa: F811
    record_property: Callable[[str, object], None],
) -> Callable[..., Running]:
    """A function that lets a fault happen to a new study, here or on a cluster, and records it."""

    def happen(fault: Callable[[Running], None], number: int, on: Cluster | None = None) -> Running:
        folder: Path = tmp_path_factory.mktemp(fault.__name__)
        project = new_project(folder, **STUDY)
        if on is not None:
            project = OnCluster(folder, on)
        rng = random.Random(f"{SEED} {fault.__name__} {number}")
        study = Running(project, read_decided(undisturbed.folder / "results/tiny"), rng)
        fault(study)
        record_property(OUTCOME, [(fault.__doc__ or "").strip(), "Slurm" if on else "local",
                                  study.interruptions, study.sentence])  # fmt: skip
        return study

    return happen


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the table of faults; with FAULT_TABLE write it there, too."""
    reports = [*terminalreporter.stats.get("passed", []), *terminalreporter.stats.get("failed", [])]
    seen: dict[tuple[str, str], list[Any]] = {}
    for report in reports:
        for name, value in report.user_properties:
            if name == OUTCOME:
                seen.setdefault(tuple(value[:2]), []).append(value[2:])
    if not seen:
        return
    lines = ["| fault | executor | studies | interruptions | what was seen |", "|---|---|---:|---:|---|"]
    for (fault, executor), outcomes in seen.items():
        refused = sum(bool(sentence) for _, sentence in outcomes)
        said = f"; {refused} said so in a sentence first" if refused else ""
        count = sum(number for number, _ in outcomes)
        lines.append(f"| {fault} | {executor} | {len(outcomes)} | {count} | all complete and equal{said} |")
    terminalreporter.write_line("\n".join(lines))
    if path := os.environ.get("FAULT_TABLE"):
        Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")
