"""Fitting ahead: the points are those that a variant's own job would fit, which then fits nothing."""

import json
from pathlib import Path

import pytest

from benchmarks.questions import writing
from benchmarks.registry.lookup import find
from benchmarks.stages import answer, fit
from benchmarks.study.layout import Layout
from frism.method.recipe import Recipe
from tests.benchmarks.conftest import invoke
from tests.support.fits import count_fits
from tests.support.studies import record

SETTINGS = {
    "engine": {"name": "transformers", "batch_size": 8, "max_new_tokens": 4},
    "benchmarks": ["mini_number", "mini_total"],
    "questions": {"dev": 4, "test": 5},
    "calibration": {"source": "miniature", "questions": 8},
    "variants": {
        "vlm": {"method": "vlm"},
        "frism": {
            "method": "frism",
            "params": {"steps": 2, "batch": 4, "max_new_tokens": 3},
            "grid": {"strength": [0.5, 1.0]},
        },
    },
}


def test_what_was_fitted_ahead_is_taken_up(
    triple_settings: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    benchmarks = [find(name) for name in SETTINGS["benchmarks"]]
    writing.write_items(tmp_path / "items", benchmarks, {"dev": 4, "test": 5})
    study, layout = record(tmp_path, SETTINGS | {"triple": triple_settings}), Layout(tmp_path)
    out = layout.variant("frism") / "fitted.json"
    fits = count_fits(monkeypatch)
    done = invoke(fit.main, "--study", study, "--variant", "frism", "--code", "c", "--out", out)
    assert done.exit_code == 0, done.output
    keys = json.loads(out.read_text())["recipes"]
    assert len(set(keys)) == 2 and fits == ["frism", "frism"]
    answer.run(study, {"vlm": "c", "frism": "c"})
    assert fits.count("frism") == 2, "nothing was fitted again"
    assert Recipe.load(layout.variant("frism"))[0].key in keys
