"""Answer with vLLM: V turned into one variant after the other in place, prompts as the default engine's."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.answering import batching
from benchmarks.answering.batching import Batch
from benchmarks.answering.cost import Cost
from benchmarks.answering.lookahead import Lookahead
from benchmarks.answering.positions import check_length, read_positions
from benchmarks.answering.predictions import Prediction
from benchmarks.answering.rendering import processor_options, render_text, resize_pictures
from benchmarks.answering.vllm_model import Reply, Request, VllmModel
from benchmarks.answering.vllm_plan import VllmPlan
from benchmarks.prompting.families import Family
from benchmarks.questions.item import Item
from benchmarks.questions.unanswerable import UnanswerableError
from benchmarks.study.engine_settings import EngineSettings
from frism.checkpoints.index import INDEX
from frism.errors import UserError
from frism.merging import on_load
from frism.method.fitted import Fitted
from frism.method.recipe import COEFFICIENTS, RECIPE, RECORDS, Recipe
from frism.triples.triple import Triple

_PROBE = "Count the red objects on the left, add seven, and say step by step how many that makes in all."


@dataclass(frozen=True)
class Prepared:
    """Holds an item's request, and the token ids that its prompt must have (None: seen to be right)."""

    request: Request
    prompt: list[int] | None


class VllmEngine(VllmPlan):
    """Answers items with one vLLM.

    Args:
        triple: whose V is loaded and turns into variants.
        home: the folder that is loaded: V's, or that of a variant that is a checkpoint.
        recipe: of the variant that `home` holds; None for V.

    Attributes:
        costs: of every batch answered so far, in order.

    Raises UserError when vLLM is not installed, or `home` was exported by a version whose exports vLLM cannot
    load.
    """

    def __init__(
        self,
        triple: Triple,
        home: Path,
        processor: Any,
        settings: EngineSettings,
        family: Family,
        recipe: Recipe | None = None,
    ) -> None:
        super().__init__(home, processor, settings, family)
        refuse_side_files(home)
        self.triple, self._held = triple, recipe
        self.model = VllmModel(
            home, settings, self.ends, find_positions(home), processor.tokenizer(_PROBE).input_ids,
            triple if recipe is None else None,
        )  # fmt: skip
        self.costs: list[Cost] = []
        self._checked: set[str] = set()  # contents of items whose prompts vLLM reads as the processor does
        self._ahead = Lookahead(self._prepare, settings.workers)

    def become(
        self, triple: Triple, recipe: Recipe, fitted: Fitted | None = None, spectra: Path | None = None
    ) -> None:
        """Turn into another variant of the triple, in place; a checkpoint is what was loaded already.

        Raises UserError when that is not possible; then nothing is answered before it was for another one.
        """
        if self._held is None:
            self.model.become(recipe, fitted, spectra)
        elif recipe.key != self._held.key:
            raise UserError(
                f"vLLM was started on {self.home}, which is the variant {self._held.name}, and cannot turn"
                f" into {recipe.name}: drop engine.checkpoint."
            )

    def answers(self, batches: Sequence[Batch]) -> Iterator[list[Prediction]]:
        """Answer batches in order; questions that cannot be answered as the settings say.

        Raises UserError when vLLM does not start, reads a prompt otherwise than the processor, or ends.
        """
        fixed = self.settings.vllm_settings.max_model_len
        self.model.reserve(fixed or self.find_length(batches))
        asked: list[list[tuple[Prepared | Prediction, Item, str]]] = []

        def prepare() -> Iterator[list[Request]]:
            for number, batch in enumerate(batches):
                for following in batches[number : number + 2]:
                    self._ahead.announce(following.items)
                asked.append(
                    [(self._take(i, k), i, k) for i, k in zip(batch.items, batch.keys, strict=True)]
                )
                yield [one.request for one, _, _ in asked[-1] if isinstance(one, Prepared)]

        start = time.perf_counter()
        for number, replies in enumerate(self.model.generate(prepare())):
            seconds = time.perf_counter() - start
            tokens = sum(reply.length for reply in replies)
            self.costs.append(
                Cost(batches[number].digest, len(replies), tokens, round(seconds, 6), 0, 1)
            )
            rest, share = iter(replies), seconds / max(1, len(replies))
            yield [
                one if isinstance(one, Prediction) else self._predict(one, item, key, next(rest), share)
                for one, item, key in asked[number]
            ]
            asked[number] = []  # the pictures
            start = time.perf_counter()

    def complete(
        self, prompts: Sequence[Sequence[int]], limits: Sequence[int], ends: Sequence[int]
    ) -> list[tuple[list[int], bool]]:
        """Go on with prompts in words, given as token ids: the new ids, and whether the limit cut them.

        Args:
            ends: ids of the tokens that end an answer; an answer that ended has its own as its last.
        """
        return complete(self.model, prompts, limits, ends)

    def close(self) -> None:
        """End vLLM and free its memory; what is asked next starts it again, as the same variant."""
        self.model.close()

    def _take(self, item: Item, key: str) -> Prepared | Prediction:
        try:
            return self._ahead.take(item)
        except UnanswerableError as failure:
            if self.settings.tolerated_share is None:
                raise
            return Prediction.failed(item, key, failure)

    def _prepare(self, item: Item) -> Prepared:
        """Make vLLM's request. Raises UnanswerableError for a bad picture and a prompt that is too long."""
        pictures = resize_pictures(self.family, item.pictures(), item.benchmark)
        text = render_text(self.processor, self.family, item)
        further = processor_options(self.family, self.processor, text, len(pictures), item.benchmark)
        expected = None
        if item.content not in self._checked:
            outputs = self.processor(text=text, images=pictures or None, return_tensors="pt", **further)
            expected = outputs["input_ids"][0].tolist()
            limit = self.model.length or self.model.positions
            if limit is not None:  # vLLM would refuse all that it is asked with
                check_length(item, len(expected), limit)
        special = further.pop("add_special_tokens", True)
        prompt: dict[str, Any] = {"prompt": text}
        if pictures:
            prompt |= {"multi_modal_data": {"image": pictures}, "mm_processor_kwargs": further}
        request = Request(prompt, batching.get_token_limit(item, self.settings), special)
        return Prepared(request, expected)

    def _predict(self, prepared: Prepared, item: Item, key: str, reply: Reply, seconds: float) -> Prediction:
        if prepared.prompt is not None and prepared.prompt != reply.prompt:
            raise UserError(
                f"vLLM reads question {item.index} of {item.benchmark} as {len(reply.prompt)} tokens that are not"
                f" the {len(prepared.prompt)} of {type(self.processor).__name__}: set engine.name to"
                " transformers."
            )
        self._checked.add(item.content)
        tidy = {"clean_up_tokenization_spaces": False} if self.family.verbatim else {}
        tokenizer = self.thoughts.wrap(self.processor.tokenizer)
        text = tokenizer.decode(reply.tokens, skip_special_tokens=True, **tidy)
        text = self.thoughts.restore(text.strip() if self.family.stripped else text)
        return Prediction(item, key, text, reply.length, reply.truncated, seconds)


