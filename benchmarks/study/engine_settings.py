"""Say how answers are generated: the `engine` part of a study's config, with a sentence for every mistake.

Imports no torch: a plan is made without it.
"""

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from benchmarks.study.sampling_settings import SamplingSettings
from benchmarks.study.section import Section
from benchmarks.study.vllm_settings import VllmSettings
from frism.errors import UserError, suggest

if TYPE_CHECKING:
    import torch

EngineName = Literal["transformers", "vlmeval", "vllm", "openai"]
# The names in the table of `benchmarks.prompting.thinking`, a room above this one.
THINKING = ("any", "none", "think", "thinking", "thought", "reflection", "reasoning", "seed", "magistral",
            "kimi", "sky", "cohere", "gemma", "apertus", "harmony")  # fmt: skip
LOCAL = ("transformers", "vlmeval")  # engines that load the weights into this process
# Fields that only some engines know; elsewhere they would be ignored without a word.
_OF = {
    "token_budget": ("transformers",),
    "thinking_budget": ("transformers",),
    "device_map": LOCAL,
    "turns": LOCAL,
    "devices": ("transformers", "vllm"),
    "checkpoint": ("vllm",),
    "vllm": ("vllm", "openai"),
    "serve": ("openai",),
    "address": ("openai",),
    "model": ("openai",),
    "key_variable": ("openai",),
    "retries": ("openai",),
    "timeout": ("openai",),
    "transparency": ("vlmeval",),
    "failures": ("transformers", "vllm", "openai"),
    "sampling": ("transformers", "vllm", "openai"),
}


class Served(Section):
    """Holds where one variant is served, as far as that differs from the engine's address and model."""

    address: str | None = None
    model: str | None = None


class CountedFailures(Section):
    """Holds up to which share of a benchmark's questions may be impossible to answer."""

    count_as_unanswered: float = Field(gt=0, le=1)


FailurePolicy = Literal["fail"] | CountedFailures


