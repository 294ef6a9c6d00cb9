"""Means over the samples of every question."""

import pandas as pd
import pytest

from benchmarks.study.sample_means import average_samples
from frism.errors import UserError


def make(votes: list[int | None]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "benchmark": "b",
            "index": ["7"] * 3 + ["1"] * 3,
            "sample": [0, 1, 2] * 2,
            "extracted": ["x", "y", "y", None, "z", None],
            "vote": pd.array(votes, "Int64"),
            "correct": [0.0, 1.0, 1.0, 0.0, 0.0, 0.0],
            "truncated": [True, False, False, True, True, True],
            "tokens": [3, 4, 8, 1, 1, 4],
            "variant": "v",
        }
    )


def test_a_question_is_the_mean_of_its_samples_and_shows_what_most_said() -> None:
    found = average_samples(make([0, 1, 1, None, 1, None]), "scores")
    assert found["index"].tolist() == ["7", "1"]
    assert found["correct"].tolist() == pytest.approx([2 / 3, 0])
    assert found["truncated"].tolist() == pytest.approx([1 / 3, 1])
    assert found["tokens"].tolist() == pytest.approx([5, 2])
    assert found["extracted"].tolist() == ["y", "z"]
    assert found["samples"].tolist() == [3, 3]
    assert "sample" not in found and "vote" not in found


def test_greedy_answers_stay_as_they_are() -> None:
    greedy = make([0] * 6).drop(columns=["sample", "vote"])
    assert average_samples(greedy, "scores") is greedy


@pytest.mark.parametrize("rows", [slice(1, None), slice(0, 5)])
def test_a_missing_sample_is_named(rows: slice) -> None:
    with pytest.raises(UserError, match=r"^scores holds other samples of question (7|1) of b"):
        average_samples(make([0, 1, 1, None, 1, None]).iloc[rows], "scores")


def test_a_doubled_sample_is_named() -> None:
    with pytest.raises(UserError, match="other samples of question 7"):
        average_samples(make([0, 1, 1, None, 1, None]).assign(sample=[0, 0, 2, 0, 1, 2]), "scores")
