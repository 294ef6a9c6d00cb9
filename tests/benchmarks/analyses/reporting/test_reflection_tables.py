"""Counts of answers in tables: paired differences, and whether the answer that says more is the right one."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks.analyses.reporting.reflection import MEASURES, describe_reflection
from benchmarks.stages import report_analyses
from benchmarks.study.config import StudyConfig
from frism.errors import UserError
from tests.support.studies import study_of

N = 80


@pytest.fixture
def study() -> StudyConfig:
    return study_of(
        {
            "benchmarks": ["mini_number", "mini_total"],
            "variants": {"vlm": {"method": "vlm"}, "inject": {"method": "inject"}},
            "statistics": {"resamples": 300},
            "analyses": {"thinking": {"analysis": "reflection"}},
        }
    )


def write(folder: Path, variant: str, **columns: Any) -> None:
    rng = np.random.default_rng(0)
    rows = [
        {"variant": variant, "benchmark": name, "axis": axis, "index": i, "cluster": "", "correct": 1.0}
        | dict.fromkeys(MEASURES, 1)
        | {"truncated": False, "repeated": False, "tokens": int(rng.integers(5, 40))}
        for name, axis in (("mini_number", "perception"), ("mini_total", "reasoning"))
        for i in range(N)
    ]
    (folder / "analyses/thinking").mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).assign(**columns).to_csv(folder / f"analyses/thinking/{variant}.csv", index=False)


def test_differences_are_paired_and_said(study: StudyConfig, tmp_path: Path) -> None:
    write(tmp_path, "vlm")
    longer = pd.read_csv(tmp_path / "analyses/thinking/vlm.csv")["tokens"] + 10
    write(tmp_path, "inject", tokens=longer, truncated=[True, False] * N)
    report_analyses.build(tmp_path, study)
    table = pd.read_csv(tmp_path / "tables/reflection.csv")
    own = table[(table["variant"] == "inject") & (table["axis"] == "reasoning")].set_index("measure")
    # Every answer is ten tokens longer: paired, there is no noise.
    assert own.loc["tokens", ["difference", "difference_low", "difference_high"]].tolist() == [10, 10, 10]
    assert own.loc["truncated", "mean"] == 0.5 and own.loc["truncated", "difference_low"] > 0.3
    assert own.loc["steps", "difference"] == 0
    assert table[table["variant"] == "vlm"]["difference"].isna().all()
    (line,) = describe_reflection(table)
    assert line.startswith("`inject`: tokens +10.00 [+10.00, +10.00], truncated +0.50 [")
    assert (tmp_path / "figures/analysis_thinking.png").is_file()


def test_on_the_same_question_the_longer_answer_is_right_where_it_was_planted(
    study: StudyConfig, tmp_path: Path
) -> None:
    wins = np.arange(2 * N) % 2 == 0
    write(tmp_path, "vlm", correct=np.where(wins, 0.0, 1.0), tokens=20)
    write(tmp_path, "inject", correct=np.where(wins, 1.0, 0.0), tokens=np.where(wins, 30, 10))
    report_analyses.build(tmp_path, study)
    rows = pd.read_csv(tmp_path / "tables/same_question.csv").set_index(["axis", "measure"])
    tokens = rows.loc[("reasoning", "tokens")]
    assert tokens[["n", "decisive", "more_is_right"]].tolist() == [N, N, 1] and tokens["low"] > 0.9
    assert rows.loc[("reasoning", "steps"), "decisive"] == 0
    assert np.isnan(rows.loc[("reasoning", "steps"), "more_is_right"])


def test_unknown_lengths_and_missing_files(study: StudyConfig, tmp_path: Path) -> None:
    write(tmp_path, "vlm", tokens="")
    with pytest.raises(UserError, match=r"inject.csv holds no counts of answers"):
        report_analyses.build(tmp_path, study)
    write(tmp_path, "inject", tokens="")
    report_analyses.build(tmp_path, study)
    table = pd.read_csv(tmp_path / "tables/reflection.csv")
    assert table[table["measure"] == "tokens"]["mean"].isna().all()
