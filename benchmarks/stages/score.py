"""Score a variant's predictions, question by question.

python -m benchmarks.stages.score --predictions F --items FOLDER --split test --benchmarks a,b
    --variant V --out scores/V.csv [--judge JSON]
The same predictions give the same bytes; times, which differ, go to V.cost.csv beside it, VLMEvalKit's own
totals to V.official.json, what the scores depend on to V.provenance.json. Replies of a judge model are kept
in V.judge.jsonl, which only grows.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.answering import predictions as prediction_files
from benchmarks.answering.matching import matched
from benchmarks.questions import reading
from benchmarks.registry.vlmevalkit_package import get_version, hash_installation
from benchmarks.scoring import answer_csv, extraction, judges
from benchmarks.scoring.chat_judge import ChatJudge
from benchmarks.scoring.question_scores import score_all
from benchmarks.study import judge_settings
from frism.errors import reported
from frism.files import atomic_write, sha256_file

PROVENANCE = 1  # version of its layout


def provenance(
    predictions: str | Path, items: str | Path, judge: judge_settings.JudgeSettings | None = None
) -> dict[str, Any]:
    """What scores depend on: both inputs' sha256, the extractor, VLMEvalKit's files and the judges."""
    return {
        "version": PROVENANCE,
        "predictions": sha256_file(predictions),
        "items": sha256_file(Path(items) / reading.MANIFEST),
        "extractor": extraction.VERSION,
        "rule_judge": judges.RULES,
        "vlmevalkit": {"version": get_version(), "tree": hash_installation()},
        "judge": judge.identity if judge else None,
    }


@reported()
def main(
    predictions: Annotated[Path, typer.Option(help="JSON lines of benchmarks.stages.predict")],
    items: Annotated[Path, typer.Option(help="the items folder")],
    variant: Annotated[str, typer.Option(help="the variant's name")],
    benchmarks: Annotated[str, typer.Option(help="names, separated by commas")],
    out: Annotated[Path, typer.Option(help="CSV, one row per question")],
    split: Annotated[str, typer.Option(help="which items")] = "test",
    judge: Annotated[str, typer.Option(help="a judge model as JSON: address, model, ...")] = "",
) -> None:
    """Score predictions."""
    settings = judge_settings.JudgeSettings.parse(judge) if judge else None
    asked = reading.load(items, split, benchmarks)
    answers = matched(asked, prediction_files.read(predictions), predictions)
    model = ChatJudge(settings, out.with_suffix(".judge.jsonl")) if settings else None
    scored = score_all(variant, asked, answers, model)
    costs = scored.table[["variant", "benchmark", "index", "tokens"]].assign(
        seconds=[line.seconds for group in answers.values() for line in group]
    )
    about = provenance(predictions, items, settings)
    if model is not None:
        about["judge_unread"] = len(model.unread)
    answer_csv.write(costs, out.with_suffix(".cost.csv"))
    _dump(scored.official, out.with_suffix(".official.json"))
    _dump(about, out.with_suffix(".provenance.json"))
    answer_csv.write(scored.table, out)


def _dump(value: dict[str, Any], path: Path) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
