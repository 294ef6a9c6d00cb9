"""What runs again after which change, on a copy of the project whose small study counts as finished."""

import fcntl
import os
import re
import shutil
from pathlib import Path
from typing import get_args

import pytest
from PIL import Image

from benchmarks.study.engine_settings import EngineName

ROOT = Path(__file__).resolve().parents[2]
VARIANTS = {
    "vlm": {"method": "vlm"},
    "inject": {"method": "inject", "grid": {"strength": [0.5, 1.0]}},
    "ties": {"method": "ties", "params": {"density": 0.5}},
    "frism": {"method": "frism"},
    "frism_uniform": {"method": "frism_uniform", "reference": "frism"},
}
DECOMPOSED = [f"Decompose the reasoning task vector (part {part} of 2)" for part in (1, 2)]
AGGREGATES = [
    "Put all answers into one table",
    "Write the tables",
    "Take apart what was learned",
    "Draw the figures",
    "Say in words what the study shows",
    "Make the audit page",
    "The study tiny is finished",
]


def own_jobs(variant: str) -> list[str]:
    if variant == "vlm":  # all others wait for its dev scores, and for nothing else of it
        answers = ["Answer the dev questions with vlm", "Answer all questions with vlm"]
        return [*answers, "Score the answers of vlm"]
    return [f"Fit {variant}, choose its coefficients", f"Score the answers of {variant}"]


def assert_plan(plan: list[str], expected: list[str]) -> None:
    """Each expected message begins exactly one planned job, and no other job is planned."""
    begun = {start: [j for j in plan if re.match(rf"{re.escape(start)}(?!\w)", j)] for start in expected}
    assert all(len(jobs) == 1 for jobs in begun.values()), (begun, plan)
    assert len(plan) == len(expected), plan


@pytest.fixture(scope="module")
def finished(tmp_path_factory, new_project):
    """A study all of whose files exist and count as made by the present code and config."""
    project = new_project(
        tmp_path_factory.mktemp("project"),
        benchmarks=["mini_number", "mini_total"],
        text=["mini_total"],
        spectrum={"parts": 2},
        variants=VARIANTS,
    )
    listed = project.run("--summary")
    assert listed.returncode == 0, listed.stdout
    for name in re.findall(r"^(results/\S+)\t", listed.stdout, re.MULTILINE):
        path = project.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    touched = project.run("--touch", "--forceall")
    assert touched.returncode == 0, touched.stdout
    return project


@pytest.fixture
def project(finished, tmp_path):
    return finished.copy(tmp_path / "copy")


def test_a_new_study_is_planned_whole(project):
    shutil.rmtree(project.folder / "results")
    shutil.rmtree(project.folder / ".snakemake")
    jobs = [job for variant in VARIANTS for job in own_jobs(variant)]
    parents = [f"Answer questions in words alone with {parent}" for parent in ("base", "lrm")]
    started = ["Write the questions of 2 benchmarks", *DECOMPOSED]
    assert_plan(project.plan(), [*jobs, *parents, *started, *AGGREGATES])


@pytest.mark.parametrize("engine", get_args(EngineName))
def test_every_engine_is_planned(project, engine):
    server = {"serve": "vllm"} if engine == "openai" else {}
    project.configure(engine={"name": engine, "max_new_tokens": 8, **server})
    planned = project.run("-n", "-p", "results/tiny/variants/inject/recipe.json")
    assert planned.returncode == 0, planned.stdout
    # vLLM, which is dear to start, takes one variant after the other.
    turns = r"--variant vlm --code \w+ " if engine in ("vllm", "openai") else ""
    command = rf"benchmarks.stages.answer --study results/tiny/study.json {turns}--variant inject --code \w+"
    assert re.search(command, planned.stdout), planned.stdout


def test_a_variant_that_is_asked_in_its_own_way_has_questions_of_its_own(project):
    project.configure(variants=VARIANTS | {"aloud": {"method": "vlm", "prompting": {"min_pixels": 784}}})
    questions = "Write the questions of 2 benchmarks into items_of/aloud"
    assert_plan(project.plan(), [questions, *own_jobs("aloud"), *AGGREGATES])


