"""The command line as a user runs it: real processes, exit codes, nothing but a sentence on errors."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from frism.method import discovery

ROOT = Path(__file__).resolve().parents[2]


def frism(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "frism", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)


def test_methods_are_listed_as_table_and_json() -> None:
    table, as_json = frism("methods"), frism("methods", "--json")
    assert (table.returncode, as_json.returncode) == (0, 0)
    rows = {row["name"]: row for row in json.loads(as_json.stdout)}
    assert sorted(rows) == discovery.list_names()
    for name, row in rows.items():
        assert name in table.stdout
        assert set(row["parameters"]) == set(discovery.find(name).parameters)
    assert rows["layer_range"]["parameters"]["part"]["choices"] == ["early", "middle", "late"]
    assert rows["ties"]["parameters"]["density"] == {"type": "float", "default": 0.2, "gt": 0, "le": 1}
    assert rows["interp"]["reads"] == ["vlm", "lrm"]


def test_methods_are_a_table_in_markdown() -> None:
    head, line, *rows = frism("methods", "--markdown").stdout.splitlines()
    assert head.count("|") == line.count("|") == 8
    names = [row.split("`")[1] for row in rows]
    assert names == discovery.list_names()
    (row,) = [row for row in rows if row.startswith("| `interp` |")]
    assert row == (
        "| `interp` | Interpolation (BR2V): vlm_weight * V + (1 - vlm_weight) * R. | model | none | no"
        " | `vlm_weight` 0.9 | [2505.05464](https://arxiv.org/abs/2505.05464) |"
    )
    (row,) = [row for row in rows if row.startswith("| `frism` |")]
    assert "`steps` 300" in row
    assert "| direction | unlabelled questions | of the model |" in row


def test_inspect_shows_every_layer(triple_folders: dict[str, Path]) -> None:
    folders = [triple_folders[role] for role in ("base", "vlm", "lrm")]
    shown, as_json = frism("inspect", *folders), frism("inspect", *folders, "--scope", "mat+bias", "--json")
    assert shown.returncode == 0, shown.stderr
    assert "cosine" in shown.stdout
    assert "42 aligned tensors" in shown.stdout
    report = json.loads(as_json.stdout)
    assert [row["layer"] for row in report["layers"]] == list(range(6))
    assert report["aligned"] == 60
    assert {side["role"]: side["model_type"] for side in report["sides"]} == {
        "base": "qwen2", "vlm": "qwen2_5_vl", "lrm": "qwen2",
    }  # fmt: skip


@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_damage_is_one_sentence_and_exit_code_2(copied_folders: dict[str, Path], damage: str) -> None:
    weights = copied_folders["lrm"] / "model.safetensors"
    content = weights.read_bytes()
    weights.unlink()
    if damage == "truncated":
        weights.write_bytes(content[:1000])
    result = frism("inspect", *(copied_folders[role] for role in ("base", "vlm", "lrm")))
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert str(copied_folders["lrm"]) in result.stderr
    assert result.stderr.count("\n") == 1
