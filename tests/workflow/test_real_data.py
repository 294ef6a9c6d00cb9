"""A whole study on real data, where there are any: MATH-Vision's pictures and GSM8K, to summary and chain."""

import json

import pandas as pd
import pytest

from tests.support.shared_data import MATH_VISION, link_data
from tests.workflow.conftest import ROOT

WEIGHTS = {role: str(ROOT / f"benchmarks/miniature/weights/{role}") for role in ("base", "vlm", "lrm")}
VARIANTS = {"vlm": {"method": "vlm"}, "inject": {"method": "inject", "grid": {"strength": [0.5, 1.0]}}}
STUDY = {
    "triple": WEIGHTS,
    "engine": {
        "name": "transformers",
        "max_new_tokens": 16,
        "batch_size": 8,
        "failures": {"count_as_unanswered": 0.5},  # a real prompt may be longer than 512 positions
    },
    "benchmarks": ["mini_color", MATH_VISION],
    "text": [{"name": "gsm8k", "max_new_tokens": 16}],
    "questions": {"dev": 12, "test": 16, "text": 4},
    "statistics": {"resamples": 100},
    "variants": VARIANTS,
}


@pytest.mark.slow
def test_a_study_on_real_data(new_project, tmp_path):
    data = link_data(tmp_path / "data")
    project = new_project(tmp_path, **STUDY, data={"folder": str(data)})
    run = project.run()
    assert run.returncode == 0, run.stdout
    results = tmp_path / "results/tiny"
    asked = json.loads((results / "items/manifest.json").read_text())["questions"]["MathVision_MINI"]
    assert asked == {"dev": 12, "test": 16}
    scores = pd.read_csv(results / "tables/benchmarks.csv").set_index(["variant", "benchmark"])
    for variant in VARIANTS:
        assert scores.loc[(variant, "MathVision_MINI"), "n"] == 16
        answers = pd.read_csv(results / f"scores/{variant}.csv", dtype={"index": str})
        real = answers[answers["benchmark"] == "MathVision_MINI"]
        assert real["answer"].notna().all() and real["index"].is_unique
        answered = ~real["rule"].str.startswith("failed: ")
        assert answered.sum() >= 8 and real.loc[answered, "raw"].str.len().gt(0).all()
    assert set(pd.read_csv(results / "tables/text.csv")["task"]) == {"gsm8k"}
    summary = (results / "summary.md").read_text()
    assert "MathVision_MINI" in summary and "gsm8k" in summary
    assert (results / "figures/trade_off.png").stat().st_size > 1000
    done = project.python("-m", "frism", "verify", "results/tiny")
    assert done.returncode == 0 and "The chain of tiny holds" in done.stdout, done.stdout