class EngineSettings(Section):
    """Holds how answers are generated: greedily, unless they are sampled, whatever the engine."""

    name: EngineName = Field(
        "transformers",
        description="transformers: batches, merged on load; vlmeval: VLMEvalKit's own loop, the reference;"
        " vllm: vLLM, which turns into one variant after the other in place; openai: any OpenAI-compatible"
        " server",
    )
    dtype: Literal["float32", "bfloat16", "float16"] = Field(
        "float32", description="of the weights; with float32 an answer's bytes do not depend on its batch"
    )
    device: Literal["cpu", "cuda", "auto"] = Field(
        "cpu", description="where fits run, and local engines; auto: a GPU where there is one"
    )
    device_map: Literal["auto"] | None = Field(
        None, description="auto: spread a model that is larger than one GPU over all of them"
    )
    devices: int = Field(
        1, ge=1, description="processes that share the questions, each with a GPU of its own"
    )
    batch_size: int = Field(256, ge=1, description="most questions, or samples of them, at a time")
    token_budget: int | None = Field(
        None,
        ge=1,
        description="most tokens at a time, padding and answers included; questions are then sorted by"
        " length. null: batches in the benchmark's order, of batch_size alone",
    )
    max_new_tokens: int = Field(48, ge=1, description="where neither benchmark nor question says otherwise")
    turns: bool = Field(
        False,
        exclude_if=lambda value: not value,  # digests of settings are older than this one
        description="all variants take turns in one process that loads V once, as with vLLM: less work in"
        " all, and nothing side by side within one study",
    )
    workers: int = Field(
        2, ge=0, description="threads that prepare pictures ahead; openai: requests at a time (0: one)"
    )
    thinking: str | tuple[str, str] | None = Field(
        None,
        exclude_if=lambda value: value is None,  # digests of settings are older than this one
        description="the tags around a model's thoughts: any, none, a name of"
        " benchmarks/prompting/thinking.py or [opening, closing]; an opening tag that the chat template"
        " writes is put back, tags that are special tokens are kept. null: as the model's family has it",
    )
    thinking_budget: int | None = Field(
        None,
        ge=1,
        exclude_if=lambda value: value is None,
        description="tokens after which an answer that is still in its first thought has the closing tag put"
        " in, to go on from there. null: thoughts end by themselves or at max_new_tokens",
    )
    sampling: SamplingSettings | None = Field(
        None,
        exclude_if=lambda value: value is None,  # digests of settings are older than this one
        description="several answers per question, drawn at random: a mapping of `samples` (4), `temperature`"
        " (0.6), `top_p` (0.95), `top_k` (all), `on_dev` (false: dev stays greedy) and `seed` (the study's)."
        " null: one answer, decoded greedily",
    )
    vllm: VllmSettings | None = Field(
        None,
        exclude_if=lambda value: value is None,
        description="how vLLM is started, by engine vllm or for `serve: vllm`",
    )
    serve: Literal["vllm"] | None = Field(
        None,
        exclude_if=lambda value: value is None,
        description="vllm: a job starts its server itself and swaps the variants there; then without address"
        " and model",
    )
    address: str | None = Field(None, description="the server's base address, as http://localhost:8000/v1")
    model: str | None = Field(None, description="the name under which the server has the checkpoint")
    key_variable: str = Field(
        "OPENAI_API_KEY", description="the environment variable with the server's key, if it wants one"
    )
    retries: int = Field(5, ge=0, description="of a request that fails, with growing pauses")
    timeout: float = Field(600, gt=0, description="seconds that one request may take")
    checkpoint: str | None = Field(
        None,
        description="folder of one exported variant, loaded as it is; null: V is loaded and turned into the"
        " variant",
    )
    transparency: Literal["white", "dropped"] = Field(
        "white",
        description="what transparent parts of a picture show: white, or (vlmeval) what VLMEvalKit shows, the"
        " hidden colours beneath, which are mostly black",
    )
    failures: FailurePolicy = Field(
        "fail",
        description="a question that cannot be answered (a picture that cannot be decoded, a prompt longer"
        " than the model's positions, a request that the server refuses): `fail` ends the run;"
        " `{count_as_unanswered: 0.01}` counts it as unanswered, as long as these are at most that share of a"
        " benchmark's questions",
    )

    @model_validator(mode="after")
    def _known_to_this_engine(self) -> Self:
        for field, engines in _OF.items():
            if self.name not in engines and getattr(self, field) != type(self).model_fields[field].default:
                raise ValueError(f"{field} is a setting of {' and '.join(engines)}, not of {self.name}")
        if self.serve and (self.address or self.model):
            raise ValueError("serve starts a server of its own: drop address and model, or drop serve")
        if self.vllm and self.name == "openai" and not self.serve:
            raise ValueError("vllm says how a server is started: add `serve: vllm`, or drop it")
        if self.checkpoint and self.devices > 1:
            raise ValueError("checkpoint is one variant by hand: drop devices, or drop checkpoint")
        if isinstance(self.thinking, str) and self.thinking not in THINKING:
            hint = suggest(self.thinking, THINKING) or f" There are: {', '.join(THINKING)}."
            raise ValueError(f"thinking: no convention '{self.thinking}'.{hint}".removesuffix("."))
        if isinstance(self.thinking, tuple) and not all(tag.strip() for tag in self.thinking):
            raise ValueError("thinking wants two tags, the opening and the closing one")
        if self.device_map and self.devices > 1:
            raise ValueError("device_map spreads one model over the GPUs: drop devices, or drop device_map")
        return self

    def at(self, served: Served | None) -> Self:
        """Return the settings for a variant that is served under an address or name of its own."""
        given = served.model_dump(exclude_none=True) if served is not None else {}
        return self.model_copy(update=given)

    @property
    def runs_vllm(self) -> bool:
        """Return whether a job runs vLLM itself: dear to start, and quick to turn into another variant."""
        return self.name == "vllm" or self.serve == "vllm"

    @property
    def samples(self) -> int | None:
        """Return the number of answers drawn per question; None where there is one, decoded greedily."""
        return None if self.sampling is None else self.sampling.samples

    @property
    def on_dev(self) -> Self:
        """Return the settings that dev questions are answered with: greedily, unless asked for otherwise."""
        if self.sampling is None or self.sampling.on_dev:
            return self
        return self.model_copy(update={"sampling": None})

    @property
    def tolerated_share(self) -> float | None:
        """Return up to which share of a benchmark's questions may fail; None where one ends the run."""
        return None if self.failures == "fail" else self.failures.count_as_unanswered

    @property
    def vllm_settings(self) -> VllmSettings:
        """Return how vLLM is started; its defaults where nothing is said."""
        return self.vllm or VllmSettings()

    @property
    def torch_dtype(self) -> "torch.dtype":
        """Return the dtype as torch knows it."""
        import torch

        dtype: torch.dtype = getattr(torch, self.dtype)
        return dtype

    @property
    def torch_device(self) -> "torch.device":
        """Return the device; "auto" is CUDA where there is one. Raises UserError when CUDA is missing."""
        import torch

        if self.device == "cuda" and not torch.cuda.is_available():
            raise UserError("engine.device is cuda, but torch sees no GPU: set it to cpu or auto.")
        wanted = "cuda" if self.device == "auto" and torch.cuda.is_available() else self.device
        return torch.device("cpu" if wanted == "auto" else wanted)
