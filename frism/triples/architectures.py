"""List architectures that are read without transformers: where each keeps its language model.

All others are derived from transformers' classes (`frism.triples.derivation`), which gives the same for
these; the table saves plain merges an import of seconds, and says what cannot be derived: Mllama's layers
between those of a text model, and which types are copies of which text model.

Two names for one tensor: the hub's files and what transformers 5 writes carry the names of older releases
("language_model.model.layers.0..."); `save_pretrained(save_original_format=False)` writes the names of the
modules in memory ("model.language_model.layers.0..."). Verified against the classes of transformers 5.23.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """Describe one model_type of config.json.

    Attributes:
        stored: prefixes of the language model's tensors in files, the longest first.
        module: path of the language model among the modules of the loaded model.
        texts: the types of text model that it may hold, which are those of its B and R.
        vision, projector: how the other tensors' names start, after an optional "model."; the projector's
            are looked up first. Both empty for a text model.
        interleaved: key of the text config that lists layers which a text model does not have.
    """

    stored: tuple[str, ...]
    module: str
    texts: tuple[str, ...]
    vision: tuple[str, ...] = ()
    projector: tuple[str, ...] = ()
    interleaved: str | None = None

    @property
    def is_vlm(self) -> bool:
        """Whether this is a vision-language model."""
        return bool(self.vision)


# The text models; which of them a receiver holds is the model_type of its text_config.
TEXTS = ("qwen2", "qwen3", "llama", "mistral", "gemma", "gemma2", "gemma3_text")
# What receivers call their own copies of text models ("": a flat config of older checkpoints).
ALIASES = {
    "glm4v_text": "glm4", "glm4v_moe_text": "glm4_moe", "hunyuan_vl_text": "hunyuan_v1_dense",
    "paddleocr_vl_text": "ernie4_5", "qwen2_5_omni_text": "qwen2", "qwen3_omni_moe_text": "qwen3_moe",
    "qwen3_vl_moe_text": "qwen3_moe",
    "qwen2_vl": "qwen2", "qwen2_vl_text": "qwen2", "qwen2_5_vl": "qwen2", "qwen2_5_vl_text": "qwen2",
    "qwen3_vl": "qwen3", "qwen3_vl_text": "qwen3", "mllama": "llama", "mllama_text_model": "llama",
}  # fmt: skip

_MEMORY, _HUB = "model.language_model.", "language_model.model."
_LLAVA = Architecture(
    (_MEMORY, _HUB), "model.language_model", TEXTS, ("vision_tower.",),
    ("multi_modal_projector.", "image_newline"),
)  # fmt: skip
_IDEFICS = Architecture(
    ("model.text_model.",), "model.text_model", TEXTS, ("vision_model.",), ("connector.",)
)


def _qwen_vl(text: str, *, hub: tuple[str, ...] = ()) -> Architecture:
    mergers = ("visual.merger.", "visual.deepstack_merger_list.")
    return Architecture((_MEMORY, *hub), "model.language_model", (text,), ("visual.",), mergers)


ARCHITECTURES: dict[str, Architecture] = {
    **{text: Architecture(("model.", ""), "model", (text,)) for text in TEXTS},
    "qwen2_vl": _qwen_vl("qwen2", hub=("model.",)),
    "qwen2_5_vl": _qwen_vl("qwen2", hub=("model.",)),
    "qwen3_vl": _qwen_vl("qwen3"),
    "llava": _LLAVA,
    "llava_next": _LLAVA,
    "llava_onevision": _LLAVA,
    "internvl": _LLAVA,
    "paligemma": _LLAVA,
    "gemma3": _LLAVA,
    "idefics2": _IDEFICS,
    "idefics3": _IDEFICS,
    "smolvlm": _IDEFICS,
    "mllama": Architecture(
        (_MEMORY, _HUB), "model.language_model", ("llama",), ("vision_model.",), ("multi_modal_projector.",),
        interleaved="cross_attention_layers",
    ),
}  # fmt: skip
# The output head: its names in files; in memory it is always the first.
HEAD, STORED_HEADS = "lm_head.weight", ("lm_head.weight", "language_model.lm_head.weight")
EMBEDDING, FINAL_NORM = "embed_tokens.weight", "norm.weight"
# Text models whose RMSNorm multiplies by 1 + w instead of w.
SHIFTED_NORMS = ("gemma", "gemma2", "gemma3_text")


def resolve_text_type(model_type: str) -> str:
    """Return the text model's type behind a receiver's own name for it: "qwen2" for "qwen2_5_vl_text"."""
    return ALIASES.get(model_type, model_type)
