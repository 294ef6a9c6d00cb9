"""Answer through a vLLM server that the job starts itself and turns into one variant after the other."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.answering.batching import Batch
from benchmarks.answering.cost import Cost
from benchmarks.answering.openai_server import OpenAIServer
from benchmarks.answering.predictions import Prediction
from benchmarks.answering.vllm_engine import PROBE, find_positions, read_prompt, refuse_other_prompt
from benchmarks.answering.vllm_plan import VllmPlan
from benchmarks.answering.vllm_server import MODEL, VllmServer
from benchmarks.prompting.families import Family
from benchmarks.questions.item import Item
from benchmarks.study.engine_settings import EngineSettings
from frism.errors import UserError
from frism.method.fitted import Fitted
from frism.method.recipe import Recipe
from frism.triples.triple import Triple


class ServedPlan(VllmPlan):
    """Groups and keys the questions of `ServedEngine`, which is one; it starts no server."""

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Identify what decides, beside weights and items, which answers come out."""
        found = super().fingerprint
        return found | {"engine": f"served {found['engine']}", "requests": max(1, self.settings.workers)}


class ServedEngine(ServedPlan):
    """Answers items with a `vllm serve` of its own.

    Args:
        home: the folder that is served: V's, or that of a variant that is a checkpoint.
        recipe: of the variant that `home` holds; None for V, which turns into variants.

    Attributes:
        costs: of every batch answered so far, in order.
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
        self._held = recipe
        self.server = VllmServer(
            home, settings, find_positions(home), processor.tokenizer(PROBE).input_ids,
            triple if recipe is None else None,
        )  # fmt: skip
        self.costs: list[Cost] = []
        self._checked: set[str] = set()
        self._client: _Client | None = None

    def become(
        self, triple: Triple, recipe: Recipe, fitted: Fitted | None = None, spectra: Path | None = None
    ) -> None:
        """Turn into another variant of the triple, in place; a checkpoint is what was loaded already."""
        if self._held is None:
            self.server.become(recipe, fitted, spectra)
        elif recipe.key != self._held.key:
            raise UserError(f"the server runs {self._held.name} and cannot turn into {recipe.name}.")

    def answers(self, batches: Sequence[Batch]) -> Iterator[list[Prediction]]:
        """Answer batches in order. Raises UserError when the server does not start, ends or refuses."""
        self.server.reserve(self.settings.vllm_settings.max_model_len or self.find_length(batches))
        self.server.check()
        address = f"{self.server.address}/v1"
        if self._client is None or self._client.settings.address != address:
            served = self.settings.model_copy(update={"address": address, "model": MODEL})
            self._client = _Client(served, self.family, self, self._checked)
        for predictions in self._client.answers(batches):
            self.costs.append(self._client.costs[-1])
            yield predictions

    def complete(
        self,
        prompts: Sequence[Sequence[int]],
        limits: Sequence[int],
        ends: Sequence[int],
        drawn: Sequence[Mapping[str, Any]] = (),
    ) -> list[tuple[list[int], bool]]:
        """Go on with prompts in words; see `VllmEngine.complete`."""
        return self.server.complete(prompts, limits, ends, drawn)

    def close(self) -> None:
        """End the server; what is asked next starts it again, as the same variant."""
        if self._client is not None:
            self._client.close()
            self._client = None
        self.server.close()


class _Client(OpenAIServer):
    """Asks the job's own server: for token ids, so that prompts are checked and texts decoded here."""

    def __init__(self, settings: EngineSettings, family: Family, plan: VllmPlan, checked: set[str]) -> None:
        super().__init__(settings, family, plan.thoughts)
        self._plan, self._checked = plan, checked
        self.extra: Mapping[str, Any] = {
            **OpenAIServer.extra,
            "stop_token_ids": sorted(plan.ends), "ignore_eos": True, "return_token_ids": True,
            **({} if settings.sampling else {"seed": 0}),
        }  # fmt: skip

    def _read(self, item: Item, reply: Any) -> tuple[str, int, bool]:
        choice = reply.choices[0]
        tokens, truncated = list(choice.token_ids), choice.finish_reason == "length"
        if item.question.content not in self._checked:
            refuse_other_prompt(self._plan, item, read_prompt(self._plan, item), list(reply.prompt_token_ids))
            self._checked.add(item.question.content)
        return self._plan.decode(tokens), len(tokens) - (not truncated), truncated
