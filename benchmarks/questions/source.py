"""Get a benchmark's questions: from the miniature world, or from a published TSV in the data folder."""

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
    """Give the questions of one benchmark, split by split; log where a split is shorter than asked for."""

    def __init__(
        self,
        definition: Definition,
        folder: Path,
        splits: Mapping[str, Size],
        seed: int,
        data: str | Path | None,
        family: Family | None,
        tolerant: bool = False,
    ) -> None:
        self.definition, self.folder, self.seed, self.family = definition, folder, seed, family
        self.file: tsv_files.TsvFile | None = None
        if definition.source.tsv is not None:
            self.file = tsv_files.check(definition, tsv_files.locate(definition, data))
            self.published = published.PublishedTable(definition, self.file.path, folder, tolerant)
            name = tsv_files.get_published_name(definition)
            indices, clusters = self.published.indices, self.published.clusters
            self.rows_by_split = drawing.draw(definition, name, indices, clusters, splits, seed)
            for split, rows in self.rows_by_split.items():
                if splits[split] not in ("all", len(rows)):
                    counts = (definition.name, len(rows), split, splits[split])
                    log.info("%s: %d questions on %s, %s asked for", *counts)
        elif definition.source.miniature is None:
            raise UserError(f"benchmark {definition.name} has no pictures: name it under `text`.")

    def questions(self, split: str, n: Size) -> list[published.Question]:
        """Write a split's pictures and table; return its questions, none when there is no such split."""
        if self.file is not None:
            rows = self.rows_by_split.get(split)
            return self.published.write(split, rows, self.family) if rows else []
        from benchmarks.questions import miniature

        if n == "all":
            raise UserError(
                f"{self.definition.name} is generated on the fly: set questions.{split} to a number, not"
                " `all`."
            )
        miniature.write_tsv(
            self.definition, split, n, self.seed, self.folder / split / f"{self.definition.dataset}.tsv"
        )
        dataset = loading.build_dataset(self.definition, self.folder / split)
        return [
            published.Question(
                str(line["index"]),
                write_message(self.family, dataset, line) if self.family else dataset.build_prompt(line),
                str(line["answer"]),
                "",
            )
            for line in (dataset.data.iloc[position] for position in range(len(dataset.data)))
        ]
