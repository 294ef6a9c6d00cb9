"""Inspection as a user runs it: every architecture judged, refusals with exit code 1, JSON for programs."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from frism.__main__ import app
from frism.inspection.report import Report, inspect
from frism.method import discovery
from frism.triples.triple import ROLES, Triple
from tests.support import architectures

ROOT = Path(__file__).resolve().parents[3]


def run(folder: Path, *options: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["inspect", *(str(folder / role) for role in ROLES), *options])
    return result.exit_code, result.stdout


def report(folder: Path, scope: str = "mat+bias+norm", **options: bool) -> Report:
    return inspect(Triple.open(**{role: folder / role for role in ROLES}), scope, **options)


@pytest.mark.parametrize("family", architectures.FAMILIES)
def test_every_architecture_is_judged(tmp_path: Path, family: str) -> None:
    architectures.make(family, tmp_path, "memory", shards=True, dtype=torch.bfloat16)
    code, shown = run(tmp_path, "--json", "--scope", "mat+bias+norm")
    found = json.loads(shown)
    assert (code, found["verdict"]["status"]) == (0, "ok"), found["verdict"]
    fates = {fate: sum(reasons.values()) for fate, reasons in found["fates"].items()}
    assert fates["merged"] == found["aligned"] == len(found["tensors"])
    assert sum(fates.values()) == found["sides"][1]["tensors"]
    assert [row["layer"] for row in found["layers"]] == [0, 1, 2, None]
    assert {row["method"] for row in found["costs"]["methods"]} == set(discovery.list_names())
    assert found["sides"][1]["dtypes"] == {"BF16": found["sides"][1]["tensors"]}
    assert found["sides"][1]["shards"] > 1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    architectures.make("qwen2_5_vl", tmp_path)
    return tmp_path


def test_table_shows_checkpoints_fates_task_vectors_costs_and_verdict(folder: Path) -> None:
    code, shown = run(folder)
    assert code == 0
    expected = (
        "RoPE base", "Merged: 21 (21 matrix)", "vision tower", "projector", "by layer", "by module",
        "self_attn.q_proj.weight", "Estimated cost", "dare_linear", "added tokens", "Verdict: ok.",
    )  # fmt: skip
    assert [part for part in expected if part not in shown] == []


def test_refused_triple_gives_every_reason_and_exit_code_1(folder: Path) -> None:
    shutil.rmtree(folder / "lrm")
    shutil.copytree(folder / "vlm", folder / "lrm")
    shutil.rmtree(folder / "vlm")
    shutil.copytree(folder / "base", folder / "vlm")
    code, shown = run(folder)
    assert code == 1
    assert shown.count("Refused: ") == 2
    assert "Verdict: refused." in shown
    code, shown = run(folder, "--json")
    found = json.loads(shown)
    assert (code, found["verdict"]["status"], len(found["verdict"]["refusals"])) == (1, "refused", 2)
    assert (found["layers"], found["aligned"], found["sides"][0]["digest"]) == ([], 0, None)


def test_nothing_to_merge_is_refused(folder: Path) -> None:
    shutil.rmtree(folder / "lrm")
    shutil.copytree(folder / "base", folder / "lrm")
    code, shown = run(folder)
    assert code == 1
    assert "R equals B in every tensor of the scope" in shown


def test_text_models_are_inspected_as_a_triple_when_asked(tmp_path: Path) -> None:
    for seed, role in enumerate(ROLES):
        model = architectures.text_model("llama", seed=0)
        architectures.perturb(model, seed + 1, 0.004)
        model.save_pretrained(tmp_path / role)
    assert run(tmp_path)[0] == 1
    code, shown = run(tmp_path, "--text-receiver", "--scope", "all")
    assert code == 0
    assert "1 embedding" in shown
    assert "Copied: 0" in shown


def test_an_unrelated_base_is_doubted(folder: Path) -> None:
    architectures.text_model("qwen2", seed=99).save_pretrained(folder / "base")
    warnings = report(folder).verdict.warnings
    assert any("|V - B| is" in warning and "another B" in warning for warning in warnings)
    assert any("cos(tau_V, tau_R)" in warning for warning in warnings)


def test_a_frozen_tower_is_pointed_out(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = folder / "vlm" / "model.safetensors"
    tensors = load_file(path) | load_file(folder / "base" / "model.safetensors")
    save_file(tensors, path, {"format": "pt"})
    assert any("V equals B" in warning for warning in report(folder).verdict.warnings)


def test_headers_alone_need_no_torch(folder: Path) -> None:
    """`--no-norms` answers from JSON: neither torch nor transformers is imported, nothing is hashed."""
    code = (
        "import sys\nfrom frism.__main__ import app\n"
        "try:\n    app()\nexcept SystemExit as end:\n    code = end.code\n"
        "assert not {'torch', 'transformers', 'huggingface_hub'} & set(sys.modules)\nsys.exit(code)"
    )
    arguments = ["inspect", *(str(folder / role) for role in ROLES), "--no-norms", "--json"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=environment, check=False
    )
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["verdict"]["status"] == "ok"
    assert (found["total"], found["costs"], found["sides"][0]["digest"]) == (None, None, None)
    assert found["fates"]["merged"] == {"matrix": 21}


def test_estimates_rest_on_bytes_and_rates(folder: Path) -> None:
    costs = report(folder).costs
    rows = {row.method: row for row in costs.methods}
    assert rows["frism"].seconds is None
    assert "calibration" in rows["frism"].note
    assert costs.read_bytes_per_second > 0
    assert costs.svd_seconds > 0
    assert all(row.seconds > 0 and row.bytes > 0 for row in costs.methods if row.seconds is not None)
    assert rows["inject"].note == "in pieces"
