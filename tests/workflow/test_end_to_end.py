"""A small study for real: every stage in its own process, a method dropped in, faults, and kills."""

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest

from frism.method.recipe import Recipe
from tests.support import mirrors, tsvs
from tests.workflow.conftest import Project

METHOD = '''"""Half way: V + strength * tau_R / 2.

A method that a test drops in.
"""

from frism.method import Array, Site


def merge(site: Site, *, strength: float = 1.0) -> Array:
    """One tensor, fp32."""
    return site.vlm + strength * site.tau_r / 2
'''
STUDY = {
    "engine": {"name": "transformers", "max_new_tokens": 6, "batch_size": 16},
    "spectrum": {"rank": 24, "parts": 2},
    "calibration": {"source": "miniature", "questions": 8},
    "benchmarks": ["mini_number", "mini_total", "mini_add"],
    "text": ["mini_total", {"name": "gsm8k", "max_new_tokens": 8}],
    "data": {"folder": "data"},
    "questions": {"dev": 4, "test": 6},
    "statistics": {"resamples": 100},
    "variants": {
        "vlm": {"method": "vlm"},
        "inject": {"method": "inject", "grid": {"strength": [0.5, 1.0]}},
        "half_way": {"method": "half_way", "params": {"strength": 0.5}},
        "frism": {
            "method": "frism",
            "params": {"steps": 3, "batch": 4, "max_new_tokens": 3, "lr": 0.5},
            "grid": {"strength": [0.5, 1.0]},
        },
        "frism_uniform": {"method": "frism_uniform", "reference": "frism"},
        "metagpt": {"method": "metagpt"},
        "evolve_layers": {"method": "evolve_layers", "params": {"evaluations": 2}},
        "released": {"checkpoint": "weights/vlm"},
        # R as its own base: nothing is left to inject, so this is V.
        "own_base": {"method": "inject", "scope": "mat_attn", "base": "weights/lrm"},
        "rank_block": {"method": "rank_block", "params": {"blocks": 2}, "grid": {"block": [0, 1]}},
    },
}


def with_data(project: Project) -> Project:
    """Add a published benchmark and a mirrored data set, of the true columns, made here."""
    folder = project.folder / "data"
    mirrors.gsm8k(folder)
    published = tsvs.pinned(tsvs.make("MMStar", folder, 12))
    project.configure(benchmarks=[*STUDY["benchmarks"], published])
    return project


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
    project = with_data(new_project(tmp_path_factory.mktemp("study"), **STUDY))
    (project.folder / "baselines/half_way.py").write_text(METHOD)
    start = time.monotonic()
    run = project.run()
    assert run.returncode == 0, run.stdout
    project.seconds = time.monotonic() - start
    return project


def test_a_study_runs_from_weights_to_summary(finished):
    results = finished.folder / "results/tiny"
    benchmarks = pd.read_csv(results / "tables/benchmarks.csv")
    assert set(benchmarks["variant"]) == set(STUDY["variants"])
    assert set(benchmarks["benchmark"]) >= {*STUDY["benchmarks"], "MMStar"}
    assert (benchmarks["n"] > 0).all()
    for name in ("trade_off", "gates", "learning", "sweep", "rank_blocks", "bimodality", "overlap"):
        assert (results / f"figures/{name}.png").stat().st_size > 1000
    assert (results / "page/index.html").exists() and (results / "page/data/tiny/study.js").exists()
    assert not list(results.rglob("model*.safetensors")), "no variant is written as a checkpoint"
    assert finished.plan() == []


def test_spectra_are_decomposed_once_for_all(finished):
    """In as many jobs as the config says; the coefficients belong to the truncated spectrum."""
    results = finished.folder / "results/tiny"
    parts = sorted(path.name for path in (results / "spectra").glob("*.json"))
    assert parts == ["part1of2.json", "part2of2.json"]
    kept = list((results / "spectra").rglob("*.safetensors"))
    recipe, fitted = Recipe.load(results / "variants/frism")
    assert recipe.spectrum is not None and recipe.spectrum.rank == 24
    assert sorted(path.stem for path in kept) == sorted(fitted.tensors)
    assert {len(own["open"]) for own in fitted.tensors.values()} == {24}
    assert all("open_tail" in own for own in fitted.tensors.values())


