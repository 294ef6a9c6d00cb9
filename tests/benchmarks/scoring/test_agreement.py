"""Agreement of two judges: Cohen's kappa by statsmodels against scikit-learn and by hand."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from benchmarks.scoring.agreement import COLUMNS, measure_agreement, measure_by_benchmark


def test_by_hand() -> None:
    """Cohen's example of two raters: 20 and 15 alike, 5 and 10 not; po = 0.7, pe = 0.5, kappa = 0.4."""
    found = measure_agreement([1] * 25 + [0] * 25, [1] * 20 + [0] * 5 + [1] * 10 + [0] * 15)
    assert (found.both_right, found.rule_only, found.judge_only, found.both_wrong) == (20, 5, 10, 15)
    assert found.n == 50 and found.agreement == pytest.approx(0.7)
    kappa, low, high = found.kappa
    assert kappa == pytest.approx(0.4, abs=1e-12)
    assert low < 0.4 < high


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=200))
def test_as_scikit_learn(pairs: list[tuple[bool, bool]]) -> None:
    rule, judge = np.array(pairs).T
    found = measure_agreement(rule.astype(float), judge.astype(float))
    assert found.agreement == pytest.approx((rule == judge).mean())
    if len({*rule, *judge}) == 1:
        assert math.isnan(found.kappa[0])
    else:
        assert found.kappa[0] == pytest.approx(cohen_kappa_score(rule, judge), abs=1e-10)


def test_table_leaves_out_what_the_judge_did_not_judge() -> None:
    scores = pd.DataFrame(
        {
            "benchmark": ["a"] * 4 + ["b"] * 2,
            "correct": [1, 1, 0, 0.3, 1, 0],
            "correct_judge": [1, 0, 0, math.nan, math.nan, math.nan],
        }
    )
    found = measure_by_benchmark(scores)
    assert tuple(found.columns) == COLUMNS
    assert found[["benchmark", "n", "agreement"]].values.tolist() == [["a", 3, pytest.approx(2 / 3)]]
    assert measure_by_benchmark(scores.drop(columns="correct_judge")).empty
    assert tuple(measure_by_benchmark(scores[4:]).columns) == COLUMNS
