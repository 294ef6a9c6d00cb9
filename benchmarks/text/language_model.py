"""Run a language tower as lm-eval's model: its HFLM on weights in memory, our decoding loop, a journal.

lm-eval's own cache returns one model's answers for another; the journal's keys cover the weights, the prompt,
the decoding and the batch, so a run that was killed goes on, and what changed in any of them is asked again.
"""

import logging
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from lm_eval.models.huggingface import HFLM

from benchmarks.answering import keys, predictions
from benchmarks.answering.batching import Batch, make_batches
from benchmarks.answering.decoding import decode
from benchmarks.answering.failures import Tolerance
from benchmarks.answering.partner import Partner
from benchmarks.answering.positions import check_length, read_positions
from benchmarks.answering.predictions import Prediction
from benchmarks.answering.sampling import list_samples, make_seed
from benchmarks.answering.thoughts import Thoughts
from benchmarks.answering.token_sampler import TokenSampler
from benchmarks.questions.item import Item
from benchmarks.questions.unanswerable import UnanswerableError
from benchmarks.study.engine_settings import EngineSettings
from benchmarks.study.sampling_settings import SamplingSettings
from benchmarks.text.chat import Chat
from benchmarks.text.generating_model import GeneratingLM
from frism.errors import UserError
from frism.progress import Progress

log = logging.getLogger(__name__)
VERSION = 1  # raised when the same model may give other answers
SPLIT = "test"


class Tower(Protocol):
    """Answers prompts that are written already: `TowerLM`, or `EngineTower`."""

    max_length: int

    def tok_encode(self, text: str) -> list[int]:
        """Return the ids of a prompt."""

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """Answer lm-eval's requests."""

    def expect(self, prompt: str, seed: int) -> None:
        """Announce the seed of the next request with this prompt."""

    def take_length(self, prompt: str) -> tuple[int, bool]:
        """Take the tokens of the next answer to `prompt`, without the end token, and whether it was cut."""


