"""Votes: which answers of one question say the same."""

import pandas as pd

from benchmarks.scoring.sample_scores import add_votes
from benchmarks.scoring.voting import number_votes


def test_equal_values_are_one_vote() -> None:
    answers = ["1/2", "0.5", None, "3", "\\frac{1}{2}", "3.0", "", "A", "B", "A"]
    assert number_votes(answers) == [0, 0, None, 3, 0, 3, None, 7, 8, 7]


def test_a_vote_is_the_first_of_its_kind_in_its_own_question() -> None:
    table = pd.DataFrame(
        {
            "benchmark": ["b"] * 6,
            "index": ["1", "1", "1", "2", "2", "2"],
            "extracted": ["two", "one", "two", None, "two", None],
            "correct": 0.0,
            "sample": [0, 1, 2] * 2,
        }
    )
    found = add_votes(table)
    assert list(found) == ["benchmark", "index", "sample", "extracted", "vote", "correct"]
    assert found["vote"].tolist() == [0, 1, 0, pd.NA, 1, pd.NA]
