"""Where a benchmark's questions come from: the miniature world, or a published TSV in the data folder."""

import logging
from collections.abc import Mapping
from pathlib import Path

from benchmarks.prompting.families import Family
from benchmarks.prompting.vlmevalkit_models import write_message
from benchmarks.questions import drawing, published, tsv_files
from benchmarks.questions.drawing import Size
from benchmarks.registry.definition import Definition
from benchmarks.vlmevalkit import loading
from frism.errors import UserError

log = logging.getLogger(__name__)


class QuestionSource:
    """Where a benchmark's questions come from: the miniature world, or a TSV in the data folder."""

    def __init__(
        self,
        definition: Definition,
        folder: Path,
        splits: Mapping[str, Size],
        seed: int,
        data: str | Path | None,
        family: Family | None,
    ) -> None:
        self.definition, self.folder, self.seed, self.family = definition, folder, seed, family
        self.file: tsv_files.File | None = None
        if definition.source.tsv is not None:
            self.file = tsv_files.check(definition, tsv_files.locate(definition, data))
            self.published = published.Published(definition, self.file.path, folder)
            own = self.published
            table = tsv_files.published_name(definition)
            self.drawn = drawing.draw(definition, table, own.indices, own.clusters, splits, seed)
            for split, rows in self.drawn.items():
                if splits[split] not in ("all", len(rows)):
                    counts = (definition.name, len(rows), split, splits[split])
                    log.info("%s: %d questions on %s, %s asked for", *counts)
        elif definition.source.miniature is None:
            raise UserError(f"benchmark {definition.name} has no pictures: name it under `text`.")

    def questions(self, split: str, n: Size) -> list[published.Question]:
        """The questions of a split, their pictures and table on disk; none when it has no such split."""
        if self.file is not None:
            chosen = self.drawn.get(split)
            return self.published.write(split, chosen, self.family) if chosen else []
        from benchmarks.questions import miniature

        if n == "all":
            raise UserError(
                f"{self.definition.name} has no end of questions: give a number for split '{split}'."
            )
        miniature.write_tsv(
            self.definition, split, n, self.seed, self.folder / split / f"{self.definition.dataset}.tsv"
        )
        dataset = loading.build(self.definition, self.folder / split)
        return [
            published.Question(
                str(line["index"]),
                write_message(self.family, dataset, line) if self.family else dataset.build_prompt(line),
                str(line["answer"]),
                "",
            )
            for line in (dataset.data.iloc[position] for position in range(len(dataset.data)))
        ]
