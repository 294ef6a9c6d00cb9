"""Import one file of predictions: read, match, store and score it beside others of the same benchmark.

What `OUT/BENCHMARK/` holds is laid out as a study's results folder: items/, predictions/LABEL.jsonl,
scores/LABEL.csv, with the provenance of each; a label with a part of the questions has items_of/LABEL/.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pandas as pd

from benchmarks.answering import keys
from benchmarks.answering.predictions import StoredPrediction
from benchmarks.questions import tsv_files
from benchmarks.questions.item import DEFINITIONS, Item, read_definition
from benchmarks.questions.reading import MANIFEST, load_items
from benchmarks.questions.writing import write_items
from benchmarks.registry.definition import Definition
from benchmarks.scoring.expected import load_dataset
from benchmarks.stages import score
from benchmarks.study.layout import Layout
from benchmarks.study.results import read_run
from benchmarks.tools.foreign import storing, text
from benchmarks.tools.foreign.answer import ForeignFile
from benchmarks.tools.foreign.matching import Matched, Question, match_answers
from benchmarks.tools.foreign.subsets import restrict_items
from frism.errors import UserError
from frism.files import read_json

SPLIT = "test"


@dataclass(frozen=True)
class Imported:
    """Hold what an import did: the file, what was matched, of how many questions, and the scores file."""

    file: ForeignFile
    matched: Matched
    asked: int
    scores: Path

    @property
    def table(self) -> pd.DataFrame:
        """Read the scores, a row per question."""
        return read_run(self.scores)


def import_answers(
    file: ForeignFile,
    definition: Definition,
    label: str,
    out: Path,
    *,
    data: Path | None = None,
    items: Path | None = None,
    subset: bool = False,
    overwrite: bool = False,
) -> Imported:
    """Match a file's answers to a benchmark's questions, store and score them below `out`/<benchmark>.

    Args:
        data: the folder of the benchmark's TSV, or of mirrors of the hub's data sets for a text benchmark.
        items: a study's items folder, whose test questions are meant instead of the whole benchmark's.
        subset: score the questions that both sides have.
        overwrite: replace what the label held of another file.

    Raises UserError for data that are missing, answers that do not match, and a metric that fails; nothing
    is left of an import that fails.
    """
    layout = Layout(out / definition.name)
    predictions = layout.root / "predictions" / f"{label}.jsonl"
    scores = layout.root / "scores" / f"{label}.csv"
    storing.check_free(predictions, file, overwrite)
    if definition.kind == "lm_eval":
        if items is not None:
            raise UserError(f"{definition.name} is a text benchmark, without items: leave --items out.")
        asked: _Asked = text.AskedQuestions(definition, data)
    else:
        asked = _AskedPictures(definition, layout, label, data, items)
    matched = match_answers(file, definition.name, asked.questions, subset)
    origin = storing.describe_import(file, label, definition.name, matched, len(asked.questions))
    new = [p for p in (predictions, keys.get_provenance_path(predictions)) if not p.exists()]
    try:
        contents = asked.restrict(list(matched.answers))
        stored = storing.store_answers(predictions, origin, definition.name, matched.answers, contents)
        asked.score(label, stored, predictions, scores)
    except BaseException:
        storing.discard(new)
        raise
    return Imported(file, matched, len(asked.questions), scores)


class _Asked(Protocol):
    """A benchmark's questions, which answers are matched to and scored on."""

    questions: list[Question]

    def restrict(self, indices: Sequence[str]) -> Mapping[str, str]: ...
    def score(self, label: str, stored: Sequence[StoredPrediction], predictions: Path, out: Path) -> None: ...


class _AskedPictures:
    """Holds the questions of a benchmark with pictures; its items are written on the first import."""

    def __init__(
        self, definition: Definition, layout: Layout, label: str, data: Path | None, items: Path | None
    ) -> None:
        self.name, self.layout, self.label = definition.name, layout, label
        self.whole = items if items is not None else _prepare_items(definition, layout.items(), data)
        self.folder = self.whole
        self.items: Sequence[Item] = load_items(self.whole, SPLIT, [self.name])[self.name]
        table = load_dataset(read_definition(self.items[0]), self.whole / SPLIT).data
        texts = dict(zip(map(str, table["index"]), table["question"], strict=True))
        self.questions = [Question(item.index, str(texts.get(item.index, ""))) for item in self.items]

    def restrict(self, indices: Sequence[str]) -> Mapping[str, str]:
        """Keep the questions of these indices; return the digest of each."""
        if len(indices) < len(self.items):
            self.folder = self.layout.items(self.label)
            restrict_items(self.whole, self.folder, SPLIT, self.name, indices)
        return {item.index: item.content for item in self.items}

    def score(self, label: str, stored: Sequence[StoredPrediction], predictions: Path, out: Path) -> None:
        """Score the stored predictions as a study's stage does."""
        score.run(label, [self.name], predictions, self.folder, out, split=SPLIT)


def _prepare_items(definition: Definition, folder: Path, data: Path | None) -> Path:
    """Write the items of all questions of a benchmark; a folder that holds them is left alone.

    Raises UserError when the folder holds those of another table or definition.
    """
    if definition.source.tsv is None:
        raise UserError(
            f"{definition.name} is made for a study: name the study's questions with"
            " --items results/STUDY/items."
        )
    if not (folder / MANIFEST).is_file():
        write_items(folder, [definition], {SPLIT: "all"}, data=data)
        return folder
    file = tsv_files.check(definition, tsv_files.locate(definition, data)) if data is not None else None
    there = read_json(folder / MANIFEST).get("tsv", {}).get(definition.name, {}).get("sha256")
    pinned = definition.sha256.get("tsv", there)
    resolved = definition.model_dump(mode="json", by_alias=True)
    before = {**read_json(folder / DEFINITIONS).get(definition.name, {}), "sha256": resolved["sha256"]}
    if before != resolved or pinned != there or (file is not None and file.sha256 != there):
        raise UserError(
            f"{folder} holds the questions of another {definition.name} (other data or definition): choose"
            " another --out, or delete the folder."
        )
    return folder