def test_every_kind_of_method_has_its_row_and_its_recipe(finished):
    """Whole-model numbers, a search, and a checkpoint, which answers as the model that it is."""
    results = finished.folder / "results/tiny"
    for name in ("tables/benchmarks.md", "tables/axes.md", "figures/trade_off.svg"):
        text = (results / name).read_text()
        assert all(variant in text for variant in ("metagpt", "evolve_layers", "released")), name
    _, numbers = Recipe.load(results / "variants/metagpt")
    assert numbers.flatten().keys() == {"lrm", "vlm"}
    _, searched = Recipe.load(results / "variants/evolve_layers")
    assert searched.flatten().keys() == {"layers"}
    recipe, nothing = Recipe.load(results / "variants/released")
    assert recipe.checkpoint is not None and not nothing
    columns = ["benchmark", "index", "raw"]
    released, vlm = (pd.read_csv(results / f"scores/{v}.csv")[columns] for v in ("released", "vlm"))
    pd.testing.assert_frame_equal(released, vlm)
    own, _ = Recipe.load(results / "variants/own_base")
    assert (own.scope, own.base) == ("mat_attn", "weights/lrm") and own.triple["base"] == own.triple["lrm"]
    same = pd.read_csv(results / "scores/own_base.csv")[columns]
    pd.testing.assert_frame_equal(same, vlm)
    texts = [pd.read_csv(results / f"text/{v}.csv")[["index", "raw"]] for v in ("own_base", "vlm")]
    pd.testing.assert_frame_equal(*texts)
    told = finished.python("-m", "frism", "methods", "--markdown").stdout
    assert "| `half_way` | Half way: V + strength * tau_R / 2. | - | none | no | `strength` 1.0 |" in told


def test_a_finished_fit_leaves_its_curve_and_no_working_state(finished):
    folder = finished.folder / "results/tiny/variants/frism"
    assert len(pd.read_csv(folder / "learning.csv")) == 3
    assert not list(folder.rglob("work"))


def test_published_benchmarks_and_text_tasks_are_in_it(finished):
    results = finished.folder / "results/tiny"
    split = json.loads((results / "items/manifest.json").read_text())["questions"]["MMStar"]
    assert split == {"dev": 4, "test": 6}
    table = pd.read_parquet(results / "questions.parquet")
    asked = table.groupby(["variant", "axis"])["benchmark"].unique()
    assert "MMStar" in set(asked["inject"].explode())
    assert set(asked["lrm", "text"]) == {"mini_total", "gsm8k"}
    assert len(table) == len(pd.read_csv(results / "questions.csv"))
    assert table.loc[table["benchmark"] == "gsm8k", "truncated"].any(), "eight tokens are not enough"


def test_the_chain_holds(finished):
    done = finished.python("-m", "benchmarks.tools.verify", "results/tiny")
    assert done.returncode == 0, done.stdout
    assert "The chain of tiny holds" in done.stdout


@pytest.mark.slow  # test_plan.py has which jobs run again
def test_a_changed_scorer_scores_again_and_generates_nothing(finished, tmp_path):
    """Coefficients are chosen by scores, so jobs behind the choice run again; they find their answers."""
    project = finished.copy(tmp_path / "copy")
    results = project.folder / "results/tiny"
    before = {path: path.read_bytes() for path in (results / "journal").rglob("*.jsonl")}
    assert len(before) > 5
    project.edit("benchmarks/scoring/extraction.py", "VERSION = ", "VERSION = 1 + ")
    run = project.run("results/tiny/scores/inject.csv", "results/tiny/text/lrm.csv")
    assert run.returncode == 0, run.stdout
    assert "Score the answers of inject" in run.stdout
    assert {path: path.read_bytes() for path in (results / "journal").rglob("*.jsonl")} == before
    said = json.loads((results / "scores/inject.provenance.json").read_text())
    assert said["extractor"] == json.loads((results / "text/lrm.provenance.json").read_text())["extractor"]


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
def test_the_oracle_is_shown_apart(finished, tmp_path):
    """Every grid point answers the test questions; nothing that was chosen or reported changes."""
    project = finished.copy(tmp_path / "copy")
    results = project.folder / "results/tiny"
    before = tables(results)
    project.configure(selection={"perception_budget": 0.02, "oracle": True})
    run = project.run()
    assert run.returncode == 0, run.stdout
    chosen = json.loads((results / "variants/inject/choice.json").read_text())["point"]
    columns = ["benchmark", "index", "raw", "correct"]
    point, reported = (
        pd.read_csv(path)[columns]
        for path in (results / f"variants/inject/points/{chosen}/test.csv", results / "scores/inject.csv")
    )
    pd.testing.assert_frame_equal(point, reported)
    changed = {name for name, content in tables(results).items() if before[name] != content}
    assert changed <= {"tables/oracle.csv", "tables/oracle.md", "summary.md"}
    assert (pd.read_csv(results / "tables/oracle.csv")["variant"] == "inject").any()


@pytest.mark.slow
def test_kills_lose_nothing(finished, new_project, tmp_path):
    """SIGKILL at three random moments; what was under way may outlive its Snakemake, as on a real machine."""
    expected = tables(finished.folder / "results/tiny")
    project = with_data(new_project(tmp_path, **STUDY))
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