def test_an_analysis_is_a_job_of_each_variant_and_concerns_no_other(project):
    project.configure(analyses={"knock_out": {"variants": ["vlm", "inject"], "params": {"block": 3}}})
    analysed = [f"Analyse {variant}: knock_out" for variant in ("vlm", "inject")]
    reported = "Make tables and figures of the analyses"
    assert_plan(project.plan(), [*analysed, reported, *AGGREGATES])


def test_prose_new_times_and_other_code_run_nothing(project):
    project.edit("baselines/ties.py", '"""', '"""Another word. ')
    for name in ("baselines/ties.py", "frism/method/method.py", "benchmarks/stages/tables.py"):
        path = project.folder / name
        path.write_text(path.read_text() + "\n# a remark\n")
    project.edit("frism/__main__.py", "app = ", "another = app = ")
    for weight in (project.folder / "weights").rglob("*.safetensors"):
        os.utime(weight)  # what a clone or a checkout does
    (project.folder / "baselines/unused.py").write_text(
        '"""Unused: V."""\n\n\ndef merge(vlm):\n    return vlm\n'
    )
    assert project.plan() == []


def test_an_edited_method_runs_its_variants(project):
    project.edit("baselines/ties.py", "strength: float = 1.0", "strength: float = 1.1")
    assert_plan(project.plan(), [*own_jobs("ties"), *AGGREGATES])


def test_a_variant_made_from_another_follows_it(project):
    project.edit("frism/methods/frism.py", "fitted, strength)", "fitted, 1 * strength)")
    assert_plan(project.plan(), [*own_jobs("frism"), *own_jobs("frism_uniform"), *AGGREGATES])


LEARNING = ("frism", "frism_uniform")  # who works on singular directions and what was learned on them


def test_a_changed_decomposition_concerns_those_who_work_on_it(project):
    project.edit("frism/spectra/spectrum.py", "openness * self.s", "self.s * openness")
    jobs = [job for variant in LEARNING for job in own_jobs(variant)]
    assert_plan(project.plan(), [*DECOMPOSED, *jobs, *AGGREGATES])


def test_another_rank_decomposes_again_and_more_jobs_share_it(project):
    project.configure(spectrum={"parts": 2, "rank": 16})
    jobs = [job for variant in LEARNING for job in own_jobs(variant)]
    assert_plan(project.plan(), [*DECOMPOSED, *jobs, *AGGREGATES])
    project.configure(spectrum={"parts": 3})
    plan = project.plan()
    assert sum(job.startswith("Decompose") for job in plan) == 3
    assert not any(job.startswith("Fit inject") for job in plan)


def test_nothing_is_decomposed_where_nobody_asks_for_it(project):
    shutil.rmtree(project.folder / "results")
    project.configure(variants={name: VARIANTS[name] for name in ("vlm", "inject")})
    assert not any(job.startswith("Decompose") for job in project.plan())


def test_other_calibration_questions_concern_those_who_learn_from_them(project):
    project.configure(calibration={"source": "miniature", "questions": 16})
    jobs = [job for variant in LEARNING for job in own_jobs(variant)]
    assert_plan(project.plan(), [*jobs, *AGGREGATES])


def test_the_pictures_of_a_calibration_folder_count_by_their_content(project):
    """The files are no inputs: new times alone start nothing."""
    folder = project.folder / "pictures"
    folder.mkdir()
    for place in range(2):
        Image.new("RGB", (32, 32), (place, 0, 0)).save(folder / f"{place}.png")
    project.configure(calibration={"source": "folder", "folder": "pictures", "questions": 2})
    assert project.run("--touch", "--forceall").returncode == 0
    assert project.plan() == []
    os.utime(folder / "1.png")
    assert project.plan() == []
    Image.new("RGB", (32, 32), (9, 9, 9)).save(folder / "1.png")
    fits = [job for job in project.plan() if job.startswith("Fit")]
    assert_plan(fits, [own_jobs(variant)[0] for variant in LEARNING])
    (folder / "1.png").write_bytes(b"no picture")
    assert "pictures/1.png" in project.error("-n")


