"""Score recorded outputs to text questions as a study would: lm-eval's task, our extractor, its metric."""

import json
import logging
import tempfile
from pathlib import Path

import pandas as pd

from benchmarks.answering.predictions import StoredPrediction
from benchmarks.registry.lookup import find
from benchmarks.text.ask import score_with
from benchmarks.text.tasks import make_tasks
from benchmarks.tools.agreement.recorded_outputs import RecordedSource
from frism.errors import UserError
from frism.progress import Progress

MATH = "math_500"  # whose prompt, gold answers and metric a source with problems of its own takes
_MATH_DATA = Path("HuggingFaceH4/MATH-500/test.jsonl")


def score_texts(source: RecordedSource, mirror: Path | None) -> pd.DataFrame:
    """Score every output of a source of text questions, by the lm-eval task of its name.

    A source with a questions file is asked as MATH-500; else `index` is the question's row in the data set.
    Returns as `score_pictures`; `correct_raw` is by what lm-eval's first pattern reads from the raw text.

    Raises UserError when the data set is not in the mirror, or has no such row.
    """
    from benchmarks.tools.foreign.stored_model import StoredModel

    if mirror is None and source.questions is None:
        raise UserError(
            f"{source.outputs} has neither {source.name}.tsv nor {source.name}.questions.jsonl beside it, so"
            " its questions come from a data set: name the folder that stands for the hub with --mirror."
        )
    if mirror is not None and not mirror.is_dir():
        raise UserError(f"there is no folder {mirror}: name the one that stands for the hub with --mirror.")
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="agreement-") as temporary:
        name, row_by_index = source.name, {index: index for index in source.rows["index"]}
        if source.questions is not None:
            name, mirror = MATH, Path(temporary)
            row_by_index = _write_problems(source, mirror / _MATH_DATA)
        tasks = make_tasks([find({"name": name, "kind": "lm_eval", "axis": "text"})], None, 0, mirror)
        (task,) = tasks.values()
        row_of = {index: row for row, index in enumerate(map(str, task.positions))}
        if strange := [i for i in source.rows["index"] if row_by_index.get(i) not in row_of]:
            where = source.questions or f"{name}, with {len(row_of):,} rows from 0,"
            raise UserError(f"{source.outputs}: {where} has no question {strange[0]}: use its own questions.")
        task.keep(sorted({row_of[row_by_index[index]] for index in source.rows["index"]}))
        models, parts = source.rows.groupby("model", sort=False), []
        with Progress(source.name, models.ngroups, "models") as progress:
            for model, rows in models:
                rows = rows.assign(row=rows["index"].map(row_by_index))
                said = dict(zip(rows["row"], rows["raw"], strict=True))
                stored = [
                    StoredPrediction("", name, str(row), "", said.get(str(row), ""), None, None, None)
                    for row in task.positions
                ]
                table = score_with(str(model), tasks, StoredModel(tasks, stored), chat=False)
                table = table[["index", "answer", "extracted", "rule", "correct", "correct_raw"]]
                table = table.rename(columns={"index": "row"}).assign(
                    kind=task.answers, options=pd.Series([{} for _ in table.index], dtype=object)
                )
                parts.append(rows.merge(table, on="row", validate="one_to_one"))
                progress.advance()
    return pd.concat(parts, ignore_index=True).drop(columns="row")


def _write_problems(source: RecordedSource, path: Path) -> dict[str, str]:
    """Write problems as MATH-500 has them; return each index's row. Raises UserError for an index twice."""
    path.parent.mkdir(parents=True)
    lines = [
        json.dumps({**problem.model_dump(), "solution": f"\\boxed{{{problem.answer}}}"}, ensure_ascii=False)
        for problem in source.problems
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    rows = {problem.index: str(row) for row, problem in enumerate(source.problems)}
    if len(rows) < len(lines):
        raise UserError(f"{source.questions} has an index twice: give every problem its own.")
    return rows
