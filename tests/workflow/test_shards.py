"""Test questions shared by several jobs: what is planned, and that nothing in the tables shows it."""

import re
from typing import Any

import pandas as pd
import pytest

from tests.support.small_study import SMALL_STUDY
from tests.workflow.test_end_to_end import tables

SHARDS = 3


def with_shards(number: int) -> dict[str, Any]:
    return {**SMALL_STUDY, "questions": {**SMALL_STUDY["questions"], "shards": number}}


def test_jobs_share_a_variant_and_one_gathers(new_project, tmp_path):
    project = new_project(tmp_path, **with_shards(SHARDS))
    plan = project.plan()
    for variant in SMALL_STUDY["variants"]:
        assert (
            sum(
                bool(re.match(rf"Answer part \d of 3 of the test questions with {variant}$", j)) for j in plan
            )
            == 3
        )
        assert f"Gather the answers of {variant}" in plan
    planned = project.run("-n", "-p", "results/tiny/variants/inject/recipe.json")
    assert "--stage tune --stage text" in planned.stdout


def test_one_job_has_them_all_unless_told_otherwise(new_project, tmp_path):
    project = new_project(tmp_path, **with_shards(1))
    plan = project.plan()
    assert not [job for job in plan if job.startswith(("Answer part", "Gather"))]
    assert "--stage tune --stage text" not in project.run("-n", "-p").stdout


@pytest.mark.slow
def test_shared_questions_give_the_same_tables(new_project, tmp_path):
    """One job for all, three that share, and back: tables are equal, and an answer is never asked twice."""
    project = new_project(tmp_path, **SMALL_STUDY)
    run = project.run()
    assert run.returncode == 0, run.stdout
    results = project.folder / "results/tiny"
    expected = tables(results)
    project.configure(questions=with_shards(SHARDS)["questions"])
    run = project.run()
    assert run.returncode == 0, run.stdout
    assert tables(results) == expected
    kept = sorted(path.name for path in (results / "shards/inject").glob("*.jsonl"))
    assert kept == [f"{part}of{SHARDS}.jsonl" for part in (1, 2, 3)]
    shared = [pd.read_json(results / f"shards/inject/{name}", lines=True) for name in kept]
    whole = pd.read_json(results / "predictions/inject.jsonl", lines=True)
    assert sorted(pd.concat(shared)["key"]) == sorted(whole["key"])
    assert pd.read_csv(results / "tables/costs.csv")["wall_seconds"].notna().all()
    assert project.python("-m", "benchmarks.tools.verify", "results/tiny").returncode == 0
    (tmp_path / "fresh").mkdir()
    fresh = new_project(tmp_path / "fresh", **with_shards(SHARDS))
    run = fresh.run()
    assert run.returncode == 0, run.stdout
    assert tables(fresh.folder / "results/tiny") == expected
