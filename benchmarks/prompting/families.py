"""Describe, for each model family, how VLMEvalKit writes its prompts, as a table of a few fields.

VLMEvalKit's rules are spread over its model classes: who writes the prompt, which system prompt and pixel
limits apply, and how some families lay the prompt out. What depends on the benchmark is decided by the model
class itself when items are made; what is left for an engine is in the family's fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from frism.errors import UserError, suggest
from frism.files import read_json

Message = list[dict[str, str]]


@dataclass(frozen=True)
class Family:
    """Describe one family. `None` for a pixel limit or system prompt leaves it to the checkpoint's processor.

    Attributes:
        name, model_types: the family, and each `model_type` of a config.json that belongs to it.
        reference: VLMEvalKit's model class, in `vlmeval.vlm`.
        custom_prompts: whether that class may write prompts in place of the dataset's (its own rule then
            says for which datasets).
        system_prompt: what the class puts before the question.
        min_pixels, max_pixels: limits that a picture is brought within before the processor sees it.
        pixel_factor: sides become multiples of this many pixels; None: the family has no pixel limits.
        exceptions: per dataset another `min_pixels`, or for tiling families another `tiles`.
        tiles: most tiles that a picture is cut into; None leaves it to the processor.
        layout: "chat" (the checkpoint's template, pictures where they stand), "inline" (the template, with
            `marker` in one text for each picture), "framed" (`frame` around the parts), "bare" (text alone).
        rewrite: what the class does to a message, depending on the dataset, before it generates: "templates"
            (Idefics and SmolVLM), "numbered" (InternVL), "first_picture" (PaliGemma).
        resized: pictures reach the processor in their final size, so it must not resize them again.
        bos_in_template: the template writes the token that begins a text; the tokenizer must not repeat it.
        verbatim: answers are decoded without tidying spaces, whatever the tokenizer is set to.
        stripped: spaces around an answer are dropped.
        attributes: what the class reads from itself when it writes prompts.
        thinking: how its models mark their thoughts: a name of `benchmarks.prompting.thinking`, or `any`. The
            tower merged in may bring habits of its own, so a family with a single one is rare.
    """

    name: str
    model_types: tuple[str, ...]
    reference: str
    custom_prompts: bool = False
    system_prompt: str | None = None
    min_pixels: int | None = None
    max_pixels: int | None = None
    pixel_factor: int | None = None
    exceptions: tuple[tuple[str, int], ...] = ()
    tiles: int | None = None
    layout: Literal["chat", "inline", "framed", "bare"] = "chat"
    marker: str = ""
    frame: tuple[str, str] = ("", "")
    rewrite: Literal["", "templates", "numbered", "first_picture"] = ""
    resized: bool = False
    bos_in_template: bool = False
    verbatim: bool = False
    stripped: bool = False
    attributes: tuple[tuple[str, str | bool | None], ...] = ()
    thinking: str = "any"

    def fingerprint(self) -> dict[str, object]:
        """Return everything that decides about prompts and pictures, as JSON; `restore` takes it back."""
        content = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
        if self.thinking == Family.thinking:
            del content["thinking"]  # as before there was this field
        return content

    def limit(self, dataset: str, default: int | None) -> int | None:
        """Return the value of `exceptions` for a dataset, else `default`.

        As in VLMEvalKit, pixel exceptions name a dataset exactly, tile exceptions a part of its name.
        """
        for word, value in self.exceptions:
            if word == dataset or (self.tiles is not None and word in dataset):
                return value
        return default


_TILES = tuple(
    [(n, 12) for n in ("ChartQA_TEST", "MMMU_DEV_VAL", "MMMU_TEST", "MME-RealWorld", "VCR_EN", "VCR_ZH",
                       "OCRVQA", "BMMR")]
    + [(n, 18) for n in ("DocVQA_VAL", "DocVQA_TEST", "DUDE", "MMLongBench_DOC", "SLIDEVQA")]
    + [(n, 24) for n in ("InfoVQA_VAL", "InfoVQA_TEST", "OCRBench", "HRBench4K", "HRBench8K")]
)  # fmt: skip
_END = "<end_of_utterance>\nAssistant:"

# VLMEvalKit's entries for the released Qwen checkpoints (vlmeval.config.supported_VLM) add
# min_pixels=1280*28*28 and max_pixels=16384*28*28 to what stands here: a study that wants its leaderboard's
# numbers says so under `prompting`. custom_prompts is what those entries have.
FAMILIES: tuple[Family, ...] = (
    Family("qwen2_vl", ("qwen2_vl",), "Qwen2VLChat", custom_prompts=True, pixel_factor=28,
           exceptions=(("OCRBench", 100 * 28 * 28),), verbatim=True),
    Family("qwen2_5_vl", ("qwen2_5_vl",), "Qwen2VLChat", pixel_factor=28,
           exceptions=(("OCRBench", 100 * 28 * 28),), verbatim=True),
    Family("qwen3_vl", ("qwen3_vl",), "Qwen3VLChat", pixel_factor=32,
           exceptions=(("OCRBench", 100 * 32 * 32),), resized=True, verbatim=True),
    # VLMEvalKit's class for LLaVA-1.5 needs the original package; this one takes the converted checkpoints.
    Family("llava", ("llava",), "LLaVA_Next", custom_prompts=True, stripped=True),
    Family("llava_next", ("llava_next",), "LLaVA_Next", custom_prompts=True, stripped=True),
    Family("llava_onevision", ("llava_onevision",), "LLaVA_OneVision_HF", layout="inline",
           marker="<image>\n"),
    # VLMEvalKit's class runs the original checkpoints' remote code; prompts and tiling are its own.
    Family("internvl", ("internvl",), "InternVLChat", custom_prompts=True, tiles=6, exceptions=_TILES,
           rewrite="numbered",
           attributes=(("use_mpo_prompt", False), ("use_cot", False), ("cot_prompt", None))),
    Family("idefics2", ("idefics2",), "IDEFICS2", layout="framed", frame=("User:", _END),
           rewrite="templates", stripped=True),
    Family("idefics3", ("idefics3",), "IDEFICS2", layout="framed", frame=("User:", _END),
           rewrite="templates", stripped=True),
    Family("smolvlm", ("smolvlm",), "SmolVLM2", layout="framed", frame=("<|im_start|>User:", _END),
           rewrite="templates", stripped=True),
    # The class asks by the size in the checkpoint's name; these are the prompts for 11B.
    Family("mllama", ("mllama",), "llama_vision", custom_prompts=True,
           attributes=(("model_name", "Llama-3.2-11B-Vision-Instruct"),)),
    Family("gemma3", ("gemma3",), "Gemma3", system_prompt="You are a helpful assistant. ",
           bos_in_template=True),
    Family("paligemma", ("paligemma",), "PaliGemma", layout="bare", rewrite="first_picture"),
)  # fmt: skip
OVERRIDES = ("custom_prompts", "min_pixels", "max_pixels", "system_prompt")


def find_family(model_type: str, **overrides: Any) -> Family:
    """Return the family of a `model_type`, with those of OVERRIDES that a study's `prompting` sets.

    Raises UserError for an unknown type or key, and for pixel limits that the family does not know.
    """
    known = {kind: entry for entry in FAMILIES for kind in entry.model_types}
    if model_type not in known:
        hint = suggest(model_type, known) or f" There are: {', '.join(known)}."
        raise UserError(f"no prompting rules for model type '{model_type}'.{hint}")
    for key in overrides:
        if key not in OVERRIDES:
            raise UserError(f"prompting: unknown key '{key}' (known: {', '.join(OVERRIDES)}).")
    result = replace(known[model_type], **overrides)
    limits = [n for n in (result.min_pixels, result.max_pixels) if n is not None]
    if limits and result.pixel_factor is None:
        raise UserError(
            f"prompting: {result.name} has no pixel limits: drop min_pixels and max_pixels from the config."
        )
    if limits != sorted(limits) or any(n < 1 for n in limits):
        raise UserError(
            f"prompting: min_pixels and max_pixels are {limits}: give positive ascending numbers."
        )
    return result


def restore_family(fingerprint: Mapping[str, object]) -> Family:
    """Return the family whose `fingerprint` this is. Raises UserError when another version wrote it."""
    known = {field.name for field in fields(Family)}
    fingerprint = {"thinking": Family.thinking, **fingerprint}
    if set(fingerprint) != known:
        changed = ", ".join(sorted(known ^ set(fingerprint)))
        raise UserError(
            f"another version of the families made the items (it differs in {changed}): make them again."
        )
    return Family(**{key: _freeze(value) for key, value in fingerprint.items()})


def read_family(folder: str | Path, **overrides: Any) -> Family:
    """Return the family of a checkpoint folder by its config.json. Arguments and errors as in `family`."""
    return find_family(str(read_json(Path(folder) / "config.json").get("model_type")), **overrides)


def _freeze(value: Any) -> Any:
    return tuple(_freeze(v) for v in value) if isinstance(value, list) else value
