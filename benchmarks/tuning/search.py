"""Score the candidates of a search on the dev questions, for methods that are fitted by them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from benchmarks.answering.late_engine import LateEngine
from benchmarks.questions.item import Item
from benchmarks.statistics.selection import axis_means
from benchmarks.tuning.dev_scores import score_on_dev
from benchmarks.tuning.points import Point, Scorer
from frism.method.fitted import Fitted
from frism.method.fitting import DevScores
from frism.method.recipe import Recipe
from frism.triples.triple import Triple

Rule = Callable[[pd.DataFrame], DevScores]  # one point's dev scores, a row per benchmark


def make_rule(unmodified: pd.DataFrame, budget: float) -> Rule:
    """Make a function that averages a point's dev scores, with the least perception allowed.

    Args:
        unmodified: dev scores of the unmodified VLM; `budget`: the perception that may be lost of them.
    """
    floor = axis_means(unmodified)["perception"] - budget

    def weigh(scores: pd.DataFrame) -> DevScores:
        means = axis_means(scores)
        return DevScores(means["perception"], means["reasoning"], floor)

    return weigh


def make_scorer(
    engine: LateEngine,
    triple: Triple,
    questions: Mapping[str, Sequence[Item]],
    rule: Rule,
    workspace: Path,
    spectra: Path | None = None,
) -> Scorer:
    """Make a function that merges a candidate on load, asks the dev questions and returns its mean scores.

    Answers are kept below `workspace` by the candidate's recipe, so a search that was killed and starts again
    from its seed asks nothing twice.

    Args:
        engine: is opened when a first candidate has to be answered with.
        rule: weighs perception against reasoning.
    """

    def score(recipe: Recipe, fitted: Fitted) -> DevScores:
        point = Point(recipe, fitted, workspace / recipe.key)
        return rule(score_on_dev(engine, triple, point, questions, "candidate", spectra))

    return score
