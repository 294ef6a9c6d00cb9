"""Put every variant's score beside the tokens that it took: intervals of both, and the front of the two."""

from typing import Any

import numpy as np
import pandas as pd

from benchmarks.statistics.fronts import find_front
from benchmarks.statistics.intervals import percentiles
from benchmarks.study.compared import Compared
from benchmarks.tables.cells import list_names, make_columns, make_estimate
from benchmarks.tables.pareto import resample_joint_means
from benchmarks.tables.score_matrix import ScoreMatrix

COLUMNS = (
    *make_columns("name", "group", "variant"),
    *make_columns("count", "n"),
    *make_estimate("tokens"),
    *make_estimate("score", "low", "high"),
    *make_columns("mark", "front"),
    *make_columns("share", "front_share", "truncated", "repeated"),
)


def build_token_rows(study: Compared, *kinds: tuple[ScoreMatrix, pd.DataFrame, pd.DataFrame]) -> pd.DataFrame:
    """Measure per group and variant the tokens of an answer and the score: a row each, groups in order.

    `front`: no other variant has as high a score with as few tokens, and more of one or fewer of the other.
    Groups with an answer whose length is not known have no rows.

    Args:
        kinds: of questions with pictures, and in words: their scores; the long frame with a row per question
            that these were made from, with `tokens`; the same with a row per answer, with `truncated` and
            `repeated`.
    """
    rows: list[dict[str, Any]] = []
    for answers, questions, single in kinds:
        if "tokens" not in questions:  # of an older version
            continue
        lengths = ScoreMatrix.of(questions.assign(correct=questions["tokens"]), answers.correct)
        for heading, benchmarks in answers.by_heading().items():
            rows += _measure_group(study, answers, lengths, heading, benchmarks, single)
    return pd.DataFrame(rows, columns=list_names(COLUMNS))


def _measure_group(
    study: Compared,
    answers: ScoreMatrix,
    lengths: ScoreMatrix,
    heading: str,
    benchmarks: list[str],
    single: pd.DataFrame,
) -> list[dict[str, Any]]:
    variants, how = list(study.variants), {"resamples": study.statistics.resamples, "seed": study.seed}
    if any(lengths.correct[b][variants].isna().any(axis=None) for b in benchmarks):
        return []
    drawn, drawn_lengths = (
        resample_joint_means(matrix, variants, benchmarks, **how) for matrix in (answers, lengths)
    )
    scores = [answers.mean(study, v, benchmarks) for v in variants]
    tokens = np.mean([lengths.correct[b][variants].mean().to_numpy() for b in benchmarks], axis=0)
    front = find_front(-tokens, np.array([score for score, _ in scores]))
    shares = find_front(-drawn_lengths, drawn).mean(axis=0)
    own = single[single["benchmark"].isin(benchmarks)].groupby("variant")
    rows = []
    for k, variant in enumerate(variants):
        score, (low, high) = scores[k]
        ends = percentiles(drawn_lengths[:, k], study.statistics.confidence)
        form = own.get_group(variant).reindex(columns=["truncated", "repeated"]).astype(float).mean()
        rows.append(
            {
                "group": heading,
                "variant": variant,
                "n": sum(len(answers.correct[b]) for b in benchmarks),
                "tokens": tokens[k],
                "tokens_low": ends[0],
                "tokens_high": ends[1],
                "score": score,
                "low": low,
                "high": high,
                "front": bool(front[k]),
                "front_share": shares[k],
                "truncated": form["truncated"],
                "repeated": form["repeated"],
            }
        )
    return rows
