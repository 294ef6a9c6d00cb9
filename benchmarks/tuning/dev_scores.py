"""Score one point of a grid on the dev questions."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from benchmarks.answering import predictions as prediction_files
from benchmarks.answering.answer import answer_missing
from benchmarks.answering.engine import describe_origin
from benchmarks.answering.failures import Tolerance
from benchmarks.answering.late_engine import LateEngine
from benchmarks.answering.matching import match_predictions
from benchmarks.answering.sampling import list_samples
from benchmarks.questions import item
from benchmarks.scoring.question_scores import total_scores
from benchmarks.scoring.sample_scores import score_samples
from benchmarks.study import marks
from benchmarks.tuning.points import Point
from frism.files import atomic_write
from frism.triples.triple import Triple

QUESTION_SCORES = "dev_scores.csv"  # beside a point's answers: the score of every dev question


def write_question_scores(table: pd.DataFrame, path: Path) -> None:
    """Write every question's score, of several samples the mean: benchmark, axis, group, index, correct.

    Points of a sweep are compared question by question with it (the price at equal reasoning).
    """
    keys = ["benchmark", "axis", "group", "index"]
    means = table.groupby(keys, sort=False)["correct"].mean().reset_index()
    with atomic_write(path) as temporary:
        means.to_csv(temporary, index=False, lineterminator="\n", float_format="%.6g")


def score_on_dev(
    engine: LateEngine,
    triple: Triple,
    point: Point,
    items: Mapping[str, Sequence[item.Item]],
    variant: str,
    spectra: Path | None = None,
) -> pd.DataFrame:
    """Answer and score the dev questions with one point: benchmark, axis, group, n, correct, score.

    Where questions could not be answered, a column `failed_<kind>` counts them.
    """
    path, samples = point.folder / "dev.jsonl", engine.settings.samples
    drawn = {name: list_samples(group, samples) for name, group in items.items()}
    asked = [item for group in drawn.values() for item in group]
    tolerance = Tolerance.over(engine.settings.tolerated_share, asked)
    engine.turn_into(triple, point.recipe, point.fitted, spectra)
    _, batches = engine.group(asked, describe_origin(triple, point.recipe), path, tolerance)
    wanted = {key for batch in batches for key in batch.keys}
    with prediction_files.open_store(path, wanted, tolerance) as store:
        for _ in answer_missing(engine, batches, store):
            pass
    answers = match_predictions(drawn, prediction_files.read_predictions(path), path)
    table = score_samples(variant, items, answers, samples, raw=False).table  # nobody reads that on dev
    write_question_scores(table, point.folder / QUESTION_SCORES)
    totals = total_scores(table)
    counts = Counter(
        (line.benchmark, line.failure) for group in answers.values() for line in group if line.failure
    )
    for kind in sorted({kind for _, kind in counts}):
        totals[f"{marks.ON_DEV}{kind}"] = [counts[name, kind] for name in totals["benchmark"]]
    return totals
