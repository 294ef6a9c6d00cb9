"""Measure how far our scores agree with reference judgements of recorded outputs, source by source.

python -m benchmarks.tools.agreement ../shared/data/real_outputs --mirror ../shared/data/mirror --out FOLDER
writes agreement.csv and agreement.md (agreement and Cohen's kappa with the reference of our scores, of
VLMEvalKit's or lm-eval's own rules, and of math-verify on the raw text) and disagreements.csv, an output a
line.
"""

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from benchmarks.scoring import answer_csv, extraction
from benchmarks.scoring.agreement import measure_agreement
from benchmarks.tools.agreement.picture_scores import score_pictures
from benchmarks.tools.agreement.recorded_outputs import list_sources
from benchmarks.tools.agreement.references import complete_references, verify_raw
from benchmarks.tools.agreement.text_scores import score_texts
from frism.errors import report_errors
from frism.files import atomic_write

READERS = {"ours": "correct", "stock": "correct_raw", "math_verify": "by_math_verify"}
COLUMNS = ["source", "reference", "n", "reference_right"] + [
    f"{reader}_{figure}" for reader in READERS for figure in ("right", "agreement", "kappa")
]
_DISAGREEMENTS = ["source", "model", "index", "kind", "fault", "rule", "answer", "extracted",
                  "reference_extracted", "reference_correct", "correct", "correct_raw", "raw"]  # fmt: skip


def compare_readers(name: str, table: pd.DataFrame) -> list[dict[str, object]]:
    """Return a row (COLUMNS) for a source, and one for its strict reference where that differs.

    `table`: as `score_pictures` returns it, with references completed.
    """
    rows = []
    for label, column in (("as published", "reference_correct"), ("strict", "strict")):
        reference = table[column].astype(float)
        if column == "strict" and (reference == table["reference_correct"].astype(float)).all():
            continue
        row: dict[str, object] = {
            "source": name, "reference": label, "n": len(table), "reference_right": float(reference.mean()),
        }  # fmt: skip
        for reader, scores in READERS.items():
            result = measure_agreement(table[scores].astype(float), reference)
            if result.n:
                row |= {
                    f"{reader}_right": (result.both_right + result.rule_only) / result.n,
                    f"{reader}_agreement": result.agreement,
                    f"{reader}_kappa": result.kappa[0],
                }
        rows.append(row)
    return rows


def list_disagreements(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """List the outputs that we and the reference judge differently, with the kind of fault it may be."""
    ours, reference = table["correct"] >= 0.5, table["reference_correct"].astype(bool)
    differing = table[ours != reference].assign(source=name)
    faults = [
        "gives" if correct >= 0.5 else "unread" if pd.isna(extracted) else "loses"
        for correct, extracted in zip(differing["correct"], differing["extracted"], strict=True)
    ]
    worse = (differing["correct_raw"] >= 0.5) & differing["reference_correct"].astype(bool)
    faults = ["stock right" if w else fault for w, fault in zip(worse, faults, strict=True)]
    return differing.assign(fault=faults)[_DISAGREEMENTS]


def write_markdown(table: pd.DataFrame) -> str:
    """Write the table of sources: a reader's cell is share judged right, agreement and kappa."""
    lines = [
        "| source | reference | n | reference right | ours: right, agreement, kappa | stock "
        "| math-verify on the raw text |",
        "|---|---|---|---|---|---|---|",
    ]
    for _, row in table.iterrows():
        cells = [
            "-" if pd.isna(row.get(f"{reader}_right"))
            else f"{row[f'{reader}_right']:.3f}: {row[f'{reader}_agreement']:.4f}"
            f", {row[f'{reader}_kappa']:.3f}"
            for reader in READERS
        ]  # fmt: skip
        lines.append(
            f"| {row['source']} | {row['reference']} | {row['n']} | {row['reference_right']:.3f} | "
            + " | ".join(cells) + " |"
        )  # fmt: skip
    return "\n".join(lines) + "\n"


@report_errors()
def main(
    outputs: Annotated[Path, typer.Argument(help="folder with NAME.outputs.jsonl and NAME.tsv")],
    out: Annotated[Path, typer.Option(help="folder for the three tables")],
    mirror: Annotated[
        Path | None, typer.Option(help="folder that stands for the hub, for text sources")
    ] = None,
    sources: Annotated[str, typer.Option(help="names, separated by commas; all if not given")] = "",
) -> None:
    """Measure agreement with recorded reference judgements."""
    wanted = {name for name in sources.split(",") if name}
    rows: list[dict[str, object]] = []
    parts: list[pd.DataFrame] = []
    for source in list_sources(outputs):
        if wanted and source.name not in wanted:
            continue
        table = score_pictures(source) if source.table else score_texts(source, mirror)
        table = complete_references(table)
        table["by_math_verify"] = verify_raw(table)
        rows += compare_readers(source.name, table)
        parts.append(list_disagreements(source.name, table))
    result = pd.DataFrame(rows, columns=COLUMNS)
    out.mkdir(parents=True, exist_ok=True)
    answer_csv.write_csv(result, out / "agreement.csv")
    answer_csv.write_csv(pd.concat(parts, ignore_index=True), out / "disagreements.csv")
    text = f"Extractor version {extraction.VERSION}.\n\n{write_markdown(result)}"
    with atomic_write(out / "agreement.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    typer.run(main)
