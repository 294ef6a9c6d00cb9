"""`frism plan`: every committed config can be planned for, on every known machine, in one sentence if not."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from benchmarks.planning.study_work import Assumptions, read, study_work
from frism.planning import machines, study

from benchmarks import plan
from frism.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = sorted((ROOT / "config").glob("*.yaml"))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_every_config_can_be_planned_for(config, monkeypatch):
    monkeypatch.chdir(ROOT)
    content = read(config)
    work = study_work(content, Assumptions())
    assert [variant.name for variant in work.variants] == list(content["variants"])
    for profile in machines.profiles().values():
        made = study.plan(work, profile)
        assert made.seconds > 0
        assert made.memory > 0
        assert all(row.stage.seconds > 0 for row in made.rows)


def test_the_table_and_json_tell_the_same(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    config = ROOT / "config" / "miniature.yaml"
    plan.main(config, machine="cpu1")
    table = capsys.readouterr().out
    assert "rates measured" in table
    plan.main(config, machine="cpu1", as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["total"]["seconds"] == sum(s["seconds"] for s in found["stages"] if s["counted"])
    assert {stage["stage"] for stage in found["stages"]} >= {"hash", "spectrum", "fit", "export"}
    for stage in found["stages"]:
        assert stage["stage"] in table


def test_machines_are_listed(capsys):
    plan.main(ROOT / "config" / "miniature.yaml", machine="list")
    shown = capsys.readouterr().out
    assert all(name in shown for name in machines.profiles())
    assert "derived: published peaks" in shown


def test_longer_answers_take_longer(monkeypatch):
    monkeypatch.chdir(ROOT)
    content, h200 = read(ROOT / "config" / "qwen2_5_vl_3b.yaml"), machines.profiles()["h200"]
    short, long = (
        study.plan(study_work(content, Assumptions(answer_tokens=n)), h200).seconds for n in (4, 400)
    )
    assert long > 2 * short


def faulty(tmp_path, change):
    content = yaml.safe_load((ROOT / "config" / "miniature.yaml").read_text())
    change(content)
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda c: c.pop("variants"), "the key 'variants' is missing"),
        (lambda c: c["engine"].update(dtype="int3"), "engine: dtype"),
        (lambda c: c.update(spectrum={"rank": 0}), "spectrum: rank"),
        (lambda c: c["variants"].update(x={"method": "frysm"}), "unknown method 'frysm'"),
        (lambda c: c["triple"].update(vlm="models/Nothing"), "Nothing is no checkpoint whose shape is known"),
    ],
)
def test_a_fault_is_one_sentence(tmp_path, monkeypatch, capsys, change, sentence):
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit) as ended:
        plan.main(faulty(tmp_path, change), machine="cpu1")
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err


def test_a_config_that_is_no_yaml_is_named(tmp_path):
    (tmp_path / "x.yaml").write_text("a: [")
    with pytest.raises(UserError, match=r"x\.yaml is not valid YAML"):
        read(tmp_path / "x.yaml")


def test_it_is_a_command_that_imports_no_torch():
    commands = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"][
        "frism.commands"
    ]
    assert commands["plan"] == "benchmarks.plan:main"
    code = "import sys, benchmarks.plan; assert 'torch' not in sys.modules, 'torch'"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
