"""A study through a real Slurm of two nodes: the same bytes as on one machine, and what jobs asked for."""

import re
import threading
from typing import Any

import pytest

from tests.slurm.conftest import OnCluster
from tests.slurm.loopback import Cluster
from tests.support.small_study import SMALL_STUDY
from tests.workflow.test_end_to_end import tables

pytestmark = pytest.mark.slurm


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory, new_project: Any) -> dict[str, bytes]:
    """The tables of the study on one core of this machine."""
    project = new_project(tmp_path_factory.mktemp("local"), **SMALL_STUDY)
    run = project.run("--cores", "1")
    assert run.returncode == 0, run.stdout
    return tables(project.folder / "results/tiny")


@pytest.fixture(scope="module")
def watched(
    tmp_path_factory: pytest.TempPathFactory, new_project: Any, cluster: Cluster
) -> tuple[OnCluster, str, set[str]]:
    """The study through Slurm, what Snakemake said, and what each job had asked Slurm for."""
    folder = tmp_path_factory.mktemp("cluster")
    new_project(folder, **SMALL_STUDY)
    project = OnCluster(folder, cluster)
    seen: set[str] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.5):
            seen.update(cluster.ask("squeue", "-h", "-o", "%k|%m|%l|%C|%N").splitlines())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        run = project.run()
    finally:
        over.set()
        watcher.join()
    assert run.returncode == 0, run.stdout
    return project, run.stdout, seen


def test_the_tables_are_those_of_one_core(watched: Any, local: dict[str, bytes]) -> None:
    project, _, seen = watched
    assert tables(project.folder / "results/tiny") == local
    nodes = {line.rpartition("|")[2] for line in seen}
    assert {"node1", "node2"} <= nodes, "both nodes worked"


def test_jobs_ask_for_what_they_need(watched: Any) -> None:
    """By the plan's counts of this triple: megabytes, minutes and processors."""
    _, said, seen = watched
    asked = {line.split("|")[0]: line.split("|")[1:4] for line in seen}
    answers = [name for name in asked if re.match("rule_(answer|tune)(_unmodified)?_wildcards_tiny_", name)]
    assert sorted(name.rpartition("_")[2] for name in answers) == ["frism", "inject", "vlm", "vlm"]
    for name in answers:
        memory, time, cpus = asked[name]
        assert re.fullmatch(r"\d+M", memory) and 2000 <= int(memory[:-1]) <= 5000
        assert re.fullmatch(r"[\d:]+", time) and cpus == "1"
    assert said.count("has been submitted with SLURM jobid") < 16, "small jobs share one"


def test_each_variant_has_its_log_with_the_progress_of_its_fit(watched: Any) -> None:
    project, _, _ = watched
    logs = project.folder / "results/tiny/logs/answer"
    assert {path.stem for path in logs.glob("*.log")} == set(SMALL_STUDY["variants"])
    assert re.search(r"^frism: .*3 of 3, .*KL ", (logs / "frism.log").read_text(), re.MULTILINE)


def test_one_job_loads_one_model_for_a_variant(watched: Any) -> None:
    """Tuning, answering and the text column of a variant are one job."""
    _, said, _ = watched
    assert len(re.findall(r"^Job \d+: Fit frism", said, re.MULTILINE)) == 1
    assert not re.search(r"Answer questions in words alone with (vlm|inject|frism)", said)


def test_nothing_is_left_to_do(watched: Any) -> None:
    assert watched[0].plan() == []


def test_the_chain_of_hashes_holds(watched: Any) -> None:
    done = watched[0].python("-m", "benchmarks.tools.verify", "results/tiny")
    assert done.returncode == 0, done.stdout