def test_a_new_variant_runs_alone(project):
    project.configure(
        variants=VARIANTS | {"inject_late": {"method": "layer_range", "params": {"part": "late"}}}
    )
    assert_plan(project.plan(), [*own_jobs("inject_late"), *AGGREGATES])


def test_the_oracle_asks_every_grid_point_and_nothing_else(project):
    project.configure(selection={"perception_budget": 0.02, "oracle": True})
    points = dict.fromkeys(VARIANTS, 1) | {"inject": 2}
    asked = [
        f"Answer the test questions with grid point {point} of {variant}"
        for variant, count in points.items()
        for point in range(count)
    ]
    assert_plan(project.plan(), [*asked, *AGGREGATES])


def test_a_changed_grid_runs_its_variant(project):
    changed = {"inject": {"method": "inject", "grid": {"strength": [0.25, 0.5, 1.0]}}}
    project.configure(variants=VARIANTS | changed)
    assert_plan(project.plan(), [*own_jobs("inject"), *AGGREGATES])


def test_statistics_alone_run_the_tables(project):
    project.configure(statistics={"confidence": 0.9, "resamples": 2000})
    assert_plan(project.plan(), AGGREGATES)


def test_prose_of_a_benchmark_runs_nothing_and_its_axis_what_follows_from_it(project):
    project.edit("benchmarks/definitions/mini_total.yaml", "title: Sum", "title: The sum")
    assert project.plan() == []
    project.edit("benchmarks/definitions/mini_total.yaml", "metric: accuracy", "metric: anls")
    plan = project.plan()
    assert any(job.startswith("Score the answers of vlm") for job in plan)


def test_a_changed_scorer_concerns_all_that_is_chosen_and_scored(project):
    """What was chosen on dev may change; the jobs find their answers, and no question is written again."""
    project.edit("benchmarks/scoring/extraction.py", "VERSION = ", "VERSION = 1 + ")
    changed = project.run("--list-changes", "params").stdout
    for name in ("scores/vlm.csv", "variants/vlm/recipe.json"):
        assert f"results/tiny/{name}" in changed
    assert "results/tiny/items/manifest.json" not in changed


def test_changed_weights_run_everything_but_the_questions(project):
    config = project.folder / "weights/lrm/config.json"
    config.write_text(config.read_text().replace("{", '{\n  "note": 1,', 1))
    plan = project.plan()
    assert not any(job.startswith("Write the questions") for job in plan)
    fitted = [own_jobs(variant)[0] for variant in VARIANTS if variant != "vlm"]
    assert_plan([job for job in plan if job.startswith("Fit")], fitted)
    assert {job for job in plan if "questions with vlm" in job} == set(own_jobs("vlm")[:2])


def halve(tensors):
    name = "model.layers.0.mlp.up_proj.weight"
    tensors[name] = tensors[name][::2].clone()


FAULTS = {
    "missing folder": (lambda folder, edit: shutil.rmtree(folder / "weights/lrm"), "weights/lrm"),
    "missing weights": (
        lambda folder, edit: (folder / "weights/vlm/model.safetensors").unlink(),
        "weights/vlm",
    ),
    "truncated weights": (
        lambda folder, edit: os.truncate(folder / "weights/base/model.safetensors", 100_000),
        "weights/base/model.safetensors",
    ),
    "wrong shape": (lambda folder, edit: edit(folder / "weights/lrm", halve), "layers.0.mlp.up_proj.weight"),
    "results is a file": (
        lambda folder, edit: (shutil.rmtree(folder / "results"), (folder / "results").touch()),
        "cannot write below",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_cannot_work_is_said_before_anything_runs(project, fault, edit_weights):
    damage, part = FAULTS[fault]
    damage(project.folder, edit_weights)
    assert part in project.error("-n")


def test_the_triple_is_trained_on_demand_only(project):
    shutil.rmtree(project.folder / "weights")
    plan = project.plan("miniature_models")
    trained = ["Train the base", "Train lrm", "Train vlm", "Fine-tune the VLM", "Measure the trained triple"]
    assert_plan(plan, trained)


def test_two_at_a_time_are_refused(project):
    (project.folder / "results/tiny/summary.md").unlink()
    with (project.folder / ".snakemake/running").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another snakemake is running in" in project.error()
        assert project.plan()  # looking is allowed
