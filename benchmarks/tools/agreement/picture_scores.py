"""Score recorded outputs to questions on pictures as a study would: items, extractor, VLMEvalKit's metric."""

import tempfile
from pathlib import Path

import pandas as pd

from benchmarks.questions import reading
from benchmarks.questions.writing import write_items
from benchmarks.registry.definition import Definition
from benchmarks.registry.lookup import find, list_prepared
from benchmarks.scoring.expected import describe_answers
from benchmarks.scoring.question_scores import score_answers
from benchmarks.tools.agreement.recorded_outputs import RecordedSource
from frism.errors import UserError
from frism.files import sha256_file
from frism.progress import Progress

COLUMNS = ["index", "kind", "options", "answer", "extracted", "rule", "correct", "correct_raw"]


class RecordedAnswer:
    """A recorded output, as scoring takes a stored prediction; its length in tokens is not known."""

    tokens, truncated, failure = None, None, ""

    def __init__(self, raw: str) -> None:
        self.raw = raw


def score_pictures(source: RecordedSource) -> pd.DataFrame:
    """Score every output of a source.

    Returns its rows with kind, options, answer, extracted, rule, correct (ours) and correct_raw
    (VLMEvalKit's rules on the raw text). A question that a model was not asked counts as unanswered while
    the metric runs, and is left out of the result.

    Raises UserError for an output to a question that the table lacks.
    """
    assert source.table is not None
    definition = _define(source.name, source.table)
    with tempfile.TemporaryDirectory(prefix="agreement-") as temporary:
        write_items(temporary, [definition], {"test": "all"}, data=source.table.parent)
        questions = reading.load_items(Path(temporary), "test", [definition.name])
        items = questions[definition.name]
        expected = describe_answers(definition, items[0].folder / "test")
        known, parts = {item.index for item in items}, []
        if strange := sorted(set(source.rows["index"]) - known):
            raise UserError(
                f"{source.outputs}: {source.table}, with {len(known):,} questions, has no question"
                f" {strange[0]}: use its own table."
            )
        models = source.rows.groupby("model", sort=False)
        with Progress(source.name, models.ngroups, "models") as progress:
            for model, rows in models:
                raws = dict(zip(rows["index"], rows["raw"], strict=True))
                answers = [RecordedAnswer(raws.get(item.index, "")) for item in items]
                scores = score_answers(str(model), questions, {definition.name: answers})
                scores = scores.assign(
                    kind=[e.kind for e in expected],
                    options=pd.Series([e.options for e in expected], dtype=object),
                )
                parts.append(rows.merge(scores[COLUMNS], on="index", validate="one_to_one"))
                progress.advance()
    return pd.concat(parts, ignore_index=True)


def _define(name: str, table: Path) -> Definition:
    """Find the benchmark of a table; one that nobody knows is a set of multiple-choice questions."""
    pinned = {"name": name, "sha256": {"tsv": sha256_file(table)}}
    if name in list_prepared():
        return find(pinned)
    return find({**pinned, "class": "ImageMCQDataset", "axis": "reasoning"})
