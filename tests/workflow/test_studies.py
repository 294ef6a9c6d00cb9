"""Studies side by side: what a caller may run together, what fails, and configs of the population."""

import fcntl
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from benchmarks.miniature.population import members
from benchmarks.study.config import StudyConfig
from benchmarks.tools.across.claims import read_claims
from frism.errors import UserError
from workflow import config as configs
from workflow import studies
from workflow.jobs import list_results
from workflow.lock import SIDE_BY_SIDE, work_alone

ROOT = Path(__file__).resolve().parents[2]
POPULATION = sorted((ROOT / "config/population").glob("b*_*.yaml"))


def test_the_populations_configs_are_its_members() -> None:
    assert len(POPULATION) == len(members.BASES) * len(members.VLMS) * len(members.LRMS)
    for path in POPULATION:
        base, vlm, lrm = path.stem.split("_")
        study = StudyConfig.load(path)
        assert study.study == f"population_{path.stem}" and study.labels == {"vlm": vlm, "lrm": lrm}
        wanted = [members.Member(base, part) for part in ("base", f"vlm_{vlm}", f"lrm_{lrm}")]
        for member, folder in zip(wanted, study.triple.folders.values(), strict=True):
            kept = members.KEPT.get(member.name)
            assert Path(folder) == (members.WEIGHTS / kept if kept else member.folder())


def test_a_study_of_the_population_is_sound_and_can_speak_to_every_claim() -> None:
    path = ROOT / "config/population/b0_aligned_rehearsed.yaml"
    study = configs.load(yaml.safe_load(path.read_text()), path.name, path.parent)
    for claim in read_claims().claims:
        measure = claim.measure
        wanted = {measure.variant, getattr(measure, "against", None)} - {None}
        assert wanted <= set(study.variants), claim.name
    assert study.selection.third_axis == "short chains" and study.text_of == "parents"
    strengths = study.variants["inject"].grid["strength"]
    assert strengths[0] == 0.65 and strengths[-1] == 1.1
    assert max(b - a for a, b in pairwise(strengths)) <= 0.1 + 1e-9
    assert study.questions.test * 4 >= 1500  # on the axis with the fewest benchmarks


def test_studies_of_one_caller_hold_a_lock_each(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    work_alone("a")
    with pytest.raises(UserError, match="another snakemake is running"):
        work_alone("b")
    monkeypatch.setenv(SIDE_BY_SIDE, "1")
    work_alone("b")
    work_alone("c")
    with pytest.raises(UserError, match="another snakemake is running"):
        work_alone("b")
    with (tmp_path / ".snakemake/running_c").open("a") as lock, pytest.raises(OSError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def write(folder: Path, name: str, study: str) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(f"extends: {ROOT / 'config/miniature.yaml'}\nstudy: {study}\n")
    return path


def test_a_study_that_fails_is_named_and_the_others_run(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    ran = []

    def run(command, **keywords):
        config = command[command.index("--configfile") + 1]
        assert keywords["env"][SIDE_BY_SIDE] == "1" and command[command.index("--cores") + 1] == "1"
        ran.append(Path(config).stem)
        return subprocess.CompletedProcess(command, int("bad" in config))

    monkeypatch.setattr(studies.subprocess, "run", run)
    paths = [write(tmp_path, name, name) for name in ("one", "bad", "two")]
    with pytest.raises(UserError, match=r"1 of 3 studies failed \(see results/logs/bad.log\): mend them"):
        studies.run_studies(paths, 2)
    assert sorted(ran) == ["bad", "one", "two"]
    assert list_results(map(str, paths)) == ["results/one", "results/bad", "results/two"]
    with pytest.raises(UserError, match="are studies of one name: rename one"):
        studies.run_studies([*paths, write(tmp_path, "other", "one")], 2)


def test_the_target_names_every_study_and_then_puts_them_together() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "snakemake", "-n", "-p", "population", "--cores", "2"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    command = next(line for line in run.stdout.splitlines() if "workflow.studies" in line)
    assert len(re.findall(r"config/population/b\d_\w+\.yaml", command)) == 16 and "--at-a-time 2" in command
    assert "benchmarks.tools.across.command results/population_b0_aligned_rehearsed " in command
    assert "--out results/population --archive results/population/studies)" in command


def test_other_studies_can_be_named() -> None:
    pair = "config/population/b0_turned_lightly.yaml config/miniature.yaml"
    command = ["snakemake", "-n", "-p", "population", "--cores", "2", "--config", f"population={pair}"]
    run = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"workflow.studies {pair} --at-a-time 2" in run.stdout
    assert "across.command results/population_b0_turned_lightly results/miniature --out" in run.stdout
