"""Score foreign answers to a text benchmark: lm-eval asks, the stored answers reply."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.answering.keys import digest_json
from benchmarks.answering.predictions import StoredPrediction
from benchmarks.registry.definition import Definition
from benchmarks.scoring import answer_csv
from benchmarks.text.ask import check_data, describe_provenance, read_target, score_with
from benchmarks.text.tasks import make_tasks
from benchmarks.tools.foreign.matching import Question
from frism.files import write_json

if TYPE_CHECKING:  # lm-eval loads slowly
    from benchmarks.text.generated_task import GeneratedTask


class AskedQuestions:
    """Holds all questions of a text benchmark, task by task.

    Args:
        data: the folder that stands for the hub; None for the hub's cache.

    Raises UserError for data that are missing or not those of the definition.
    """

    def __init__(self, definition: Definition, data: Path | None) -> None:
        self.tasks = make_tasks([definition], None, 0, data)
        self._digests: dict[str, str] = {}
        self.questions = [self._read(task, p) for task in self.tasks.values() for p in _list_positions(task)]

    def _read(self, task: "GeneratedTask", position: int) -> Question:
        index, asked = task.index(position), task.question(position)
        self._digests[index] = digest_json([task.definition.name, index, asked, read_target(task, position)])
        return Question(index, asked)

    def restrict(self, indices: Sequence[str]) -> Mapping[str, str]:
        """Keep the questions of these indices; return the digest of each."""
        wanted = set(indices)
        if len(wanted) < len(self.questions):
            for task in self.tasks.values():
                task.keep([p for p in _list_positions(task) if task.index(p) in wanted])
            self.tasks = {name: task for name, task in self.tasks.items() if task.positions}
        return {index: digest[:16] for index, digest in self._digests.items()}

    def score(self, label: str, stored: Sequence[StoredPrediction], predictions: Path, out: Path) -> None:
        """Score the stored predictions as the text stage of a study does; their axis is `text`."""
        from benchmarks.tools.foreign.stored_model import StoredModel

        digests = check_data(self.tasks)
        logging.getLogger("lm_eval").setLevel(logging.ERROR)
        table = score_with(label, self.tasks, StoredModel(self.tasks, stored), chat=False)
        place = list(table.columns).index("benchmark") + 1
        table.insert(place, "axis", "text")
        table.insert(place + 1, "group", "text")
        provenance = describe_provenance(self.tasks, digests, predictions)
        answer_csv.write_csv(
            table[["variant", "benchmark", "index", "tokens", "seconds"]], out.with_suffix(".cost.csv")
        )
        write_json(out.with_suffix(".provenance.json"), provenance)
        answer_csv.write_csv(table.drop(columns="seconds"), out)


def _list_positions(task: "GeneratedTask") -> range:
    return range(len(task.positions))
