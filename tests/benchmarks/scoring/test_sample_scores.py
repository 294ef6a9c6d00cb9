"""Samples are scored one by one: each as the one greedy answer would be."""

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from benchmarks.questions import reading
from benchmarks.scoring.question_scores import score_with_judge, total_scores
from benchmarks.scoring.sample_scores import score_samples
from benchmarks.scoring.voting import number_votes
from frism.errors import UserError
from tests.benchmarks.conftest import QUESTIONS

NAMES = ["mini_total", "mini_existence"]
K = 3


def say(text: str, failure: str = "") -> SimpleNamespace:
    return SimpleNamespace(raw=text, tokens=len(text), truncated=False, failure=failure)


def test_every_sample_has_the_score_of_an_answer_of_its_own(items_folder: Path) -> None:
    items = reading.load_items(items_folder, "test", NAMES)
    # Right, wrong and nothing in turns; the last of a question could not be answered at all.
    texts = [lambda gold: f"Answer {gold}", lambda gold: "Answer purple", lambda gold: ""]
    drawn = {
        name: [
            say(texts[(place + number) % 3](item.answer), "picture" if number == K - 1 else "")
            for place, item in enumerate(group)
            for number in range(K)
        ]
        for name, group in items.items()
    }
    scored = score_samples("v", items, drawn, K)
    assert len(scored.table) == 2 * QUESTIONS * K
    apart = [
        score_with_judge("v", items, {name: group[number::K] for name, group in drawn.items()})
        for number in range(K)
    ]
    for number, alone in enumerate(apart):
        rows = scored.table[scored.table["sample"] == number].drop(columns=["sample", "vote"])
        pd.testing.assert_frame_equal(rows.reset_index(drop=True), alone.table)
    assert 0 < scored.table["correct"].mean() < 1
    for _, rows in scored.table.groupby(["benchmark", "index"]):
        said = [None if pd.isna(text) else text for text in rows["extracted"]]
        assert [None if pd.isna(vote) else vote for vote in rows["vote"]] == number_votes(said)
    totals = [alone.official["mini_total"]["extracted"]["Overall"] for alone in apart]
    mean = scored.official["mini_total"]["extracted"]["Overall"]
    assert len(set(totals)) > 1 and mean == pytest.approx(sum(totals) / K)
    whole = total_scores(scored.table).set_index("benchmark")
    assert (whole["n"] == QUESTIONS).all()
    for name in NAMES:
        each = [total_scores(alone.table).set_index("benchmark").loc[name, "score"] for alone in apart]
        assert whole.loc[name, "score"] == pytest.approx(sum(each) / K)


def test_one_greedy_answer_is_scored_as_ever(items_folder: Path) -> None:
    items = reading.load_items(items_folder, "test", NAMES)
    answers = {name: [say(f"Answer {item.answer}") for item in group] for name, group in items.items()}
    found, known = score_samples("v", items, answers, None), score_with_judge("v", items, answers)
    pd.testing.assert_frame_equal(found.table, known.table)
    assert found.official == known.official and "sample" not in found.table


def test_a_sample_too_few_is_a_sentence(items_folder: Path) -> None:
    items = reading.load_items(items_folder, "test", NAMES)
    drawn = {name: [say("x")] * (QUESTIONS * K - 1) for name in items}
    with pytest.raises(UserError, match="9 answers for the 10 questions"):
        score_samples("v", items, drawn, K)
