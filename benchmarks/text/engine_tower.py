"""Let an engine that answers questions with pictures answer in words, too: vLLM, here or behind a server."""

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from benchmarks.answering.positions import read_positions
from benchmarks.answering.thoughts import Thoughts
from benchmarks.study.engine_settings import EngineSettings


class Completer(Protocol):
    """Goes on with prompts that are given as token ids."""

    def complete(
        self,
        prompts: Sequence[Sequence[int]],
        limits: Sequence[int],
        ends: Sequence[int],
        drawn: Sequence[Mapping[str, Any]] = (),
    ) -> list[tuple[list[int], bool]]:
        """Return the new ids of every prompt, and whether the limit cut them."""


class EngineTower:
    """Answers lm-eval's requests as `TowerLM` does, with an engine that has the weights.

    Args:
        engine: the engine, turned into the model that is asked.
        tokenizer: the model's. positions: that it was made for.
        ends: ids of the tokens at which an answer ends. thoughts: which special tokens an answer keeps.
        settings: whether and how tokens are drawn; every request's seed is then announced by `expect`.
    """

    def __init__(
        self,
        engine: Completer,
        tokenizer: Any,
        positions: int | None,
        ends: frozenset[int],
        thoughts: Thoughts,
        settings: EngineSettings,
    ) -> None:
        self._engine, self.tokenizer, self._ends = engine, tokenizer, sorted(ends)
        self.max_length = positions or int(tokenizer.model_max_length)
        self._decoder = thoughts.wrap(tokenizer)
        self._settings = settings
        # By prompt, in the order of its requests.
        self._lengths: dict[str, deque[tuple[int, bool]]] = defaultdict(deque)
        self._seeds: dict[str, deque[int]] = defaultdict(deque)

    def expect(self, prompt: str, seed: int) -> None:
        """Announce the seed of the next request with this prompt."""
        self._seeds[prompt].append(seed)

    def tok_encode(self, text: str) -> list[int]:
        """Return the ids of a prompt; what the template has begun with gets no second beginning."""
        start = self.tokenizer.bos_token
        special = {"add_special_tokens": False} if start and text.startswith(start) else {}
        ids: list[int] = self.tokenizer(text, **special).input_ids
        return ids

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = True) -> list[str]:
        """Answer requests; `benchmarks.text.generated_task` asks for no other ends than the model's."""
        asked = [request.args[0] for request in requests]
        limits = [int(request.args[1]["max_gen_toks"]) for request in requests]
        drawn = []
        if (sampling := self._settings.sampling) is not None:
            drawn = [{**sampling.request, "seed": self._seeds[text].popleft()} for text in asked]
        replies = self._engine.complete([self.tok_encode(text) for text in asked], limits, self._ends, drawn)
        texts = []
        for prompt, (tokens, truncated) in zip(asked, replies, strict=True):
            self._lengths[prompt].append((len(tokens) - (not truncated), truncated))
            text = self._decoder.decode(tokens, skip_special_tokens=True)
            texts.append(text.split(self.tokenizer.eos_token)[0] if self.tokenizer.eos_token else text)
        return texts

    def take_length(self, prompt: str) -> tuple[int, bool]:
        """Take the tokens of the next answer to `prompt`, without the end token, and whether it was cut."""
        return self._lengths[prompt].popleft()


def open_alone(folder: Path, settings: EngineSettings, ends: frozenset[int]) -> Any:
    """Open vLLM, here or behind a server of the job's own, on a language model's folder."""
    from transformers import AutoConfig

    from benchmarks.answering.vllm_engine import VllmCompleter
    from benchmarks.answering.vllm_server import ServerCompleter

    positions = read_positions(AutoConfig.from_pretrained(folder, trust_remote_code=False))
    return (ServerCompleter if settings.serve else VllmCompleter)(folder, settings, ends, positions)
