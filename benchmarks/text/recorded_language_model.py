"""Replay recorded answers as lm-eval's model: what a model said elsewhere, scored as if it were asked here."""

from collections.abc import Mapping, Sequence
from typing import Any

from lm_eval.api.model import LM

from benchmarks.answering.predictions import StoredPrediction
from benchmarks.text.generated_task import GeneratedTask


class RecordedLM(LM):
    """Answers from a record; the task must ask what the record holds, and nothing else.

    Args:
        task: asks about `raws`' questions alone: its `positions` are set here.
        raws: recorded texts by the question's position in the data set.

    Attributes:
        lines: every answer as a stored prediction, by (benchmark, index); its length is not known.
    """

    tokenizer_name = "recorded"

    def __init__(self, task: GeneratedTask, raws: Mapping[int, str]) -> None:
        super().__init__()
        task.choose(sorted(raws))
        self.lines: dict[tuple[str, str], StoredPrediction] = {}
        self._raws, self._task = raws, task

    def apply_chat_template(self, chat_history: list[dict[str, str]], *_: Any, **__: Any) -> str:
        """Return the question: nobody reads it."""
        return chat_history[-1]["content"]

    def generate_until(self, requests: Sequence[Any]) -> list[str]:
        """Return the recorded text of every request."""
        name, texts = self._task.definition.name, []
        for request in requests:
            raw = self._raws[self._task.positions[request.doc_id]]
            index = self._task.index(request.doc_id)
            self.lines[name, index] = StoredPrediction("", name, index, "", raw, 0, False, 0.0)
            texts.append(raw)
        return texts

    def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
        """Refuse: `benchmarks.text.generated_task` turns every task into one that generates."""
        raise NotImplementedError

    loglikelihood_rolling = loglikelihood
