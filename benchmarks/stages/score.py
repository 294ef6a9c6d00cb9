"""Score a variant's predictions, question by question.

python -m benchmarks.stages.score --study results/miniature/study.json --variant V
    --predictions predictions/V.jsonl --out scores/V.csv
Where questions were answered by several samples there is a row for each. The same predictions give the same
bytes; times, which differ, go to V.cost.csv beside it, VLMEvalKit's own totals to V.official.json, what the
scores depend on to V.provenance.json. Replies of a judge model are kept in V.judge.jsonl, which only grows.
"""

from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from benchmarks.answering import predictions as prediction_files
from benchmarks.answering.matching import match_predictions
from benchmarks.answering.sampling import count_samples, list_samples
from benchmarks.questions import reading
from benchmarks.registry.vlmevalkit_package import get_version, hash_installation
from benchmarks.scoring import answer_csv, extraction, judges
from benchmarks.scoring.chat_judge import ChatJudge
from benchmarks.scoring.sample_scores import score_samples
from benchmarks.stages.command import StudyFile, VariantName, begin, find_variant
from benchmarks.study.entry import list_names
from benchmarks.study.judge_settings import JudgeSettings
from benchmarks.study.layout import Layout
from benchmarks.study.slices.score_slice import ScoreSlice
from frism.errors import report_errors
from frism.files import sha256_file, write_json

PROVENANCE = 1  # version of its layout


def describe_provenance(predictions: Path, items: Path, judge: JudgeSettings | None = None) -> dict[str, Any]:
    """Return what scores depend on: both inputs' sha256, the extractor, VLMEvalKit's files and the judges."""
    return {
        "version": PROVENANCE,
        "predictions": sha256_file(predictions),
        "items": sha256_file(items / reading.MANIFEST),
        "extractor": extraction.VERSION,
        "rule_judge": judges.RULE_VERSION,
        "vlmevalkit": {"version": get_version(), "tree": hash_installation()},
        "judge": judge.identity if judge else None,
    }


def run(
    variant: str,
    benchmarks: list[str],
    predictions: Path,
    items: Path,
    out: Path,
    judge: JudgeSettings | None = None,
    split: str = "test",
) -> None:
    """Score the answers in `predictions` to the questions in `items` into `out` and the files beside it.

    Raises UserError for answers that are missing or of other questions.
    """
    questions = reading.load_items(items, split, benchmarks)
    lines = prediction_files.read_predictions(predictions)
    samples = count_samples(lines, predictions)
    drawn = {name: list_samples(group, samples) for name, group in questions.items()}
    answers = match_predictions(drawn, lines, predictions)
    model = ChatJudge(judge, out.with_suffix(".judge.jsonl")) if judge else None
    scores = score_samples(variant, questions, answers, samples, model)
    columns = ["variant", "benchmark", "index", *(["sample"] if samples else []), "tokens"]
    costs = scores.table[columns].assign(
        seconds=pd.Series([line.seconds for group in answers.values() for line in group], dtype=float)
    )
    record = describe_provenance(predictions, items, judge)
    if model is not None:
        record["judge_unread"] = len(model.unread)
    answer_csv.write_csv(costs, out.with_suffix(".cost.csv"))
    write_json(out.with_suffix(".official.json"), scores.official, sort_keys=True)
    write_json(out.with_suffix(".provenance.json"), record, sort_keys=True)
    answer_csv.write_csv(scores.table, out)


@report_errors()
def main(
    study: StudyFile,
    variant: VariantName,
    predictions: Annotated[Path, typer.Option(help="JSON lines of benchmarks.stages.predict")],
    out: Annotated[Path, typer.Option(help="CSV, one row per question")],
    split: Annotated[str, typer.Option(help="which questions")] = "test",
    rules_alone: Annotated[
        bool, typer.Option("--rules-alone", help="do not ask the study's judge model")
    ] = False,
) -> None:
    """Score predictions."""
    begin(variant)
    settings = ScoreSlice.read(study)
    items = Layout.beside(study).items(find_variant(settings.variants, variant))
    judge = None if rules_alone else settings.judge
    run(variant, list_names(settings.benchmarks), predictions, items, out, judge, split)


if __name__ == "__main__":
    typer.run(main)
