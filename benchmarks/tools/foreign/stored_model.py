"""Answer lm-eval's requests with stored predictions alone."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchmarks.answering.predictions import StoredPrediction
from benchmarks.text.generating_model import GeneratingLM

if TYPE_CHECKING:
    from benchmarks.text.generated_task import GeneratedTask


class StoredModel(GeneratingLM):
    """Stands for a model that has answered already.

    Attributes:
        lines: the stored prediction of every question, by (benchmark, index).
    """

    def __init__(self, tasks: "Mapping[str, GeneratedTask]", stored: Sequence[StoredPrediction]) -> None:
        super().__init__()
        self._tasks = tasks
        self.lines = {(line.benchmark, line.index): line for line in stored}

    def generate_until(self, requests: Sequence[Any]) -> list[str]:
        """Return the stored answer to every request."""
        tasks = [self._tasks[request.task_name] for request in requests]
        return [
            self.lines[task.definition.name, task.index(request.doc_id)].raw
            for task, request in zip(tasks, requests, strict=True)
        ]
