"""Score recorded outputs to text questions as a study would: lm-eval's task, our extractor, its metric."""

import json
import tempfile
from pathlib import Path

import pandas as pd

from benchmarks.registry.lookup import find
from benchmarks.text.ask import evaluate_tasks, make_tasks
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
    from benchmarks.text.recorded_language_model import RecordedLM

    with tempfile.TemporaryDirectory(prefix="agreement-") as temporary:
        name, row_by_index = source.name, {index: index for index in source.rows["index"]}
        if source.questions is not None:
            name, mirror = MATH, Path(temporary)
            row_by_index = _write_problems(source.questions, mirror / _MATH_DATA)
        definition = find({"name": name, "kind": "lm_eval", "axis": "text"})
        tasks = make_tasks([definition], None, 0, mirror)
        (task,) = tasks.values()
        rows_there = {str(position) for position in task.positions}
        if strange := [i for i in source.rows["index"] if row_by_index.get(i) not in rows_there]:
            raise UserError(f"{source.outputs}: {name} has no question {strange[0]}: use its own questions.")
        models, parts = source.rows.groupby("model", sort=False), []
        with Progress(source.name, models.ngroups, "models") as progress:
            for model, rows in models:
                raws = {int(row_by_index[i]): raw for i, raw in zip(rows["index"], rows["raw"], strict=True)}
                scores = evaluate_tasks(str(model), tasks, RecordedLM(task, raws)).assign(kind=task.answers)
                scores = scores[["index", "kind", "answer", "extracted", "rule", "correct", "correct_raw"]]
                rows = rows.assign(row=rows["index"].map(row_by_index))
                parts.append(
                    rows.merge(scores.rename(columns={"index": "row"}), on="row", validate="one_to_one")
                )
                progress.advance()
    return pd.concat(parts, ignore_index=True).drop(columns="row")


def _write_problems(questions: Path, path: Path) -> dict[str, str]:
    """Write problems as MATH-500 has them; return the row of each index."""
    problems = [json.loads(line) for line in questions.read_text(encoding="utf-8").splitlines()]
    path.parent.mkdir(parents=True)
    lines = [
        json.dumps({**problem, "solution": f"\\boxed{{{problem['answer']}}}"}, ensure_ascii=False)
        for problem in problems
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {str(problem["index"]): str(row) for row, problem in enumerate(problems)}
