"""Average the samples of every question: paired tests, intervals and flips work on a question's mean."""

import pandas as pd

from frism.errors import UserError

SAMPLES = "samples"  # the column that says how many answers a row is the mean of
MEANS = ("correct", "correct_raw", "correct_judge", "truncated", "repeated", "tokens", "seconds")
QUESTION = ["variant", "benchmark", "index"]


def average_samples(answers: pd.DataFrame, source: str) -> pd.DataFrame:
    """Average a table with a row per sample into one with a row per question, questions in order.

    Scores, shares of cut and repeating answers and lengths are means; `extracted` and `rule` are those of the
    answer that most samples gave, of several such the first. Greedy answers are returned as they are; else a
    column `samples` says how many each question has. Raises UserError, which begins with `source`, unless
    every question has the same samples, each once.
    """
    if "sample" not in answers:
        return answers
    present = answers.assign(**{c: answers[c].astype(float) for c in MEANS if c in answers})
    keys = [key for key in QUESTION if key in answers]
    grouped = present.groupby(keys, sort=False)
    numbers = grouped["sample"].agg(["size", "nunique", "max"])
    count = int(numbers["size"].max()) if len(numbers) else 0
    if not (numbers == [count, count, count - 1]).all(axis=None):
        wrong = numbers[(numbers != [count, count, count - 1]).any(axis=1)].index[0]
        raise UserError(
            f"{source} holds other samples of question {wrong[-1]} of {wrong[-2]} than of the others: delete"
            " it and run again."
        )
    taken = present.loc[_find_most_frequent(answers, keys)].drop(columns=["sample", "vote"], errors="ignore")
    columns = [c for c in MEANS if c in present]
    whole = taken.set_index(keys)
    whole[columns] = grouped[columns].mean()
    return whole.reset_index()[taken.columns].assign(**{SAMPLES: count})


def _find_most_frequent(answers: pd.DataFrame, keys: list[str]) -> pd.Index:
    """Find per question the row of the first sample whose answer most samples gave; the first without any."""
    if "vote" not in answers:
        return answers.drop_duplicates(keys).index
    votes = answers.groupby([*keys, "vote"], sort=False)["sample"].transform("size")  # NaN without a vote
    order = answers.assign(_most=-votes.fillna(0)).sort_values("_most", kind="stable")
    return order.drop_duplicates(keys).index.sort_values()
