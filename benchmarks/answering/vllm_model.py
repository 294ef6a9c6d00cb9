"""Run one vLLM for all variants of a triple: start it on a folder, turn it into a variant, generate."""

import logging
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.answering.orphans import guard_descendants
from benchmarks.answering.swapping import Swapper, take_last_line
from benchmarks.study.engine_settings import EngineSettings
from frism.errors import UserError
from frism.method.fitted import Fitted
from frism.method.recipe import Recipe
from frism.triples.triple import Triple

log = logging.getLogger(__name__)
PICTURES = 24  # of one question, at most; VLMEvalKit's own limit for vLLM
WORKER = "benchmarks.answering.vllm_worker.VariantWorker"
_STEP = 1024  # lengths are rounded up to its multiples: a few longer questions restart nothing
_GRACE = 2.0  # seconds: nothing is lost that lies in vLLM's processes


@dataclass(frozen=True)
class Reply:
    """Holds what was generated: token ids with the end token, the prompt's ids, whether the limit cut it."""

    tokens: list[int]
    prompt: list[int]
    truncated: bool

    @property
    def length(self) -> int:
        """Return the number of new tokens, without the end token."""
        return len(self.tokens) - (not self.truncated)


@dataclass(frozen=True)
class Request:
    """Holds one prompt as `vllm.LLM` takes it, the most new tokens, and whether special tokens are added.

    `ends` are the ids at which this answer ends; none: those of the model. `drawn` says how tokens are
    chosen, by the names of `vllm.SamplingParams`; nothing: the likeliest.
    """

    prompt: dict[str, Any]
    limit: int
    add_special_tokens: bool = True
    ends: tuple[int, ...] = ()
    drawn: Mapping[str, Any] = field(default_factory=dict)


