"""Decode in batches with a local transformers model, greedily or by samples: the default engine."""

import itertools
import resource
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.answering import batching
from benchmarks.answering.batching import Batch
from benchmarks.answering.cost import Cost
from benchmarks.answering.decoding import decode
from benchmarks.answering.inputs import Preparer
from benchmarks.answering.local_plan import LocalPlan
from benchmarks.answering.model_facts import ModelFacts
from benchmarks.answering.partner import Partner
from benchmarks.answering.predictions import Prediction
from benchmarks.answering.prefill import can_join
from benchmarks.answering.sampling import make_seed
from benchmarks.answering.token_sampler import TokenSampler
from benchmarks.prompting.families import Family
from benchmarks.questions.item import Item
from benchmarks.questions.unanswerable import UnanswerableError
from benchmarks.study.engine_settings import EngineSettings
from frism.errors import UserError
from frism.merging import on_load
from frism.method.fitted import Fitted
from frism.method.recipe import Recipe
from frism.triples.triple import Triple

PREFILL_TOKENS = 4096  # of prompts that are read together on a CPU


class TransformersEngine(LocalPlan):
    """Answers items with one loaded VLM.

    Args:
        model: the VLM, in eval mode.
        processor: its processor.
        settings: how to generate; dtype and device must be the model's.
        weights: digest of V's checkpoint. With it, prepared batches are kept in files in `folder`.
        folder: usually `<items>/prepared`.
        family: the model's family as the items were made for; the default is that of its type.

    Attributes:
        costs: of every batch answered so far, in order.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        settings: EngineSettings,
        *,
        weights: str | None = None,
        folder: Path | None = None,
        family: Family | None = None,
    ) -> None:
        super().__init__(ModelFacts.of(model), processor, settings, family=family)
        self.model = model
        self.preparer = Preparer(
            model, processor, self.family, weights=weights, folder=folder, workers=settings.workers
        )
        self.costs: list[Cost] = []
        self.partner: Partner | None = None
        self._joins = self._can_join()

    def _can_join(self) -> bool:
        """Tell whether prompts that were read apart can be answered together, to the same bits."""
        exact = self.model.device.type == "cpu" and self.model.dtype == torch.float32
        return exact and can_join(self.model) and (self.partner is None or can_join(self.partner.model))

    def become(
        self, triple: Triple, recipe: Recipe, fitted: Fitted | None = None, spectra: Path | None = None
    ) -> None:
        """Turn into another variant of the triple, in place; a checkpoint is what was loaded already.

        Where predictions are mixed, this is V, and R is loaded beside it.
        """
        if recipe.checkpoint is not None:
            return
        lrm = self.partner.model if self.partner is not None else None
        self.partner = Partner.open(triple, recipe, self.settings, self.model, lrm)
        self._joins = self._can_join()
        on_load.apply(self.model, triple, None if self.partner else recipe, fitted, spectra)

    def close(self) -> None:
        """Let go of the model."""
        del self.model, self.preparer, self.partner

    def answer(self, batch: Batch) -> list[Prediction]:
        """Answer one batch, in its order; see `answer_together`."""
        return next(self.answer_together([batch]))

    def answer_together(self, batches: Sequence[Batch]) -> Iterator[list[Prediction]]:
        """Answer batches at the same time, each in its order; what cannot be answered as the settings say.

        Raises UserError when a single question exceeds the memory, UnanswerableError for one that cannot be
        answered, unless such questions are counted.
        """
        start = time.perf_counter()
        if self.model.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        failures: dict[str, UnanswerableError] = {}
        items = [item for batch in batches for item in batch.items]
        try:
            tokens, parts = self._answer_in_memory(items)
        except UnanswerableError:
            if self.settings.tolerated_share is None:
                raise
            failures = self.preparer.find_failures(_list_questions(items))
            items = [item for item in items if item.question.content not in failures]
            tokens, parts = self._answer_in_memory(items) if items else ([], 1)
        texts = self._decode(tokens)
        seconds = (time.perf_counter() - start) / max(1, len(tokens))
        answered = iter(zip(tokens, texts, strict=True))
        for batch in batches:
            predictions = []
            for item, key in zip(batch.items, batch.keys, strict=True):
                if item.question.content in failures:
                    predictions.append(Prediction.failed(item, key, failures[item.question.content]))
                    continue
                row, text = next(answered)
                cut = row[-1] not in self.ends
                predictions.append(Prediction(item, key, text, len(row) - (not cut), cut, seconds))
            new = [prediction.tokens for prediction in predictions if not prediction.failure]
            spent = round(seconds * len(new), 6)
            peak = measure_peak_memory(self.model.device)
            self.costs.append(Cost(batch.digest, len(new), sum(new), spent, peak, parts))
            yield predictions

    def answers(self, batches: Sequence[Batch]) -> Iterator[list[Prediction]]:
        """Answer batches in order; the pictures of those that come next are prepared meanwhile."""
        groups = list(self._group(batches))
        for number, group in enumerate(groups):
            for following in groups[number + 1 : number + 2]:
                for _, part in _tell_apart([item for batch in following for item in batch.items]):
                    for chunk in self._split(_list_questions(part)):
                        self.preparer.announce(chunk)
            yield from self.answer_together(group)

    def _group(self, batches: Sequence[Batch]) -> Iterator[list[Batch]]:
        """Yield batches that are answered together, of at most `batch_size` items where there are several.

        Only in single precision on a CPU, where an answer does not depend on those beside it; on a GPU a
        batch is all that decides the numerical noise of its answers.
        """
        group: list[Batch] = []
        for batch in batches:
            size = sum(len(other.items) for other in group) + len(batch.items)
            if group and not (self._joins and size <= self.settings.batch_size):
                yield group
                group = []
            group.append(batch)
        if group:
            yield group

    def _split(self, questions: Sequence[Item]) -> Iterator[list[Item]]:
        """Yield questions whose prompts are read together: few of one benchmark, where they can be joined."""
        if not self._joins:
            yield list(questions)
            return
        for _, group in itertools.groupby(questions, lambda question: question.benchmark):
            part = list(group)
            most = max(1, PREFILL_TOKENS // max(1, self._length(part[0])))
            pieces = -(-len(part) // most)
            for piece in range(pieces):
                yield part[piece * len(part) // pieces : (piece + 1) * len(part) // pieces]

    def generate(
        self, items: Iterable[Item], origin: Mapping[str, Any] | None = None
    ) -> Iterator[list[Prediction]]:
        """Answer all items, a batch at a time."""
        yield from self.answers(self.batches(items, origin or {}))

    def _answer_in_memory(self, items: Sequence[Item]) -> tuple[list[list[int]], int]:
        """Return every item's new tokens, and the number of parts: too large a batch is halved."""
        try:
            return self._generate_tokens(items), 1
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not _memory_ran_out(error):
                raise
        # Outside the handler: the traceback keeps the failed attempt's tensors alive.
        if len(items) == 1:
            raise UserError(
                f"question {items[0].index} of {items[0].benchmark} needs more memory than"
                f" {self.model.device} has: lower engine.max_new_tokens or prompting.max_pixels, or set"
                " engine.device_map."
            )
        if self.model.device.type == "cuda":
            torch.cuda.empty_cache()
        half = len(items) // 2
        first, second = self._answer_in_memory(items[:half]), self._answer_in_memory(items[half:])
        return [*first[0], *second[0]], first[1] + second[1]

    def _generate_tokens(self, items: Sequence[Item]) -> list[list[int]]:
        answers: dict[int, list[int]] = {}
        for indices, part in _tell_apart(items):
            answers.update(zip(indices, self._decode_rows(part), strict=True))
        return [answers[i] for i in range(len(items))]

    def _decode_rows(self, items: Sequence[Item]) -> list[list[int]]:
        """Return every item's new tokens; the prompt of a question is read once for all of its samples."""
        limits = [batching.get_token_limit(item, self.settings) for item in items]
        sampling, questions = self.settings.sampling, _list_questions(items)
        drawn: dict[str, Any] = {}
        if sampling is not None:
            seeds = [make_seed(item, self.settings) or 0 for item in items]
            number_by_content = {question.content: number for number, question in enumerate(questions)}
            drawn = {
                "prompts": [number_by_content[item.question.content] for item in items],
                "sampler": TokenSampler(sampling, seeds, max(limits)),
            }
        return decode(
            self.model,
            [self.preparer.prepare(chunk) for chunk in self._split(questions)],
            max_new_tokens=limits,
            ends=self.ends,
            interruption=self.thoughts.limit(self.processor.tokenizer, self.settings.thinking_budget),
            partner=self.partner,
            **drawn,
        )

    def _decode(self, tokens: Sequence[Sequence[int]]) -> list[str]:
        tidy = {"clean_up_tokenization_spaces": False} if self.family.verbatim else {}
        tokenizer = self.thoughts.wrap(self.processor.tokenizer)
        texts = tokenizer.batch_decode(tokens, skip_special_tokens=True, **tidy)
        return [self.thoughts.restore(text.strip() if self.family.stripped else text) for text in texts]


def _tell_apart(items: Sequence[Item]) -> Iterator[tuple[list[int], list[Item]]]:
    """Yield items with pictures, then those without, and their places: some families count by rows."""
    for with_pictures in (True, False):
        indices = [i for i, item in enumerate(items) if bool(item.images) is with_pictures]
        if indices:
            yield indices, [items[i] for i in indices]


def _list_questions(items: Iterable[Item]) -> list[Item]:
    """List the questions that items are samples of, each once; items that are none as they are."""
    items = list(items)
    if all(item.sample is None for item in items):
        return items
    return list({item.question.content: item.question for item in items}.values())


def _memory_ran_out(error: BaseException) -> bool:
    # The CPU's allocator has no exception of its own.
    return (
        not isinstance(error, RuntimeError)
        or isinstance(error, torch.OutOfMemoryError)
        or ("allocate memory" in str(error))
    )


def measure_peak_memory(device: torch.device) -> int:
    """Return bytes: of the device since the last reset, on a CPU of this process since its start."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
