"""Scores side by side: clusters as numbers, and scores of groups with them."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.statistics.intervals import score_interval, wilson
from benchmarks.tables.score_matrix import ScoreMatrix, encode_clusters
from tests.support.studies import study_of


def rows(labels, variants=("vlm",)):
    n = len(labels)
    parts = [
        pd.DataFrame(
            {"benchmark": "b", "variant": v, "index": [str(i) for i in range(n)], "cluster": labels,
             "correct": np.arange(n) % 2, "heading": "perception"}
        )
        for v in variants
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("labels", [[None] * 4, ["a", "b", "c", "d"], ["a", None, "c", None]])
def test_questions_that_stand_alone_have_no_clusters(labels):
    frame = rows(labels)
    assert encode_clusters(frame, pd.Index(frame["index"])) is None


def test_unlabelled_questions_are_clusters_of_their_own():
    frame = rows(["a", "a", None, None, "question 2"])
    codes = encode_clusters(frame, pd.Index(frame["index"]))
    assert codes[0] == codes[1] and len(set(codes)) == 4


def test_clusters_follow_the_questions_whatever_the_order():
    frame = rows(["a", "b", "a", "b"], ("vlm", "x")).sample(frac=1, random_state=0)
    answers = ScoreMatrix.of(frame, ["b"])
    codes = answers.clusters["b"]
    assert list(answers.correct["b"].index) == ["0", "1", "2", "3"]
    assert codes[0] == codes[2] and codes[1] == codes[3] and codes[0] != codes[1]


def test_a_mean_takes_the_interval_of_clusters():
    study = study_of({"benchmarks": ["b"], "variants": {"vlm": {"method": "vlm"}}})
    labels = [f"c{i // 4}" for i in range(40)]
    answers = ScoreMatrix.of(rows(labels), ["b"])
    mean, found = answers.mean(study, "vlm", ["b"])
    scores = answers.correct["b"]["vlm"].to_numpy()
    assert mean == 0.5 and found == pytest.approx(score_interval(scores, answers.clusters["b"]))
    alone = ScoreMatrix.of(rows(labels).drop(columns="cluster"), ["b"])
    assert alone.mean(study, "vlm", ["b"])[1] == pytest.approx(wilson(20, 40))
