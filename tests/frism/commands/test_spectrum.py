"""`frism spectrum` as a user runs it: whole or in parts, stopped and resumed, refused in one sentence."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from frism.__main__ import app
from frism.spectra.settings import SpectrumSettings
from frism.spectra.spectra import Spectra
from frism.triples.triple import Triple

ROOT = Path(__file__).resolve().parents[3]
Folders = dict[str, Path]


def arguments(folders: Folders, out: Path, *options: object) -> list[str]:
    return [
        "spectrum",
        *(str(folders[r]) for r in ("base", "vlm", "lrm")),
        "--out",
        str(out),
        *map(str, options),
    ]


def run(folders: Folders, out: Path, *options: object) -> dict[str, Any]:
    """What --json prints."""
    result = CliRunner().invoke(app, arguments(folders, out, "--json", *options), catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    report: dict[str, Any] = json.loads(result.stdout)
    return report


def test_everything_is_decomposed_once(triple_folders: Folders, tmp_path: Path) -> None:
    first, second = run(triple_folders, tmp_path), run(triple_folders, tmp_path)
    assert (first["matrices"], first["kept"], second["kept"]) == (42, 0, 42)
    assert first["digest"] == second["digest"]
    assert first["shapes"] == second["shapes"]
    assert sum(row["matrices"] for row in first["shapes"]) == 42
    for row in first["shapes"]:
        assert row["residual"] < 5e-6
        assert row["orthogonality"] < 5e-6
        assert row["tail"] == 0
        assert row["seconds"] > 0
    stored = sum(path.stat().st_size for path in Path(first["folder"]).iterdir())
    assert first["bytes"] < stored < 1.2 * first["bytes"]


@pytest.mark.parametrize("options", [(), ("--rank", 8, "--dtype", "bfloat16")])
def test_parts_and_layers_make_the_whole(
    triple_folders: Folders, tmp_path: Path, options: tuple[object, ...]
) -> None:
    whole = run(triple_folders, tmp_path / "whole", *options)
    parts = [run(triple_folders, tmp_path / "parts", "--part", f"{i}/3", *options) for i in (1, 2, 3)]
    layers = [
        run(triple_folders, tmp_path / "layers", "--layers", text, *options) for text in ("0-2,5", "3-4")
    ]
    for shares in (parts, layers):
        assert sum(share["matrices"] for share in shares) == 42
        assert all(share["kept"] == 0 for share in shares)
    for folder in ("parts", "layers"):
        again = run(triple_folders, tmp_path / folder, *options)
        assert (again["kept"], again["digest"]) == (42, whole["digest"])


def test_methods_find_what_was_kept(triple_folders: Folders, triple: Triple, tmp_path: Path) -> None:
    report = run(triple_folders, tmp_path, "--rank", 8, "--layers", 0, "--device", "auto", "--threads", 1)
    spectra = Spectra(triple, SpectrumSettings(rank=8), tmp_path)
    assert spectra.store.key == report["key"]
    names = [name for name in triple.names() if triple.layer(name) == 0]
    assert sorted(path.name for path in spectra.store.folder.iterdir()) == sorted(
        f"{name}.safetensors" for name in names
    )
    for name in names:
        spectra.store.check(name, spectra.shape(name))


def test_a_killed_run_leaves_whole_files_and_goes_on(triple_folders: Folders, tmp_path: Path) -> None:
    whole = run(triple_folders, tmp_path / "whole")
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "frism", *arguments(triple_folders, out)]
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})
    try:
        while process.poll() is None and len(list(out.glob("*/layers*"))) < 5:
            time.sleep(0.002)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    kept = len(list(out.glob("*/layers*")))
    assert kept >= 5
    after = run(triple_folders, out)
    assert after["kept"] == kept
    assert after["digest"] == whole["digest"]


def test_a_table_for_people(triple_folders: Folders, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, arguments(triple_folders, tmp_path, "--layers", "1", "--rank", "8"))
    assert result.exit_code == 0, result.output
    for word in ("384 x 128", "128 x 384", "64 x 128", "randomised", "orthogonality", "7 decomposed, 0 kept"):
        assert word in result.stdout


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--dtype", "float8"), "--dtype: Input should be 'float32' or 'bfloat16'"),
        (("--solver", "lanczos"), "--solver: Input should be"),
        (("--solver", "gesvda"), "solver gesvda runs on cuda, not on cpu"),
        (("--part", "4/3"), "--part 4/3 is not a part"),
        (("--layers", "0-6"), "choose among layers 0 to 5"),
        (("--scope", "matrices"), "unknown scope 'matrices'"),
        (("--device", "cuda:77"), "--device cuda:77 cannot be used"),
        (("--device", "gpu"), "--device gpu cannot be used"),
    ],
)
def test_bad_options_are_one_sentence(
    triple_folders: Folders, tmp_path: Path, options: tuple[str, str], told: str
) -> None:
    result = CliRunner().invoke(app, arguments(triple_folders, tmp_path / "out", *options))
    assert result.exit_code == 2
    assert told in result.stderr
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_damaged_file_is_named(triple_folders: Folders, tmp_path: Path) -> None:
    report = run(triple_folders, tmp_path, "--layers", 0)
    damaged = Path(report["folder"]) / "layers.0.mlp.up_proj.weight.safetensors"
    os.truncate(damaged, 100)
    result = CliRunner().invoke(app, arguments(triple_folders, tmp_path))
    assert result.exit_code == 2
    assert str(damaged) in result.stderr
    damaged.unlink()
    assert run(triple_folders, tmp_path, "--layers", 0)["digest"] == report["digest"]


def test_a_full_disk_is_known_before_the_work(
    triple_folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=0))
    result = CliRunner().invoke(app, arguments(triple_folders, tmp_path / "out"))
    assert result.exit_code == 2
    assert "GB more and 0.00 GB are free there" in result.stderr
