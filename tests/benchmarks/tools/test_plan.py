"""`frism plan`: configs as Snakemake reads them, every machine, what studies took, faults in one sentence."""

import copy
import json
import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st
from snakemake.utils import update_config

from benchmarks.study.config import StudyConfig
from benchmarks.study.extends import merge_configs
from benchmarks.tools import plan, plan_machines
from benchmarks.tools.plan_stages import Assumptions, Planner
from frism.errors import UserError
from tests.support.studies import record, study_of

ROOT = Path(__file__).resolve().parents[3]
CONFIGS = sorted(p for p in (ROOT / "config").glob("*.yaml") if not p.stem.startswith("real"))
MINIATURE = ROOT / "config" / "miniature.yaml"
RUN = yaml.safe_load(Path(__file__).with_name("miniature_run.yaml").read_text())
MACHINES = plan_machines.load_data_sheets()
RULES = {"spectrum", "tune", "predict", "score", "oracle", "text", "analyse", "others"}


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("FRISM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(plan, "RESULTS", tmp_path / "results")


def stages_of(config, machine="cpu1", **assumed):
    return {
        stage.name: stage for stage in Planner(config, MACHINES[machine], Assumptions(**assumed)).stages()
    }


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_every_config_can_be_planned_for_on_every_machine(config):
    study = StudyConfig.load(config)
    for name in MACHINES:
        stages = stages_of(study, name)
        assert stages.keys() <= RULES
        for rule in ("tune", "predict", "score"):
            assert stages[rule].jobs == len(study.variants)
        assert ("text" in stages) == bool(study.text)
        assert ("oracle" in stages) == study.selection.oracle


def run_folder(results):
    """The committed costs of a run of some variants, as Snakemake's files of costs."""
    for job, seconds in RUN["took"].items():
        path = results / "costs" / f"{job}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"s\th:m:s\tmax_rss\n{seconds}\t0:00:00\t1000.0\n")
    settings = StudyConfig.load(MINIATURE).model_dump(mode="json")
    settings["variants"] = {name: settings["variants"][name] for name in RUN["variants"]}
    record(results, settings)
    (results / "summary.md").write_text("finished")
    return study_of(settings)


def test_the_miniature_took_what_its_plan_says(tmp_path):
    """Rates and processor seconds of one machine; short jobs are mostly their start, which is a constant."""
    config = run_folder(tmp_path)
    machine = plan_machines.Machine(**RUN["machine"])
    stages = {stage.name: stage for stage in Planner(config, machine).stages()}
    took = plan.read_times(tmp_path)
    for rule, factor in (("tune", 1.25), ("predict", 1.25), ("spectrum", 3), ("score", 3)):
        assert took[rule][0] == stages[rule].jobs
        assert 1 / factor < stages[rule].cost.seconds / took[rule][1] < factor, rule


def test_what_a_finished_study_took_stands_beside_the_plan(tmp_path, capsys):
    run_folder(tmp_path / "results" / "miniature")
    plan.main([MINIATURE], machine="cpu1", as_json=True)
    found = json.loads(capsys.readouterr().out)
    rows = {row["stage"]: row for row in found["stages"]}
    for rule in ("tune", "text"):
        taken = sum(seconds for job, seconds in RUN["took"].items() if job.startswith(f"{rule}/"))
        assert rows[rule]["took"] == pytest.approx(taken)
    assert found["finished"] == []  # the study's own costs are in its rows
    plan.main([MINIATURE], machine="cpu1")
    table = capsys.readouterr().out
    assert "took" in table
    assert f"({len(RUN['variants'])} jobs)" in table  # not all of its variants ran


def test_other_finished_studies_say_how_far_off_a_plan_is(tmp_path, capsys):
    run_folder(tmp_path / "results" / "small")
    (tmp_path / "results" / "begun" / "costs").mkdir(parents=True)
    plan.main([MINIATURE], machine="cpu1", as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert all(row["took"] is None for row in found["stages"])
    (other,) = found["finished"]
    assert other["study"] == "small"
    assert other["took"] == pytest.approx(sum(RUN["took"].values()))
    plan.main([MINIATURE], machine="cpu1")
    shown = " ".join(capsys.readouterr().out.split())
    assert f"predicted / took {other['predicted'] / other['took']:.2f}" in shown


keys = st.sampled_from("abc")
trees = st.recursive(
    st.dictionaries(keys, st.integers() | st.lists(st.integers(), max_size=2), max_size=3),
    lambda inner: st.dictionaries(keys, inner | st.integers(), max_size=3),
    max_leaves=8,
)


def clash(one, other):
    """Whether a mapping meets something else, which Snakemake does not merge."""
    if isinstance(one, dict) and isinstance(other, dict):
        return any(clash(one[key], other[key]) for key in one.keys() & other)
    return isinstance(one, dict) != isinstance(other, dict)


@given(trees, trees)
def test_configs_are_merged_as_snakemake_merges_them(one, other):
    assume(not clash(one, other))
    expected = copy.deepcopy(one)
    update_config(expected, copy.deepcopy(other))
    assert merge_configs(one, other) == expected


def test_a_later_file_goes_before_an_earlier_one(tmp_path):
    (tmp_path / "more.yaml").write_text("spectrum: {rank: 32}\ncalibration: {questions: 64}\n")
    whole, few = StudyConfig.load(MINIATURE), StudyConfig.load(MINIATURE, tmp_path / "more.yaml")
    assert few.spectrum.rank == 32 and whole.spectrum.rank is None
    assert few.calibration is not None and few.calibration.questions == 64
    assert stages_of(few)["spectrum"].disk < stages_of(whole)["spectrum"].disk


def test_assumed_tokens_are_the_tokens_that_are_counted():
    config = StudyConfig.load(ROOT / "config" / "qwen2_5_vl_3b.yaml")
    few, many = (stages_of(config, "h200", answer_tokens=n)["predict"].cost for n in (4, 400))
    assert many.tokens == 100 * few.tokens
    assert many.seconds > 10 * few.seconds


def faulty(tmp_path, change):
    content = yaml.safe_load(MINIATURE.read_text())
    change(content)
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda c: c.pop("variants"), "the key 'variants' is missing"),
        (lambda c: c.update(varaints={}), "unknown key 'varaints'"),
        (lambda c: c["questions"].pop("test"), "the key 'test' is missing in questions"),
        (lambda c: c["variants"].update(x={"metod": "ties"}), "unknown key 'metod' in variants.x"),
        (lambda c: c["variants"]["ties"].update(params={"densty": 1}), "has no parameter 'densty'"),
        (lambda c: c["engine"].update(dtype="int3"), "engine.dtype must be one of"),
        (lambda c: c["engine"].update(dtype="float16"), "has no rate for float16"),
        (lambda c: c.update(spectrum={"rank": 0}), "spectrum.rank is 0, which is too small"),
        (lambda c: c["variants"].update(x={"method": "frysm"}), "unknown method 'frysm'"),
        (lambda c: c["triple"].update(vlm="models/Nothing"), "the sizes of Nothing are not known"),
        (lambda c: c["benchmarks"].append("mini_numbr"), "unknown benchmark 'mini_numbr'"),
    ],
)
def test_a_fault_is_one_sentence(tmp_path, capsys, change, sentence):
    with pytest.raises(SystemExit) as ended:
        plan.main([faulty(tmp_path, change)], machine="cpu1")
    assert ended.value.code != 0
    *before, shown = capsys.readouterr().err.splitlines()
    assert shown.startswith("error: ") and sentence in shown
    # Only to tell an unknown name from one of VLMEvalKit's may its names have to be read first.
    assert all(line.startswith("reading the dataset names of VLMEvalKit") for line in before)


