"""Measure how far our scores agree with reference judgements of recorded outputs, source by source.

python -m benchmarks.tools.agreement OUTPUTS --mirror MIRROR --out agreement
writes agreement.csv (agreement and Cohen's kappa with the reference of our scores, of VLMEvalKit's or
lm-eval's own rules, and of math-verify on the raw text), models.csv (the same model by model),
disagreements.csv (an output a line), faults.csv (these counted) and agreement.md.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from benchmarks.scoring import answer_csv, extraction
from benchmarks.stages.command import begin
from benchmarks.tools.agreement.disagreements import COLUMNS as LISTED
from benchmarks.tools.agreement.disagreements import count_faults, list_disagreements
from benchmarks.tools.agreement.picture_scores import score_pictures
from benchmarks.tools.agreement.readers import COLUMNS, compare_readers
from benchmarks.tools.agreement.recorded_outputs import RecordedSource, choose_sources, list_sources
from benchmarks.tools.agreement.references import complete_references, verify_raw
from benchmarks.tools.agreement.report import write_report
from benchmarks.tools.agreement.text_scores import score_texts
from frism.errors import report_errors
from frism.files import atomic_write

Tables = dict[str, pd.DataFrame]


def measure(sources: Iterable[RecordedSource], mirror: Path | None) -> Tables:
    """Score all sources and return agreement, models, disagreements and faults.

    Raises UserError for outputs that cannot be read or belong to other questions.
    """
    rows: list[dict[str, object]] = []
    models: list[dict[str, object]] = []
    parts = [pd.DataFrame(columns=LISTED)]
    for source in sources:
        table = score_pictures(source) if source.table else score_texts(source, mirror)
        table = complete_references(table)
        table["by_math_verify"] = verify_raw(table)
        rows += compare_readers(source.name, table)
        for model, part in table.groupby("model", sort=False):
            models += [{"model": model, **row} for row in compare_readers(source.name, part)]
        if len(listed := list_disagreements(source.name, table)):
            parts.append(listed)
    disagreements = pd.concat(parts[1:] or parts, ignore_index=True)
    return {
        "agreement": pd.DataFrame(rows, columns=COLUMNS),
        "models": pd.DataFrame(models, columns=["model", *COLUMNS]),
        "disagreements": disagreements,
        "faults": count_faults(disagreements),
    }


@report_errors()
def main(
    outputs: Annotated[
        Path, typer.Argument(help="folder with NAME.outputs.jsonl and, beside each, its questions")
    ],
    out: Annotated[Path, typer.Option(help="folder for the tables")],
    mirror: Annotated[
        Path | None,
        typer.Option(help="folder that stands for the hub: OWNER/NAME a data set, for text sources"),
    ] = None,
    sources: Annotated[str, typer.Option(help="names, separated by commas; all if not given")] = "",
) -> None:
    """Measure agreement with recorded reference judgements.

    NAME.outputs.jsonl holds a line per output, with these fields:

    - model: who said it

    - index: of the question

    - raw: the whole text

    - reference_correct: true or false; or null: then the JSON field "answer" in the text is compared

    - reference_extracted: what the reference read; "" where it read nothing or does not say

    The questions are NAME.tsv in VLMEvalKit's columns (scored by that benchmark's metric, or as multiple
    choice where NAME is unknown), or NAME.questions.jsonl with index, problem and answer (scored as
    MATH-500); without either, NAME is a text benchmark such as gsm8k and index the row of its data set in
    the mirror.

    Written are agreement.csv, models.csv, disagreements.csv, faults.csv and agreement.md.
    """
    begin("agreement")
    chosen = choose_sources(
        list_sources(outputs), [name.strip() for name in sources.split(",") if name.strip()]
    )
    tables = measure(chosen, mirror)
    report = write_report(tables["agreement"], tables["faults"], extraction.VERSION)
    for name, table in tables.items():
        answer_csv.write_csv(table, out / f"{name}.csv")
    with atomic_write(out / "agreement.md") as temporary:
        temporary.write_text(report, encoding="utf-8")
    print(report)


if __name__ == "__main__":
    typer.run(main)
