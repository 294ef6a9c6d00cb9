"""A small study for real: every stage in its own process, a method dropped in, faults, and kills."""

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest

METHOD = '''"""Half way: V + strength * tau_R / 2.

A method that a test drops in.
"""

from torch import Tensor


def merge(base: Tensor, vlm: Tensor, lrm: Tensor, *, strength: float = 1.0) -> Tensor:
    """One tensor, fp32."""
    return vlm + strength * (lrm - base) / 2
'''
STUDY = {
    "engine": {"name": "transformers", "max_new_tokens": 6, "batch_size": 16},
    "calibration": {"source": "miniature", "questions": 8},
    "benchmarks": ["mini_number", "mini_total", "mini_add"],
    "text": ["mini_total"],
    "questions": {"dev": 4, "test": 6},
    "statistics": {"resamples": 100},
    "variants": {
        "vlm": {"method": "vlm"},
        "inject": {"method": "inject", "grid": {"strength": [0.5, 1.0]}},
        "half_way": {"method": "half_way", "params": {"strength": 0.5}},
    },
}


def tables(folder: Path) -> dict[str, bytes]:
    """The bytes of everything that must not depend on when and how often a study was started."""
    found = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for pattern in ("tables/*", "scores/*.csv", "text/*.csv", "summary.md", "variants/*/choice.json")
        for path in sorted(folder.glob(pattern))
    }
    return {name: content for name, content in found.items() if "cost" not in name}


@pytest.fixture(scope="module")
def finished(tmp_path_factory, new_project):
    """The study, run once; a new method and its line of config are all that was added to the project."""
    project = new_project(tmp_path_factory.mktemp("study"), **STUDY)
    (project.folder / "baselines/half_way.py").write_text(METHOD)
    start = time.monotonic()
    run = project.run()
    assert run.returncode == 0, run.stdout
    project.seconds = time.monotonic() - start
    return project


def test_a_study_runs_from_weights_to_summary(finished):
    results = finished.folder / "results/tiny"
    benchmarks = pd.read_csv(results / "tables/benchmarks.csv")
    assert set(benchmarks["variant"]) == {"vlm", "inject", "half_way"}
    assert set(benchmarks["benchmark"]) >= set(STUDY["benchmarks"])
    assert (benchmarks["n"] > 0).all()
    for name in ("trade_off", "gates", "learning"):
        assert (results / f"figures/{name}.png").stat().st_size > 1000
    assert not list(results.rglob("model*.safetensors")), "no variant is written as a checkpoint"
    assert finished.plan() == []


def test_a_method_dropped_in_is_everywhere(finished):
    results = finished.folder / "results/tiny"
    for name in ("tables/benchmarks.md", "tables/axes.md", "tables/style.md", "figures/trade_off.svg"):
        assert "half_way" in (results / name).read_text(), name


def test_a_nan_is_named_and_fails(finished, tmp_path, edit_weights):
    project = finished.copy(tmp_path / "copy")
    name = "model.layers.3.self_attn.o_proj.weight"

    def spoil(tensors):
        tensors[name][0, 0] = float("nan")

    edit_weights(project.folder / "weights/lrm", spoil)
    error = project.error("results/tiny/variants/inject/recipe.json")
    assert "weights/lrm" in error
    assert name in error
    assert not (project.folder / "results/tiny/variants/inject/recipe.json").exists()


@pytest.mark.slow
def test_kills_lose_nothing(finished, new_project, tmp_path):
    """SIGKILL at three random moments; what was under way may outlive its Snakemake, as on a real machine."""
    expected = tables(finished.folder / "results/tiny")
    project = new_project(tmp_path, **STUDY)
    (project.folder / "baselines/half_way.py").write_text(METHOD)
    rng = random.Random(time.time_ns())
    for _ in range(3):
        with (tmp_path / "log").open("a") as log:
            run = subprocess.Popen(
                project.command(), cwd=tmp_path, env=project.environment(), stdout=log, stderr=log
            )
            time.sleep(rng.uniform(0.1, 0.5) * finished.seconds)
            os.kill(run.pid, signal.SIGKILL)
            run.wait()
    last = project.run()
    assert last.returncode == 0, last.stdout
    assert tables(tmp_path / "results/tiny") == expected
