"""Score extracted answers by VLMEvalKit's metric, and beside them the raw texts by it alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import pandas as pd

from benchmarks.questions.item import AGAIN, Item, read_definition
from benchmarks.registry.definition import Definition
from benchmarks.scoring import evaluation, extraction, stock_reading
from benchmarks.scoring.expected import ExpectedAnswer, check_metric, describe_answers
from benchmarks.scoring.repetition import is_repetitive
from benchmarks.study.marks import RULE as FAILED
from benchmarks.study.marks import STOCK_RULE
from frism.errors import UserError

if TYPE_CHECKING:
    from benchmarks.scoring.chat_judge import ChatJudge

COLUMNS = ("variant", "benchmark", "axis", "group", "split", "index", "cluster", "answer", "raw", "extracted",
           "rule", "correct", "correct_raw", "truncated", "repeated", "tokens")  # fmt: skip
JUDGED = "correct_judge"  # after correct_raw, where a judge model is asked


class StoredAnswer(Protocol):
    """A stored prediction, as far as scoring reads it; None is unknown."""

    @property
    def raw(self) -> str: ...
    @property
    def tokens(self) -> int | None: ...
    @property
    def truncated(self) -> bool | None: ...
    @property
    def failure(self) -> str: ...


@dataclass(frozen=True)
class ScoredAnswers:
    """One row per question (COLUMNS), and per benchmark VLMEvalKit's own totals as it prints them.

    Totals are of "extracted" answers, of "raw" texts and, with a judge model, by the "judge".
    """

    table: pd.DataFrame
    official: dict[str, dict[str, dict[str, float]]]


def score_answers(
    variant: str, items: Mapping[str, Sequence[Item]], answers: Mapping[str, Sequence[StoredAnswer]]
) -> pd.DataFrame:
    """Score every question as `score_all` does, without a judge model."""
    return score_with_judge(variant, items, answers).table


def score_with_judge(
    variant: str,
    items: Mapping[str, Sequence[Item]],
    answers: Mapping[str, Sequence[StoredAnswer]],
    judge: "ChatJudge | None" = None,
    *,
    raw: bool = True,
) -> ScoredAnswers:
    """Score every question, benchmarks and questions in the order of `items`.

    `correct` and `correct_raw` are VLMEvalKit's scores per question in [0, 1]; `correct_judge` is its score
    with the judge model, nan where VLMEvalKit would not ask one. A question whose answer could not be
    extracted counts as wrong and has an empty `extracted`.

    Args:
        answers: per benchmark one answer for each of its items, in the same order.
        raw: whether the raw texts are scored, too; else `correct_raw` is nan, in half the time.

    Raises UserError when answers are missing, VLMEvalKit gives no number, or the judge does not answer.
    """
    parts: list[pd.DataFrame] = []
    official: dict[str, dict[str, dict[str, float]]] = {}
    for name, questions in items.items():
        answered = answers.get(name, [])
        if len(answered) != len(questions):
            raise UserError(
                f"{variant}: {len(answered)} answers for the {len(questions)} questions of {name}:"
                " run python -m benchmarks.stages.predict first."
            )
        definition = read_definition(questions[0])
        rows, official[name] = _score_benchmark(definition, questions, answered, judge, raw)
        parts.append(rows.assign(variant=variant))
    columns = [*COLUMNS]
    if judge is not None:
        columns.insert(columns.index("correct_raw") + 1, JUDGED)
    return ScoredAnswers(pd.concat(parts, ignore_index=True)[columns], official)


def total_scores(scores: pd.DataFrame) -> pd.DataFrame:
    """Total every benchmark: benchmark, axis, group, n, correct (sum of scores), score (their mean).

    Of several samples per question, n counts questions, and a question's score is the mean of its samples'.
    """
    grouped = scores.groupby("benchmark", sort=False)
    each = scores["sample"].max() + 1 if "sample" in scores else 1
    n, correct = grouped.size() // each, grouped["correct"].sum() / each
    # Not as keywords: `axis` is an argument of `agg` itself.
    result = grouped[["axis", "group"]].first().assign(n=n, correct=correct)
    return result.assign(score=result["correct"] / result["n"]).reset_index()


def _score_benchmark(
    definition: Definition,
    items: Sequence[Item],
    answers: Sequence[StoredAnswer],
    judge: "ChatJudge | None",
    raw: bool,
) -> tuple[pd.DataFrame, dict[str, dict[str, float]]]:
    root, raws = items[0].folder / items[0].split, [answer.raw for answer in answers]
    expected = describe_answers(definition, root)
    if len(expected) != len(items):
        raise UserError(f"{root} and the items of {definition.name} differ: {AGAIN}.")
    extracted = [_extract_answer(raw, answer) for raw, answer in zip(raws, expected, strict=True)]
    judged: dict[str, evaluation.JudgedAnswers] = {}
    if judge is not None and (by_model := _ask_judge(definition, root, items, raws, expected, judge)):
        judged["judge"] = by_model
    if definition.judge == "model" and "judge" in judged:  # no rule can: what the judge says is the score
        judged |= {"extracted": judged["judge"], "raw": judged["judge"]}
    else:
        texts = [e.phrase(text) for e, (text, _) in zip(expected, extracted, strict=True)]
        judged["extracted"] = evaluation.evaluate(definition, root, texts)
        if raw:
            judged["raw"] = evaluation.evaluate(definition, root, raws)
    table = pd.DataFrame(
        {
            "benchmark": definition.name,
            "axis": definition.axis,
            "group": definition.group,
            "split": [item.split for item in items],
            "index": [item.index for item in items],
            "cluster": [item.cluster for item in items],
            "answer": [item.answer for item in items],
            "raw": raws,
            "extracted": [text for text, _ in extracted],
            "rule": [
                f"{FAILED}{answer.failure}" if answer.failure else rule
                for answer, (_, rule) in zip(answers, extracted, strict=True)
            ],
            "correct": judged["extracted"].scores,
            "correct_raw": judged["raw"].scores if "raw" in judged else float("nan"),
            JUDGED: judged["judge"].scores if "judge" in judged else float("nan"),
            "truncated": _hold_unknown([answer.truncated for answer in answers], "boolean"),
            "repeated": [is_repetitive(answer.raw) for answer in answers],
            "tokens": _hold_unknown([answer.tokens for answer in answers], "Int64"),
        }
    )
    return table, {key: value.totals for key, value in judged.items()}


def _hold_unknown(values: list[Any], dtype: Literal["boolean", "Int64"]) -> Any:
    """Make a column of values, some of them unknown (None), without turning the others into floats."""
    return pd.Series(values, dtype=dtype) if None in values else values


def _extract_answer(raw: str, expected: ExpectedAnswer) -> tuple[str | None, str]:
    answer, rule = extraction.extract(
        raw, expected.kind, expected.options, longest=expected.longest, json=expected.json
    )
    if rule == extraction.NOTHING and (letter := stock_reading.read_by_stock_rule(raw, expected)):
        return letter, STOCK_RULE
    return answer, rule


def _ask_judge(
    definition: Definition,
    root: Path,
    items: Sequence[Item],
    raws: Sequence[str],
    expected: Sequence[ExpectedAnswer],
    judge: "ChatJudge",
) -> evaluation.JudgedAnswers | None:
    """Score with the judge model; None where VLMEvalKit has no prompt for one and ours is not wanted."""
    if judge.settings.prompt_version == "vlmevalkit":
        if check_metric(definition, root).judged == "never":
            return None
        return evaluation.evaluate(definition, root, raws, judge)
    questions = ["\n".join(p["value"] for p in item.message if p["type"] == "text") for item in items]
    replies = judge.extract_all(list(zip(questions, raws, strict=True)))
    extracted = [_extract_answer(r, e)[0] if r else None for r, e in zip(replies, expected, strict=True)]
    texts = [e.phrase(text) for e, text in zip(expected, extracted, strict=True)]
    return evaluation.evaluate(definition, root, texts)