class VllmModel:
    """One vLLM on a checkpoint folder; it starts with the first request and again for longer ones.

    Args:
        folder: of the checkpoint; with `triple` its V, which turns into variants.
        ends: ids of the tokens at which an answer ends.
        positions: that the model was made for; None where its config does not say.
        probe: token ids of a prompt in words, by which swaps are proved.
        pictures: whether the model sees any.

    Raises UserError when vLLM is not installed.
    """

    def __init__(
        self,
        folder: Path,
        settings: EngineSettings,
        ends: Iterable[int],
        positions: int | None,
        probe: Sequence[int] = (),
        triple: Triple | None = None,
        *,
        pictures: bool = True,
    ) -> None:
        check_installed()
        self.folder, self.settings, self._pictures = folder, settings, pictures
        self.ends, self.positions = sorted(ends), positions
        self.length = 0  # of a prompt and its answer, at most, as vLLM was started
        self._llm: Any = None
        self._swapper = Swapper(triple, settings.dtype, list(probe)) if triple is not None else None

    def become(self, recipe: Recipe, fitted: Fitted | None, spectra: Path | None) -> None:
        """Turn into a variant of the triple: now if vLLM runs, else as soon as it does.

        Raises UserError when the variant cannot be merged, or vLLM does not compute with it; then nothing is
        answered until another variant is taken.
        """
        if self._swapper is None:
            raise ValueError("a model without a triple is what it was loaded from")
        self._swapper.want(recipe, fitted, spectra)
        if self._llm is not None:
            self._swapper.swap(self)

    def reserve(self, length: int) -> None:
        """See to it that vLLM runs, for prompts with answers of `length` tokens, as the wanted variant."""
        wanted = choose_length(self.settings, length, self.positions)
        if self._llm is None or wanted > self.length:
            if self._llm is not None:
                log.info("vLLM starts again: questions of %d tokens are longer than before", length)
            self.close()
            self._start(wanted)
        if self._swapper is not None:
            self._swapper.swap(self)

    def generate(self, batches: Iterable[Sequence[Request]]) -> Iterator[list[Reply]]:
        """Answer batches in order; the next ones are under way before one is finished.

        Raises UserError after a failed swap.
        """
        if self._swapper is not None:
            self._swapper.check()
        engine, room = self._llm.llm_engine, self.settings.vllm_settings.max_num_seqs
        upcoming, more = iter(batches), True
        waiting: deque[list[str]] = deque()  # the requests of every batch that is under way
        unfinished: set[str] = set()
        found: dict[str, Reply] = {}
        try:
            while True:
                while more and engine.get_num_unfinished_requests() < room:
                    batch = next(upcoming, None)
                    more = batch is not None
                    if batch is not None:
                        with self._alive():
                            waiting.append([self._enqueue(request) for request in batch])
                        unfinished.update(waiting[-1])
                while waiting and unfinished.isdisjoint(waiting[0]):
                    yield [found.pop(name) for name in waiting.popleft()]
                if unfinished:
                    with self._alive():
                        outputs = [output for output in engine.step() if output.finished]
                    for output in outputs:
                        found[output.request_id] = _read(output)
                        unfinished.discard(output.request_id)
                elif not more:
                    return
        finally:
            if unfinished and self._llm is not None:  # nobody wants the rest
                engine.abort_request(list(unfinished))

    def close(self) -> None:
        """End vLLM and free its memory; the next request starts it again, as the same variant."""
        if self._llm is not None:
            self._llm.llm_engine.engine_core.shutdown(timeout=_GRACE)
        self._llm, self.length = None, 0

    def call(self, method: str, **arguments: Any) -> list[Any]:
        """Call a method of `VariantWorker` in every worker."""
        with self._alive():
            answers: list[Any] = self._llm.collective_rpc(method, kwargs=arguments)
        return answers

    def forget(self) -> None:
        """Reset the caches that depend on weights. Raises UserError when requests are under way."""
        # Keys and values of the old weights: equal beginnings of prompts would be answered with them.
        if not self._llm.reset_prefix_cache():
            raise UserError("vLLM is still busy with another variant's questions: wait for them.")
        # The workers have forgotten what the vision tower gave, and the scheduler counts on it.
        self._llm.llm_engine.reset_encoder_cache()

    def ask_probe(self, tokens: list[int]) -> list[float]:
        """Return the log-probabilities of a prompt's tokens, after the first."""
        from vllm import SamplingParams

        params = SamplingParams(temperature=0, max_tokens=1, prompt_logprobs=0, detokenize=False)
        with self._alive():
            reply = self._llm.generate([{"prompt_token_ids": tokens}], params, use_tqdm=False)[0]
        rest = zip(tokens[1:], reply.prompt_logprobs[1:], strict=True)
        return [float(row[token].logprob) for token, row in rest]

    def _start(self, length: int) -> None:
        os.environ.update(make_environment(self.settings))
        import vllm
        from vllm.platforms import current_platform

        kind = self.settings.torch_device.type
        if current_platform.device_type != kind:
            raise UserError(
                f"engine.device is {self.settings.device}, but this vLLM is built for"
                f" {current_platform.device_type}: set it to {current_platform.device_type}."
            )
        guard_descendants()
        try:
            self._llm = vllm.LLM(
                str(self.folder),
                dtype=self.settings.dtype,
                seed=0,
                generation_config="vllm",  # a checkpoint's own would change greedy answers
                max_model_len=length,
                worker_extension_cls=WORKER,
                disable_log_stats=True,
                use_tqdm_on_load=False,
                **make_arguments(self.settings),
                **({"limit_mm_per_prompt": {"image": PICTURES, "video": 0}} if self._pictures else {}),
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise UserError(
                f"vLLM did not start on {self.folder} ({take_last_line(error)}; more is above): set"
                " engine.vllm.max_model_len or gpu_memory_utilization where memory is short."
            ) from error
        self.length = length
        if self._swapper is not None:
            self._swapper.begin(self)

    @contextmanager
    def _alive(self) -> Iterator[None]:
        """Say so when vLLM ends meanwhile; what is asked next starts it again."""
        from vllm.v1.engine.exceptions import EngineDeadError

        try:
            yield
        except EngineDeadError as error:
            self.close()
            raise UserError(
                "vLLM ended while it answered (its error is above): run again; finished answers are kept."
            ) from error

    def _enqueue(self, request: Request) -> str:
        from vllm import SamplingParams

        params = SamplingParams(
            **{"temperature": 0, "seed": 0, **request.drawn}, max_tokens=request.limit, detokenize=False,
            stop_token_ids=list(request.ends or self.ends), ignore_eos=True,  # the ends are all there are
        )  # fmt: skip
        further = {} if request.add_special_tokens else {"add_special_tokens": False}
        names = self._llm.enqueue(
            [request.prompt], [params], use_tqdm=False, tokenization_kwargs=further or None
        )
        return str(names[0]).rpartition("-")[0]  # vLLM's own name for it has a random ending


def make_environment(settings: EngineSettings) -> dict[str, str]:
    """Return variables that vLLM reads when it is imported or started."""
    chosen = {
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_LOGGING_LEVEL": os.environ.get("VLLM_LOGGING_LEVEL", "ERROR"),
    }
    return chosen | ({"VLLM_BATCH_INVARIANT": "1"} if settings.vllm_settings.batch_invariant else {})


def choose_length(settings: EngineSettings, length: int, positions: int | None) -> int:
    """Choose vLLM's `max_model_len` for prompts with answers of `length` tokens."""
    wanted = settings.vllm_settings.max_model_len or -(-length // _STEP) * _STEP
    return wanted if positions is None else min(wanted, positions)


def make_arguments(settings: EngineSettings) -> dict[str, Any]:
    """Return what else vLLM is started with, by the names of its arguments; what is not set is left out."""
    chosen = settings.vllm_settings
    gpu = settings.torch_device.type == "cuda"
    arguments: dict[str, Any] = {
        "tensor_parallel_size": chosen.tensor_parallel,
        "max_num_seqs": chosen.max_num_seqs,
        "max_num_batched_tokens": chosen.max_num_batched_tokens,
        "enable_prefix_caching": chosen.prefix_caching,
        "enforce_eager": chosen.enforce_eager or not gpu,
    }
    if gpu:
        arguments["gpu_memory_utilization"] = chosen.gpu_memory_utilization
    if chosen.block_size is not None:
        arguments["block_size"] = chosen.block_size
    return arguments


def check_installed() -> None:
    """Raise UserError unless vLLM can be imported."""
    from importlib.util import find_spec

    try:
        found = find_spec("vllm") is not None
    except ValueError:  # somebody keeps it from being imported
        found = False
    if not found:
        raise UserError(
            "the study's engine is vLLM, but vLLM is not installed: make vllm sets up an environment with it"
            " (docs/vllm.md), or set engine.name to transformers."
        )


def _read(output: Any) -> Reply:
    answer = output.outputs[0]
    return Reply(list(answer.token_ids), list(output.prompt_token_ids), answer.finish_reason == "length")
