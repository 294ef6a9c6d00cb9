"""Model families: how VLMEvalKit speaks to each kind of model, as a table of a few fields.

VLMEvalKit's rules are spread over its model classes: who writes the prompt, which system prompt and pixel
limits apply, and how some families lay the prompt out. What depends on the benchmark is settled here, when
items are made, by the model class itself; what is left for an engine is in the family's fields.
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
    """One family. `None` for a pixel limit or system prompt leaves it to the checkpoint's own processor.

    Attributes:
        name, model_types: the family, and the `model_type` of the config.json that belong to it.
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
        attributes: what the class wants to find on itself when it writes prompts.
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
    attributes: tuple[tuple[str, Any], ...] = ()

    def fingerprint(self) -> dict[str, Any]:
        """Everything that decides about prompts and pictures, as JSON; `restore` takes it back."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    def limit(self, dataset: str, default: int | None) -> int | None:
        """The value of `exceptions` for a dataset, else `default`. As VLMEvalKit: pixel exceptions name a
        dataset exactly, tile exceptions a part of its name."""
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


def family(model_type: str, **overrides: Any) -> Family:
    """The family of a `model_type`, with some of OVERRIDES set as a study's `prompting` says.

    Raises UserError for an unknown type or key, and for pixel limits that the family does not know.
    """
    known = {kind: entry for entry in FAMILIES for kind in entry.model_types}
    if model_type not in known:
        near = suggest(model_type, known) or f" There are: {', '.join(known)}."
        raise UserError(f"no prompting rules for model type '{model_type}'.{near}")
    for key in overrides:
        if key not in OVERRIDES:
            raise UserError(f"prompting: unknown key '{key}' (known: {', '.join(OVERRIDES)}).")
    found = replace(known[model_type], **overrides)
    limits = [n for n in (found.min_pixels, found.max_pixels) if n is not None]
    if limits and found.pixel_factor is None:
        raise UserError(
            f"prompting: {found.name} has no pixel limits: drop min_pixels and max_pixels from the config."
        )
    if limits != sorted(limits) or any(n < 1 for n in limits):
        raise UserError(
            f"prompting: min_pixels and max_pixels are {limits}: give positive ascending numbers."
        )
    return found


def restore(fingerprint: Mapping[str, Any]) -> Family:
    """The family whose `fingerprint` this is. Raises UserError when it is of another version."""
    known = {field.name for field in fields(Family)}
    if set(fingerprint) != known:
        odd = ", ".join(sorted(known ^ set(fingerprint)))
        raise UserError(f"the items were made by another version of the families ({odd}): make them again.")
    return Family(**{key: _frozen(value) for key, value in fingerprint.items()})


def family_of(folder: str | Path, **overrides: Any) -> Family:
    """The family of a checkpoint folder (or hub file) by its config.json, as `family`."""
    return family(str(read_json(Path(folder) / "config.json").get("model_type")), **overrides)


def _frozen(value: Any) -> Any:
    return tuple(_frozen(v) for v in value) if isinstance(value, list) else value
