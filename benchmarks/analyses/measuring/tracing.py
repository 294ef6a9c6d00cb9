"""Let a model read questions together with given answers, for analyses of what happens inside.

What was traced is kept line by line under a key of the weights, the analysis' code, the engine, the question
and the answer, so that a run that was cut off goes on.
"""

import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from benchmarks.answering.keys import digest_json
from benchmarks.answering.transformers_engine import TransformersEngine
from benchmarks.questions.item import Item
from frism.distillation.collation import collate
from frism.distillation.teacher import append_answers
from frism.distillation.tower_inputs import move_to
from frism.files import atomic_write
from frism.progress import Progress

if TYPE_CHECKING:
    from PIL.Image import Image

KINDS = ("question", "picture", "answer")
Row = dict[str, Any]


@dataclass(frozen=True)
class Reading:
    """Holds one question with an answer, as a model reads it.

    Attributes:
        inputs: of the model's forward pass, one row. kinds: of every token, a place in KINDS: (tokens,).
        answer: the tokens of the answer and the one that ends it: (n,); the last is not among the inputs.
        shows: makes the inputs with other pictures, a row for each list of them: same words, same answer.
    """

    item: Item
    inputs: Mapping[str, Tensor]
    kinds: Tensor
    answer: Tensor
    shows: "Callable[[Sequence[Sequence[Image]]], Mapping[str, Tensor]]"

    @property
    def speaking(self) -> Tensor:
        """Return which tokens an answer's token is said at, the question's last and all of the answer."""
        chosen = torch.zeros(len(self.kinds), dtype=torch.bool)
        chosen[len(chosen) - len(self.answer) :] = True
        return chosen


def make_reading(engine: TransformersEngine, item: Item, answer: str) -> Reading:
    """Make the inputs of a question and an answer; the answer's last token is what nothing follows.

    An answer of no token leaves the prompt alone.
    """
    prompt = engine.preparer.process(item)
    end = sorted(engine.ends)[:1]
    ids = engine.processor.tokenizer(answer, add_special_tokens=False).input_ids + end
    answers = torch.tensor([ids], dtype=torch.long)
    whole = _append(engine, [prompt], answers)
    tokens = whole["input_ids"][0]
    kinds = torch.zeros_like(tokens)
    kinds[tokens == getattr(engine.model.config, "image_token_id", None)] = KINDS.index("picture")
    kinds[prompt["input_ids"].shape[1] :] = KINDS.index("answer")
    shows = partial(_show, engine, item, answers)
    return Reading(item, whole, kinds.cpu(), answers[0], shows)


def _show(
    engine: TransformersEngine, item: Item, answers: Tensor, pictures: "Sequence[Sequence[Image]]"
) -> Mapping[str, Tensor]:
    rows = [engine.preparer.process(item, shown) for shown in pictures]
    return _append(engine, rows, answers.expand(len(rows), -1))


def _append(
    engine: TransformersEngine, rows: Sequence[Mapping[str, Tensor]], answers: Tensor
) -> Mapping[str, Tensor]:
    """Make one batch of prompts, each followed by its answer's tokens but the last, where the model is."""
    model, pad = engine.model, engine.processor.tokenizer.pad_token_id or 0
    placed = move_to(collate([dict(row) for row in rows], pad), model.device)
    inputs = {n: v.to(model.dtype) if v.is_floating_point() else v for n, v in placed.items()}
    given = answers.to(model.device)
    return append_answers(inputs, given, torch.ones_like(given).bool(), model.config.model_type)


def run_forward(model: Any, inputs: Mapping[str, Tensor], heads: int, **options: Any) -> Any:
    """Return a forward pass' outputs, without a cache; logits of the last `heads` tokens alone, if it can."""
    if "logits_to_keep" in inspect.signature(model.forward).parameters:
        options["logits_to_keep"] = heads
    return model(**inputs, use_cache=False, **options)


def trace_missing(
    get_engine: Callable[[], TransformersEngine],
    asked: Sequence[tuple[Item, str]],
    trace: Callable[[Sequence[Reading]], list[list[Row]]],
    origin: Mapping[str, Any],
    path: Path,
    at_once: int = 8,
) -> list[Row]:
    """Trace what a file does not hold yet, `at_once` questions at a time; return the rows of all questions.

    The engine is opened only if a question is missing.

    Args:
        asked: questions, each with the answer that is read with it.
        trace: returns rows, by reading.
        origin: what identifies weights, code and engine.
    """
    keys = [digest_json([origin, item.content, answer])[:16] for item, answer in asked]
    done = {key: rows for key, rows in _read_lines(path) if key in set(keys)}
    with atomic_write(path) as temporary:
        temporary.write_text("".join(json.dumps([key, rows]) + "\n" for key, rows in done.items()))
    missing = [(key, *pair) for key, pair in zip(keys, asked, strict=True) if key not in done]
    with (
        path.open("a", encoding="utf-8") as stream,
        Progress("traces", len(keys), "questions", len(done)) as progress,
    ):
        for first in range(0, len(missing), at_once):
            part = missing[first : first + at_once]
            readings = [make_reading(get_engine(), item, answer) for _, item, answer in part]
            for (key, item, _), rows in zip(part, trace(readings), strict=True):
                told = {"benchmark": item.benchmark, "index": item.index, "cluster": item.cluster}
                done[key] = [told | row for row in rows]
                stream.write(json.dumps([key, done[key]]) + "\n")
            stream.flush()
            progress.advance(len(part))
    return [row for key in keys for row in done[key]]


def _read_lines(path: Path) -> Iterator[tuple[str, list[Row]]]:
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8").split("\n")[:-1]:  # behind the last: nothing, or a cut line
        key, rows = json.loads(line)
        yield key, rows