def complete(
    model: VllmModel, prompts: Sequence[Sequence[int]], limits: Sequence[int], ends: Sequence[int]
) -> list[tuple[list[int], bool]]:
    """Let vLLM go on with prompts in words; see `VllmEngine.complete`."""
    model.reserve(max((len(p) + n for p, n in zip(prompts, limits, strict=True)), default=1))
    requests = [
        Request({"prompt_token_ids": list(prompt)}, limit, ends=tuple(ends))
        for prompt, limit in zip(prompts, limits, strict=True)
    ]
    replies = next(model.generate([requests]), [])
    return [(reply.tokens, reply.truncated) for reply in replies]


def find_positions(home: Path) -> int | None:
    """Read how many positions the model in a folder was made for; None where its config does not say."""
    from transformers import AutoConfig

    return read_positions(AutoConfig.from_pretrained(home))


def open_vllm(
    triple: Triple, recipe: Recipe | None, processor: Any, settings: EngineSettings, family: Family
) -> VllmEngine:
    """Make the engine for a variant, on V's folder, that of a checkpoint, or the study's `checkpoint`.

    Raises UserError when the study's `checkpoint` is not this variant's.
    """
    held = recipe if recipe is not None and (recipe.checkpoint or settings.checkpoint) else None
    home = find_home(triple, recipe, settings)
    if held is not None and held.checkpoint is None:
        check_checkpoint(home, held)
    return VllmEngine(triple, home, processor, settings, family, held)


def find_home(triple: Triple, recipe: Recipe | None, settings: EngineSettings) -> Path:
    """Find the folder that vLLM loads."""
    if recipe is not None and recipe.checkpoint is None and settings.checkpoint:
        return Path(settings.checkpoint)
    return on_load.find_folder(triple, recipe)


def check_checkpoint(folder: Path, recipe: Recipe) -> None:
    """Raise UserError unless `folder` is the export of this very recipe."""
    if Recipe.load(folder)[0].key != recipe.key:
        raise UserError(
            f"{folder} is the export of another variant than {recipe.name} with key {recipe.key}: export"
            " this one, or drop engine.checkpoint."
        )


def refuse_side_files(folder: Path) -> None:
    """Raise UserError for an export of an earlier version: vLLM would load its coefficients as weights."""
    if (folder / COEFFICIENTS).is_file() and not (folder / INDEX).is_file():
        raise UserError(
            f"{folder} has {COEFFICIENTS} among its weights, which vLLM would load as weights: move it and"
            f" {RECIPE} into {folder / RECORDS}, or export the variant again."
        )
