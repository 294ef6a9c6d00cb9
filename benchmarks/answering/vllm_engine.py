"""Answer with vLLM: V turned into one variant after the other in place, prompts as the default engine's."""

import time
from collections.abc import Iterator, Mapping, Sequence
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
from benchmarks.answering.sampling import make_request
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

PROBE = "Count the red objects on the left, add seven, and say step by step how many that makes in all."


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
            home, settings, self.ends, find_positions(home), processor.tokenizer(PROBE).input_ids,
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
        asked: list[list[list[int] | Prediction | None]] = []  # what is known of every question's answer

        def prepare() -> Iterator[list[Request]]:
            for number, batch in enumerate(batches):
                for following in batches[number : number + 2]:
                    self._ahead.announce(following.items)
                taken = [self._take(i, k) for i, k in zip(batch.items, batch.keys, strict=True)]
                asked.append([one if isinstance(one, Prediction) else one.prompt for one in taken])
                yield [one.request for one in taken if isinstance(one, Prepared)]

        start = time.perf_counter()
        for number, replies in enumerate(self.model.generate(prepare())):
            seconds = time.perf_counter() - start
            tokens = sum(reply.length for reply in replies)
            self.costs.append(Cost(batches[number].digest, len(replies), tokens, round(seconds, 6), 0, 1))
            rest, share = iter(replies), seconds / max(1, len(replies))
            batch = batches[number]
            yield [
                one if isinstance(one, Prediction) else self._predict(one, item, key, next(rest), share)
                for one, item, key in zip(asked[number], batch.items, batch.keys, strict=True)
            ]
            start = time.perf_counter()

    def complete(
        self,
        prompts: Sequence[Sequence[int]],
        limits: Sequence[int],
        ends: Sequence[int],
        drawn: Sequence[Mapping[str, Any]] = (),
    ) -> list[tuple[list[int], bool]]:
        """Go on with prompts in words, given as token ids: the new ids, and whether the limit cut them.

        Args:
            ends: ids of the tokens that end an answer; an answer that ended has its own as its last.
            drawn: by prompt, how its tokens are chosen (`sampling.make_request`); nothing: the likeliest.
        """
        return complete(self.model, prompts, limits, ends, drawn)

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
        text, pictures, further = render_prompt(self, item)
        expected = None
        if item.question.content not in self._checked:
            expected = read_prompt(self, item, (text, pictures, further))
            limit = self.model.length or self.model.positions
            if limit is not None:  # vLLM would refuse all that it is asked with
                check_length(item, len(expected), limit)
        special = further.pop("add_special_tokens", True)
        prompt: dict[str, Any] = {"prompt": text}
        if pictures:
            prompt |= {"multi_modal_data": {"image": pictures}, "mm_processor_kwargs": further}
        drawn = make_request(item, self.settings)
        request = Request(prompt, batching.get_token_limit(item, self.settings), special, drawn=drawn)
        return Prepared(request, expected)

    def _predict(
        self, prompt: list[int] | None, item: Item, key: str, reply: Reply, seconds: float
    ) -> Prediction:
        if prompt is not None:
            refuse_other_prompt(self, item, prompt, reply.prompt)
        self._checked.add(item.question.content)
        return Prediction(item, key, self.decode(reply.tokens), reply.length, reply.truncated, seconds)


Prompt = tuple[str, list[Any], dict[str, Any]]  # text, pictures, and further arguments of the processor


def render_prompt(plan: VllmPlan, item: Item) -> Prompt:
    """Render an item. Raises UnanswerableError for a picture that cannot be decoded."""
    pictures = resize_pictures(plan.family, item.pictures(), item.benchmark)
    text = render_text(plan.processor, plan.family, item)
    return text, pictures, processor_options(plan.family, plan.processor, text, len(pictures), item.benchmark)


def read_prompt(plan: VllmPlan, item: Item, prompt: Prompt | None = None) -> list[int]:
    """Return the token ids that the processor makes of an item, as the default engine feeds them."""
    text, pictures, further = prompt or render_prompt(plan, item)
    try:
        outputs = plan.processor(text=text, images=pictures or None, return_tensors="pt", **further)
    except ValueError as error:
        raise UserError(
            f"{type(plan.processor).__name__} refuses question {item.index} of {item.benchmark}, because"
            f" {str(error).rstrip('.')}: use the chat template that belongs to the checkpoint."
        ) from error
    ids: list[int] = outputs["input_ids"][0].tolist()
    return ids


def refuse_other_prompt(plan: VllmPlan, item: Item, expected: list[int], found: list[int]) -> None:
    """Raise UserError where vLLM reads a question otherwise than the processor."""
    if expected != found:
        raise UserError(
            f"vLLM reads question {item.index} of {item.benchmark} as {len(found)} tokens that are not the"
            f" {len(expected)} of {type(plan.processor).__name__}: set engine.name to transformers."
        )


class VllmCompleter:
    """Goes on with prompts in words, with vLLM on a language model's folder.

    Args:
        ends: ids of the tokens that end an answer. positions: that the model was made for.
    """

    def __init__(
        self, folder: Path, settings: EngineSettings, ends: frozenset[int], positions: int | None
    ) -> None:
        self.model = VllmModel(folder, settings, ends, positions, pictures=False)

    def complete(
        self,
        prompts: Sequence[Sequence[int]],
        limits: Sequence[int],
        ends: Sequence[int],
        drawn: Sequence[Mapping[str, Any]] = (),
    ) -> list[tuple[list[int], bool]]:
        """Go on with prompts; see `VllmEngine.complete`."""
        return complete(self.model, prompts, limits, ends, drawn)

    def close(self) -> None:
        """End vLLM."""
        self.model.close()


def complete(
    model: VllmModel,
    prompts: Sequence[Sequence[int]],
    limits: Sequence[int],
    ends: Sequence[int],
    drawn: Sequence[Mapping[str, Any]] = (),
) -> list[tuple[list[int], bool]]:
    """Let vLLM go on with prompts in words; see `VllmEngine.complete`."""
    model.reserve(max((len(p) + n for p, n in zip(prompts, limits, strict=True)), default=1))
    requests = [
        Request({"prompt_token_ids": list(prompt)}, limit, ends=tuple(ends), drawn=further)
        for prompt, limit, further in zip(prompts, limits, drawn or [{}] * len(prompts), strict=True)
    ]
    replies = next(model.generate([requests]), [])
    return [(reply.tokens, reply.truncated) for reply in replies]


def find_positions(home: Path) -> int | None:
    """Read how many positions the model in a folder was made for; None where its config does not say."""
    from transformers import AutoConfig

    return read_positions(AutoConfig.from_pretrained(home, trust_remote_code=False))


def find_held(recipe: Recipe | None, settings: EngineSettings) -> Recipe | None:
    """Find the variant that the loaded folder holds as it is; None for V, which turns into variants.

    Raises UserError when the study's `checkpoint` is not this variant's.
    """
    if recipe is None or not (recipe.checkpoint or settings.checkpoint):
        return None
    if recipe.checkpoint is None and settings.checkpoint:
        check_checkpoint(Path(settings.checkpoint), recipe)
    return recipe


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