class TowerLM(HFLM):
    """Answers with weights that are loaded already; it drops finished rows and records every length.

    Args:
        model: a causal language model, or a VLM, which answers text with its language tower alone.
        ends: ids of the tokens at which an answer ends.
        thoughts: which special tokens an answer keeps.
        sampling: how tokens are drawn; every request's seed is then announced by `expect`. None: greedily.
        thinking_budget: tokens after which a thought is ended; None: it is not.
        partner: another model, with whose predictions this one's are mixed.
        options: HFLM's, such as tokenizer and batch_size.
    """

    def __init__(
        self,
        model: Any,
        ends: frozenset[int],
        thoughts: Thoughts | None = None,
        sampling: SamplingSettings | None = None,
        thinking_budget: int | None = None,
        partner: Partner | None = None,
        **options: Any,
    ) -> None:
        # Of a VLM, lm-eval would take the tokenizer's limit or 2048, and cut longer prompts without a word.
        positions = read_positions(model.config)
        super().__init__(pretrained=model, **({"max_length": positions} if positions else {}), **options)
        thoughts = thoughts or Thoughts()
        self.ends, self._decoder = ends, thoughts.wrap(self.tokenizer)
        self._interruption = thoughts.limit(self.tokenizer, thinking_budget)
        self.sampling, self._partner = sampling, partner
        # By prompt, in the order of its requests, which lm-eval keeps among equal prompts.
        self._lengths: dict[tuple[int, ...], deque[tuple[int, bool]]] = defaultdict(deque)
        self._seeds: dict[tuple[int, ...], deque[int]] = defaultdict(deque)

    def expect(self, prompt: str, seed: int) -> None:
        """Announce the seed of the next request with this prompt."""
        self._seeds[tuple(self.tok_encode(prompt))].append(seed)

    def take_length(self, prompt: str) -> tuple[int, bool]:
        """Take the tokens of the next answer to `prompt`, without the end token, and whether it was cut."""
        return self._lengths[tuple(self.tok_encode(prompt))].popleft()

    def tok_decode(self, tokens: Any, skip_special_tokens: bool = True) -> Any:
        """Decode tokens, with the tags of thoughts."""
        return self._decoder.decode(tokens, skip_special_tokens=skip_special_tokens)

    def _model_generate(
        self, context: torch.Tensor, max_length: int, stop: list[str], **options: Any
    ) -> torch.Tensor:
        mask = options["attention_mask"]
        prompts = [tuple(ids[keep].tolist()) for ids, keep in zip(context, mask.bool(), strict=True)]
        seeds = [self._seeds[prompt].popleft() for prompt in prompts] if self.sampling else None
        rows = self._within_memory(context, mask, max_length - context.shape[1], seeds)
        longest = max(map(len, rows))
        for prompt, row in zip(prompts, rows, strict=True):
            ended = row[-1] in self.ends
            self._lengths[prompt].append((len(row) - ended, not ended))
        padded = [row + [self.tokenizer.eos_token_id] * (longest - len(row)) for row in rows]
        return torch.cat([context, torch.tensor(padded, device=context.device)], dim=1)

    def _within_memory(
        self, ids: torch.Tensor, mask: torch.Tensor, room: int, seeds: Sequence[int] | None
    ) -> list[list[int]]:
        """Generate the new tokens of every row; a batch too large for the memory is halved."""
        try:
            inputs = {"input_ids": ids, "attention_mask": mask}
            drawn: dict[str, Any] = {}
            if self.sampling is not None and seeds is not None:
                first, prompts = _find_distinct(ids)  # a prompt is read once for all of its samples
                inputs = {name: tensor[first] for name, tensor in inputs.items()}
                drawn = {"prompts": prompts, "sampler": TokenSampler(self.sampling, seeds, room)}
            return decode(
                self.model,
                inputs,
                max_new_tokens=[room] * len(ids),
                ends=self.ends,
                interruption=self._interruption,
                partner=self._partner,
                **drawn,
            )
        except torch.OutOfMemoryError:
            if len(ids) == 1:
                raise UserError(
                    f"a prompt of {ids.shape[1]} tokens and {room} new ones need more memory than"
                    f" {ids.device} has: lower the benchmark's max_new_tokens."
                ) from None
        # Outside the handler: the traceback keeps the failed attempt's tensors alive.
        torch.cuda.empty_cache()
        half = len(ids) // 2
        parts = [slice(half), slice(half, None)]
        return [
            row
            for part in parts
            for row in self._within_memory(ids[part], mask[part], room, seeds[part] if seeds else None)
        ]


