"""Score a variant's predictions, question by question.

python -m benchmarks.score --predictions F --items FOLDER --split test --benchmarks a,b
    --variant V --out scores/V.csv [--judge JSON]
The same predictions give the same bytes; times, which differ, go to V.cost.csv beside it, VLMEvalKit's own
totals to V.official.json, what the scores depend on to V.provenance.json. Replies of a judge model are kept
in V.judge.jsonl, which only grows.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import answer_csv, vlmevalkit
from benchmarks import items as item_files
from benchmarks import predictions as prediction_files
from benchmarks.judging import extraction, judges
from benchmarks.judging.scoring import score_all
from frism.errors import UserError, reported
from frism.files import atomic_write, sha256_file

PROVENANCE = 1  # version of its layout


def matched(
    items: Mapping[str, Sequence[item_files.Item]], lines: Sequence[prediction_files.Line], path: Path
) -> dict[str, list[prediction_files.Line]]:
    """The prediction of every item. Raises UserError when one is missing, doubled or of another question."""
    by_question: dict[tuple[str, str], prediction_files.Line] = {}
    for line in lines:
        if by_question.setdefault((line.benchmark, line.index), line) is not line:
            raise UserError(f"{path} answers question {line.index} of {line.benchmark} twice: predict again.")
    result: dict[str, list[prediction_files.Line]] = {}
    for name, questions in items.items():
        result[name] = []
        for item in questions:
            if (name, item.index) not in by_question:
                raise UserError(
                    f"{path} lacks the answer to question {item.index} of {name}: run"
                    " python -m benchmarks.predict first."
                )
            line = by_question[name, item.index]
            if line.item != item.content:
                raise UserError(
                    f"{path} answers another question {item.index} of {name} than {item.folder} asks:"
                    " run python -m benchmarks.predict again."
                )
            result[name].append(line)
    return result


def provenance(
    predictions: str | Path, items: str | Path, judge: judges.Settings | None = None
) -> dict[str, Any]:
    """What scores depend on: both inputs' sha256, the extractor, VLMEvalKit's files and the judges."""
    return {
        "version": PROVENANCE,
        "predictions": sha256_file(predictions),
        "items": sha256_file(Path(items) / item_files.MANIFEST),
        "extractor": extraction.VERSION,
        "rule_judge": judges.RULES,
        "vlmevalkit": {"version": vlmevalkit.version(), "tree": vlmevalkit.tree_hash()},
        "judge": judge.identity if judge else None,
    }


@reported()
def main(
    predictions: Annotated[Path, typer.Option(help="JSON lines of benchmarks.predict")],
    items: Annotated[Path, typer.Option(help="the items folder")],
    variant: Annotated[str, typer.Option(help="the variant's name")],
    benchmarks: Annotated[str, typer.Option(help="names, separated by commas")],
    out: Annotated[Path, typer.Option(help="CSV, one row per question")],
    split: Annotated[str, typer.Option(help="which items")] = "test",
    judge: Annotated[str, typer.Option(help="a judge model as JSON: address, model, ...")] = "",
) -> None:
    """Score predictions."""
    settings = judges.Settings.parse(judge) if judge else None
    asked = item_files.load(items, split, benchmarks)
    answers = matched(asked, prediction_files.read(predictions), predictions)
    model = judges.open_judge(settings, out.with_suffix(".judge.jsonl")) if settings else None
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
