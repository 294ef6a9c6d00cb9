"""The dry run on a small shape: every stage runs, and the report says what missed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.parametrize("rank", ["full", "48"])
def test_every_stage_runs(tmp_path, rank):
    script = Path(__file__).with_name("dry_run.py")
    options = ["--shape", "tiny", "--layers", "2", "--rank", rank, "--steps", "2", "--machine", "cpu1"]
    command = [sys.executable, str(script), *options, "--threads", "1", "--folder", str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True)
    stages = ("hash", "spectrum", "fit", "merge and answers", "export")
    assert all(f"| {stage} | all |" in run.stdout for stage in stages), run.stderr
    assert re.search(r"Missed 20%: .* figures judged", run.stdout)
    disk = re.search(r"\| export \| disk \|.*\| ([\d.]+) \|", run.stdout)
    assert disk is not None
    assert 0.8 < float(disk[1]) < 1.2
    assert not list(tmp_path.iterdir())