class JournalledLM(GeneratingLM):
    """Answers lm-eval from a journal, and with the model where the journal lacks an answer.

    Args:
        chat: the tokenizer and its template.
        load: makes the `Tower`; called when the first answer is missing, and not otherwise.
        settings: how many prompts at once.
        origin: what identifies the weights. fingerprint: what else decides which tokens come out.
        journal: JSON lines, appended to after every batch; their provenance is written beside them.
        names: (lm-eval's task, position of the question) to (benchmark, index, gold answer).

    Attributes:
        sample: which of several samples lm-eval gets; all are drawn at once. None: the one greedy answer.
        lines: after a run, the stored prediction of every question, by (benchmark, index).
    """

    def __init__(
        self,
        chat: Chat,
        load: Callable[[], Tower],
        settings: EngineSettings,
        origin: Mapping[str, Any],
        fingerprint: Mapping[str, Any],
        journal: Path,
        names: Callable[[str, int], tuple[str, str, str]],
    ) -> None:
        super().__init__()
        self.tokenizer, self.apply_chat_template = chat.tokenizer, chat.prompt
        self._thoughts = chat.find_thoughts(settings.thinking)
        self._load, self._settings, self._names = load, settings, names
        self._origin, self._fingerprint, self._journal = origin, fingerprint, journal
        self._tower: Tower | None = None
        self.sample: int | None = None
        self.lines: dict[tuple[str, str], predictions.StoredPrediction] = {}

    @property
    def tokenizer_name(self) -> str:
        """The tokenizer's folder."""
        return str(self.tokenizer.name_or_path)

    def generate_until(self, requests: Sequence[Any]) -> list[str]:
        """Answer every request; a thought that its prompt opens is whole again."""
        questions = [self._item(request) for request in requests]
        by_question = {(item.benchmark, item.index): r for item, r in zip(questions, requests, strict=True)}
        items = list_samples(questions, self._settings.samples)
        planned = make_batches(items, self._settings, self._origin, self._fingerprint, self._length)
        wanted = {key for batch in planned for key in batch.keys}
        tolerance = Tolerance.over(self._settings.tolerated_share, items)
        with predictions.open_store(self._journal, wanted, tolerance) as store:
            if store.dropped:
                log.info(
                    "%s: %d answers of another model, prompt or setting removed", self._journal, store.dropped
                )
            contents = {batch.digest: batch.contents for batch in planned}
            keys.write_provenance(self._journal, self._origin, self._fingerprint, contents)
            before = len(store.done)
            with Progress("text answers", len(items), "questions", before) as progress:
                for batch in planned:
                    missing = sum(key not in store.done for key in batch.keys)
                    if missing:
                        store.append(self._answer(batch, by_question))
                        progress.advance(missing)
        self.lines = {
            (line.benchmark, line.index): line
            for line in predictions.read_predictions(self._journal)
            if line.sample == self.sample
        }
        # Only here: the journal holds what was generated.
        return [self._thoughts.restore(self.lines[item.benchmark, item.index].raw) for item in questions]

    def _item(self, request: Any) -> Item:
        benchmark, index, answer = self._names(request.task_name, request.doc_id)
        prompt, options = request.args
        return Item(
            benchmark=benchmark,
            split=SPLIT,
            index=index,
            message=({"type": "text", "value": prompt},),
            answer=answer,
            images=(),
            folder=self._journal.parent,
            max_new_tokens=int(options["max_gen_toks"]),
        )

    def _length(self, item: Item) -> int:
        return len(self.tokenizer(item.message[0]["value"]).input_ids)

    def _answer(self, batch: Batch, by_question: Mapping[tuple[str, str], Any]) -> list[Prediction]:
        """Answer the questions of a batch with the tower; `by_question` holds lm-eval's requests."""
        if self._tower is None:
            self._tower = self._load()
        tower, start = self._tower, time.perf_counter()
        failed: dict[str, Prediction] = {}
        for item, key in zip(batch.items, batch.keys, strict=True):
            try:
                _check_room(tower, item)
            except UnanswerableError as failure:
                if self._settings.tolerated_share is None:
                    raise
                failed[key] = Prediction.failed(item, key, failure)
        asked = [(i, k) for i, k in zip(batch.items, batch.keys, strict=True) if k not in failed]
        requests = [by_question[item.benchmark, item.index] for item, _ in asked]
        for item, _ in asked:
            if (seed := make_seed(item, self._settings)) is not None:
                tower.expect(item.message[0]["value"], seed)
        texts = tower.generate_until(requests, disable_tqdm=True) if requests else []
        seconds = (time.perf_counter() - start) / max(1, len(requests))
        answered = {
            key: Prediction(item, key, text, *tower.take_length(item.message[0]["value"]), seconds)
            for (item, key), text in zip(asked, texts, strict=True)
        }
        return [failed.get(key) or answered[key] for key in batch.keys]


def _find_distinct(ids: torch.Tensor) -> tuple[list[int], list[int]]:
    """Find the first of each of the rows that are alike, and for every row which of these it is like."""
    rows = [tuple(row) for row in ids.tolist()]
    number_by_row = {row: number for number, row in enumerate(dict.fromkeys(rows))}
    first = [rows.index(row) for row in number_by_row]
    return first, [number_by_row[row] for row in rows]


def _check_room(tower: Tower, item: Item) -> None:
    """Raise UserError unless prompt and answer fit, UnanswerableError for a prompt that cannot have any."""
    length, room = len(tower.tok_encode(item.message[0]["value"])), item.max_new_tokens or 0
    check_length(item, length, tower.max_length)
    if length + room > tower.max_length:
        raise UserError(
            f"{item.benchmark}: a prompt of {length} tokens and {room} new ones do not fit into the model's"
            f" {tower.max_length} positions: lower the benchmark's max_new_tokens."
        )
