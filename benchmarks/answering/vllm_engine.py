"""Answer with vLLM: the exported variant, continuous batching, prompts as the default engine renders them.

Written to vLLM's documented interface (`LLM.generate` with `multi_modal_data`); not run on the machine that
this was written on.
"""

import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.answering import batching
from benchmarks.answering.batching import Batch
from benchmarks.answering.cost import Cost
from benchmarks.answering.inputs import count_prompt_tokens
from benchmarks.answering.positions import check_length
from benchmarks.answering.predictions import Prediction
from benchmarks.answering.rendering import processor_options, render_text, resize_pictures
from benchmarks.answering.sampling import describe_decoding, make_request
from benchmarks.answering.thoughts import find_thoughts
from benchmarks.prompting.families import Family
from benchmarks.questions.item import Item
from benchmarks.questions.unanswerable import UnanswerableError
from benchmarks.study.engine_settings import EngineSettings
from frism.checkpoints.index import INDEX
from frism.errors import UserError
from frism.merging.export import Job, export
from frism.method.recipe import COEFFICIENTS, RECIPE, RECORDS, Recipe

VERSION = 1  # raised when the same settings may give other predictions
PICTURES = 24  # of one question, at most; VLMEvalKit's own limit for vLLM


class VllmPlan:
    """Groups and keys the questions of `VllmEngine`, which is one; it needs the processor alone."""

    def __init__(self, processor: Any, settings: EngineSettings, family: Family) -> None:
        self.processor, self.settings, self.family = processor, settings, family
        self.thoughts = find_thoughts(processor, family, settings)

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Identify what decides, beside weights and items, which answers come out."""
        return {
            "engine": f"vllm {VERSION}",
            "dtype": self.settings.dtype,
            "devices": self.settings.devices,
            "decoding": {
                **describe_decoding(self.settings, temperature=0),
                "max_new_tokens": self.settings.max_new_tokens,
            },
            "family": self.family.fingerprint(),
            "libraries": {name: version(name) for name in ("vllm", "torch", "transformers")},
            **self.thoughts.fingerprint,
        }

    def batches(self, items: Iterable[Item], origin: Mapping[str, Any]) -> list[Batch]:
        """Group the questions that vLLM gets at a time and whose answers are stored together."""
        return batching.make_batches(items, self.settings, origin, self.fingerprint)


class VllmEngine(VllmPlan):
    """Answers items with vLLM.

    Args:
        model: a `vllm.LLM`. sampling: the class `vllm.SamplingParams`. processor: the checkpoint's.
        exported: the temporary folder with the checkpoint, kept as long as the engine.
    """

    def __init__(
        self,
        model: Any,
        sampling: Any,
        processor: Any,
        settings: EngineSettings,
        family: Family,
        exported: tempfile.TemporaryDirectory[str] | None = None,
    ) -> None:
        super().__init__(processor, settings, family)
        self.model, self.sampling, self._exported = model, sampling, exported
        self.costs: list[Cost] = []

    @classmethod
    def open(
        cls,
        triple: Any,
        recipe: Any,
        fitted: Any,
        settings: EngineSettings,
        family: Family,
        spectra: Path | None,
    ) -> "VllmEngine":
        """Load a variant (None: V itself) into vLLM, exported for the run or from `settings.checkpoint`.

        Raises UserError when vLLM is not installed, or the checkpoint is not this variant's or was exported
        by a version whose exports vLLM cannot load.
        """
        try:
            import vllm
        except ImportError:
            raise UserError(
                "engine.name is vllm, but vLLM is not installed: pip install vllm on a machine with a GPU, or"
                " set engine.name to transformers."
            ) from None
        from transformers import AutoProcessor

        exported = None
        if recipe is None:
            folder = Path(triple.vlm_folder)
        elif settings.checkpoint:
            folder = Path(settings.checkpoint)
            check_checkpoint(folder, recipe)
        else:
            exported = tempfile.TemporaryDirectory(prefix="exported-")
            folder = Path(exported.name) / "variant"
            export(Job.from_recipe(triple, recipe, fitted, folder, spectra=spectra))
        refuse_side_files(folder)
        model = vllm.LLM(
            model=str(folder),
            dtype=settings.dtype,
            seed=0,
            tensor_parallel_size=settings.devices,
            limit_mm_per_prompt={"image": PICTURES},
        )
        processor = AutoProcessor.from_pretrained(folder)
        return cls(model, vllm.SamplingParams, processor, settings, family, exported)

    def answers(self, batches: Sequence[Batch]) -> Iterator[list[Prediction]]:
        """Answer batches in order; questions that cannot be answered as the settings say."""
        for batch in batches:
            start = time.perf_counter()
            failed: dict[str, Prediction] = {}
            limits, requests, asked = [], [], []
            for item, key in zip(batch.items, batch.keys, strict=True):
                try:
                    requests.append(self._request(item))
                except UnanswerableError as failure:
                    if self.settings.tolerated_share is None:
                        raise
                    failed[key] = Prediction.failed(item, key, failure)
                    continue
                room = batching.get_token_limit(item, self.settings)
                limits.append(
                    self.sampling(**{"seed": 0, **make_request(item, self.settings)}, max_tokens=room)
                )
                asked.append((item, key))
            replies = [reply.outputs[0] for reply in self.model.generate(requests, limits, use_tqdm=False)]
            seconds = time.perf_counter() - start
            tokens = sum(len(reply.token_ids) for reply in replies)
            self.costs.append(Cost(batch.digest, len(replies), tokens, round(seconds, 6), 0, 1))
            answered = {
                key: Prediction(
                    item,
                    key,
                    self._read(reply),
                    len(reply.token_ids) - (reply.finish_reason == "stop"),
                    reply.finish_reason == "length",
                    seconds / len(replies),
                )
                for (item, key), reply in zip(asked, replies, strict=True)
            }
            yield [failed.get(key) or answered[key] for key in batch.keys]

    def _read(self, reply: Any) -> str:
        text = reply.text
        if self.thoughts.kept:  # vLLM left them out of its own text
            tokenizer = self.thoughts.wrap(self.processor.tokenizer)
            text = tokenizer.decode(list(reply.token_ids), skip_special_tokens=True)
        return self.thoughts.restore(text.strip() if self.family.stripped else text)

    def _request(self, item: Item) -> dict[str, Any]:
        """Make vLLM's request. Raises UnanswerableError for a bad picture and a prompt that is too long."""
        pictures = resize_pictures(self.family, item.pictures(), item.benchmark)
        positions = getattr(self.model.llm_engine.model_config, "max_model_len", None)
        if positions is not None:  # vLLM itself would refuse the whole batch
            check_length(item, count_prompt_tokens(self.processor, self.family, item), positions)
        text = render_text(self.processor, self.family, item)
        request: dict[str, Any] = {"prompt": text}
        if pictures:
            further = processor_options(self.family, self.processor, text, len(pictures), item.benchmark)
            further.pop("add_special_tokens", None)
            request |= {"multi_modal_data": {"image": pictures}, "mm_processor_kwargs": further}
        return request


def check_checkpoint(folder: Path, recipe: Any) -> None:
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
