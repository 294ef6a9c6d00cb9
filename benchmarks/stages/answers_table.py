"""Write one tidy table of every answer: a row per variant and question (and sample), as parquet and CSV.

python -m benchmarks.stages.answers_table --study results/miniature/study.json
writes questions.parquet and questions.csv. It joins what scoring (scores/, text/) and generation (seconds)
left; a variant at a time, so that memory does not grow with the number of variants.
"""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import typer

from benchmarks.scoring.answer_csv import QUOTED
from benchmarks.stages.command import StudyFile, begin
from benchmarks.study.config import PARENTS, StudyConfig
from benchmarks.study.results import read_table
from frism.errors import UserError, report_errors
from frism.files import atomic_write

log = logging.getLogger("benchmarks.stages.answers_table")
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("variant", "benchmark", "axis", "group", "index", "cluster")),
        *((name, pa.string()) for name in ("answer", "raw", "extracted", "rule")),
        *((name, pa.float64()) for name in ("correct", "correct_raw", "correct_judge")),
        *((name, pa.bool_()) for name in ("truncated", "repeated")),
        ("tokens", pa.int64()),
        ("seconds", pa.float64()),
    ]
)
KEYS = ["benchmark", "index"]
# Beside the index, where questions were answered by several samples; `vote`: the first that says the same.
SAMPLED = [("sample", pa.int64()), ("vote", pa.int64())]
ALWAYS = ["benchmark", "index", "answer", "raw", "extracted", "correct", "truncated", "tokens"]
DTYPES = {"string": "str", "double": "float64", "bool": "boolean", "int64": "Int64"}


def make_schema(study: StudyConfig) -> pa.Schema:
    """Make the schema of a study's answers: SCHEMA, and the number of a sample where there are several."""
    if study.engine.sampling is None:
        return SCHEMA
    fields = list(SCHEMA)
    place = SCHEMA.get_field_index("index") + 1
    return pa.schema([*fields[:place], *(pa.field(*field) for field in SAMPLED), *fields[place:]])


def iterate_rows(results: Path, study: StudyConfig) -> Iterator[pd.DataFrame]:
    """Yield frames with the columns of `make_schema`: every variant's test answers, then every text answer.

    A text answer has the axis `text`; what its scoring does not know (a raw score) is missing.
    Raises UserError for a missing or broken file, or for times that belong to other questions.
    """
    schema = make_schema(study)
    for variant in study.variants:
        frame = _read(results / "scores" / f"{variant}.csv", study.benchmark_names)
        yield _convert_types(frame.assign(variant=variant), schema)
    asked = study.variants if study.text_of == "all" else ()
    owners = [*asked, *(p for p in PARENTS if p not in study.variants)]
    for owner in owners if study.text else []:
        path = results / "text" / f"{owner}.csv"
        if owner in study.variants or path.exists():
            yield _convert_types(
                _read(path, study.text_names).assign(variant=owner, axis="text", group="text"), schema
            )


def write_answers(results: Path, study: StudyConfig, out: Path) -> int:
    """Write questions.parquet and questions.csv into the folder `out`; return the number of rows."""
    total, schema = 0, make_schema(study)
    with (
        atomic_write(out / "questions.parquet") as parquet,
        atomic_write(out / "questions.csv") as table,
        pq.ParquetWriter(parquet, schema, compression="zstd") as writer,
        table.open("w", encoding="utf-8", newline="") as stream,
    ):
        for frame in iterate_rows(results, study):
            writer.write_table(pa.Table.from_pandas(frame, schema=schema, preserve_index=False))
            frame.to_csv(stream, header=total == 0, **QUOTED)
            total += len(frame)
    return total


def _read(path: Path, benchmarks: list[str]) -> pd.DataFrame:
    frame = read_table(path)
    missing = [c for c in ALWAYS if c not in frame.columns]
    if missing:
        raise UserError(f"{path} lacks the column {missing[0]}: delete it and run again.")
    frame, costs = frame[frame["benchmark"].isin(benchmarks)], path.with_suffix(".cost.csv")
    if not costs.exists():
        return frame
    keys = [*KEYS, "sample"] if "sample" in frame else KEYS
    seconds = read_table(costs).reindex(columns=[*keys, "seconds"]).drop_duplicates(keys)
    untimed = frame.drop(columns="seconds", errors="ignore")
    timed = untimed.merge(seconds, how="left", on=keys, indicator="found")
    if (timed["found"] != "both").any():
        raise UserError(f"{costs} and {path} hold different questions: delete both and score again.")
    return timed


def _convert_types(frame: pd.DataFrame, schema: pa.Schema) -> pd.DataFrame:
    whole = frame.reindex(columns=schema.names)
    typed = whole.astype({field.name: DTYPES[str(field.type)] for field in schema})
    return typed.assign(raw=typed["raw"].fillna(""))


@report_errors()
def main(
    study: StudyFile,
    out: Annotated[Path | None, typer.Option(help="folder; default: beside the record")] = None,
) -> None:
    """Write the table of all answers."""
    begin("answers")
    count = write_answers(study.parent, StudyConfig.read(study), out or study.parent)
    log.info("%d rows", count)


if __name__ == "__main__":
    typer.run(main)