def test_an_unknown_machine_is_a_sentence():
    with pytest.raises(UserError, match=r"unknown machine 'h20' .* Did you mean 'h200'\?"):
        plan_machines.find_machine("h20")


def test_machines_are_listed(capsys):
    plan.main([MINIATURE], machine="list")
    shown = capsys.readouterr().out
    assert all(name in shown for name in [*MACHINES, "this"])


def test_a_machine_is_measured_once_and_kept(monkeypatch):
    """Small trials: this processor makes more than a tenth of a GFLOP/s and less than a PFLOP/s."""
    for name in ("SIDE", "COPY_BYTES", "READ_BYTES"):
        monkeypatch.setattr(plan_machines, name, 256 if name == "SIDE" else 1 << 22)
    monkeypatch.setattr(plan_machines, "IMPORTS", "sum(range(3_000_000))")
    measured = plan_machines.find_machine("this")
    assert 1e8 < measured.flops["float32"] < 1e15
    assert 1e8 < measured.bandwidth < 1e13
    assert 0 < measured.layer < 0.1
    assert 0.01 < measured.start < 5
    monkeypatch.setattr(plan_machines, "measure_machine", lambda: pytest.fail("measured again"))
    assert plan_machines.find_machine("this") == measured


def test_a_kept_machine_that_was_cut_short_is_measured_again(monkeypatch):
    plan_machines.save_machine("this", MACHINES["cpu1"])
    (file,) = plan_machines.cache_folder().rglob("this.json")
    file.write_text(file.read_text()[:40])
    monkeypatch.setattr(plan_machines, "measure_machine", lambda: MACHINES["h200"])
    assert plan_machines.find_machine("this") == MACHINES["h200"]


def test_it_is_a_command_whose_help_imports_no_torch():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    entry = EntryPoint("plan", project["entry-points"]["frism.commands"]["plan"], "frism.commands")
    assert entry.load() is plan.main
    code = "import sys, benchmarks.tools.plan; assert 'torch' not in sys.modules, 'torch'"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
