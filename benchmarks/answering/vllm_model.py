"""Run one vLLM for all variants of a triple: start it on a folder, turn it into a variant in place, generate."""

import logging
import os
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.answering.swap_proof import SwapProof
from benchmarks.answering.tower_stream import Swap, describe_folders
from benchmarks.study.engine_settings import EngineSettings
from frism.errors import UserError
from frism.method.fitted import Fitted
from frism.method.recipe import Recipe
from frism.triples.triple import Triple

log = logging.getLogger(__name__)
PICTURES = 24  # of one question, at most; VLMEvalKit's own limit for vLLM
WORKER = "benchmarks.answering.vllm_worker.VariantWorker"
_STEP = 1024  # lengths are rounded up to its multiples: a few longer questions restart nothing
# What of the environment vLLM reads once, when it is imported or started.
_QUIET = {"VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "WARNING"}


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

    `ends` are the ids at which this answer ends; none: those of the model.
    """

    prompt: dict[str, Any]
    limit: int
    add_special_tokens: bool = True
    ends: tuple[int, ...] = ()


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
        self.folder, self.settings, self.triple, self._pictures = folder, settings, triple, pictures
        self.ends, self.positions, self._probe = sorted(ends), positions, list(probe)
        self.length = 0  # of a prompt and its answer, at most, as vLLM was started
        self._llm: Any = None
        self._wanted: tuple[Swap, str] | None = None  # with the recipe's key; None: as loaded
        self._applied: tuple[Swap, str] | None = None
        self._sound = True  # False between a swap that failed and the next that does not
        self._proof = SwapProof(settings.dtype)
        self._scratch: tempfile.TemporaryDirectory[str] | None = None

    def become(self, recipe: Recipe, fitted: Fitted | None, spectra: Path | None) -> None:
        """Turn into a variant of the triple: now if vLLM runs, else as soon as it does.

        Raises UserError when the variant cannot be merged, or vLLM does not compute with it; then nothing is
        answered until another variant is taken.
        """
        if self.triple is None:
            raise ValueError("a model without a triple is what it was loaded from")
        recipe.check(self.triple, fitted)
        if self._scratch is None:
            self._scratch = tempfile.TemporaryDirectory(prefix="variants-")
        spectra = spectra.resolve() if spectra else None
        folder = Path(self._scratch.name, recipe.key)
        self._wanted = (Swap.save(self.triple, recipe, fitted, spectra, folder), recipe.key)
        if self._llm is not None:
            self._swap()

    def reserve(self, length: int) -> None:
        """See to it that vLLM runs, for prompts with answers of `length` tokens; start it again if need be."""
        settings = self.settings.vllm_settings
        wanted = settings.max_model_len or -(-length // _STEP) * _STEP
        if self.positions is not None:
            wanted = min(wanted, self.positions)
        if self._llm is None or wanted > self.length:
            if self._llm is not None:
                log.info("vLLM starts again: questions of %d tokens are longer than before", length)
            self.close()
            self._start(wanted)
        if not self._sound or self._applied != self._wanted:
            self._swap()

    def generate(self, batches: Iterable[Sequence[Request]]) -> Iterator[list[Reply]]:
        """Answer batches greedily, in order; the next ones are under way before one is finished.

        Raises UserError after a failed swap.
        """
        self._check_sound()
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
                        waiting.append([self._enqueue(request) for request in batch])
                        unfinished.update(waiting[-1])
                while waiting and unfinished.isdisjoint(waiting[0]):
                    yield [found.pop(name) for name in waiting.popleft()]
                if unfinished:
                    for output in self._step():
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
            self._llm.llm_engine.engine_core.shutdown()
            self._llm = None
        self._applied, self._sound, self.length = None, True, 0
        self._proof = SwapProof(self.settings.dtype)

    def _start(self, length: int) -> None:
        settings = self.settings.vllm_settings
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
        if settings.batch_invariant:
            os.environ["VLLM_BATCH_INVARIANT"] = "1"
        import vllm
        from vllm.platforms import current_platform

        kind = self.settings.torch_device.type
        if current_platform.device_type != kind:
            raise UserError(
                f"engine.device is {self.settings.device}, but this vLLM is built for"
                f" {current_platform.device_type}: set it to {current_platform.device_type}."
            )
        try:
            self._llm = vllm.LLM(
                str(self.folder),
                dtype=self.settings.dtype,
                seed=0,
                generation_config="vllm",  # a checkpoint's own would change greedy answers
                max_model_len=length,
                worker_extension_cls=WORKER,
                disable_log_stats=True,
                **make_arguments(self.settings),
                **({"limit_mm_per_prompt": {"image": PICTURES, "video": 0}} if self._pictures else {}),
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise UserError(
                f"vLLM did not start on {self.folder} ({_take_last_line(error)}; more is above): set"
                " engine.vllm.max_model_len or gpu_memory_utilization where memory is short."
            ) from error
        self.length = length
        self._call("end_with_parent", parent=os.getpid())
        if self.triple is not None:
            whole = Swap(describe_folders(self.triple))
            self._proof.check(self._call("sum_up_variant", swap=whole.to_dict())[0], self._ask_probe())

    def _swap(self) -> None:
        """Merge the wanted variant in the workers, forget what was computed before, and prove it."""
        assert self.triple is not None
        swap, key = self._wanted or (Swap(describe_folders(self.triple)), "")
        self._sound = False
        try:
            replies = self._call("load_variant", swap=swap.to_dict())
        except UserError:
            raise
        except Exception as error:
            raise UserError(
                f"vLLM could not turn into the variant with key '{key}' ({_take_last_line(error)}): correct"
                " the cause and run again."
            ) from error
        tensors = len(self.triple.tower_names(self.triple.widest_scope))
        reply = self._proof.check_replies(replies, key, tensors)
        # Keys and values of the old weights: equal beginnings of prompts would be answered with them.
        if not self._llm.reset_prefix_cache():
            raise UserError("vLLM is still busy with another variant's questions: wait for them.")
        # The workers have forgotten what the vision tower gave, and the scheduler counts on it.
        self._llm.llm_engine.reset_encoder_cache()
        self._proof.check(reply, self._ask_probe())
        self._sound, self._applied = True, self._wanted

    def _ask_probe(self) -> list[float]:
        """Return the log-probabilities of the probe's tokens, after the first."""
        from vllm import SamplingParams

        params = SamplingParams(temperature=0, max_tokens=1, prompt_logprobs=0, detokenize=False)
        reply = self._llm.generate([{"prompt_token_ids": self._probe}], params, use_tqdm=False)[0]
        rest = zip(self._probe[1:], reply.prompt_logprobs[1:], strict=True)
        return [float(row[token].logprob) for token, row in rest]

    def _call(self, method: str, **arguments: Any) -> list[Any]:
        answers: list[Any] = self._llm.collective_rpc(method, kwargs=arguments)
        return answers

    def _check_sound(self) -> None:
        if not self._sound:
            raise UserError("the last swap of variants failed, so vLLM answers nothing: take a variant anew.")

    def _step(self) -> list[Any]:
        """Let vLLM go on; return what was finished."""
        from vllm.v1.engine.exceptions import EngineDeadError

        try:
            return [output for output in self._llm.llm_engine.step() if output.finished]
        except EngineDeadError as error:
            self.close()
            raise UserError(
                "vLLM ended while it answered (its error is above): run again; finished answers are kept."
            ) from error

    def _enqueue(self, request: Request) -> str:
        from vllm import SamplingParams

        params = SamplingParams(
            temperature=0, max_tokens=request.limit, seed=0, detokenize=False,
            stop_token_ids=list(request.ends or self.ends), ignore_eos=True,  # the ends are all there are
        )  # fmt: skip
        further = {} if request.add_special_tokens else {"add_special_tokens": False}
        names = self._llm.enqueue(
            [request.prompt], [params], use_tqdm=False, tokenization_kwargs=further or None
        )
        return str(names[0]).rpartition("-")[0]  # vLLM's own name for it has a random ending


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

    if find_spec("vllm") is None:
        raise UserError(
            "engine.name is vllm, but vLLM is not installed: pip install vllm on a machine with a GPU, or"
            " set engine.name to transformers."
        )


def _read(output: Any) -> Reply:
    answer = output.outputs[0]
    return Reply(list(answer.token_ids), list(output.prompt_token_ids), answer.finish_reason == "length")


def _take_last_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
