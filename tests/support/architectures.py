"""Tiny random triples of every architecture that the engine knows, made by the real transformers classes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import nn
from transformers import PreTrainedTokenizerFast

HIDDEN, MLP, HEADS, KV_HEADS, LAYERS, VOCABULARY = 32, 48, 4, 2, 3, 96
IMAGE_TOKEN = VOCABULARY - 1
Naming = Literal["hub", "memory"]


@dataclass(frozen=True)
class Family:
    """How one kind of triple is built: the text model's type, V's configuration class and what it adds."""

    text: str
    config: str
    vision: Callable[[], dict[str, Any]]
    text_extra: dict[str, Any] = field(default_factory=dict)  # of V's tower alone
    extra: dict[str, Any] = field(default_factory=dict)
    tower: Callable[[nn.Module], nn.Module] = lambda vlm: vlm.get_submodule("model.language_model")


_TEXT = {
    "vocab_size": VOCABULARY, "hidden_size": HIDDEN, "intermediate_size": MLP, "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS, "max_position_embeddings": 64,
    "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
    "rms_norm_eps": 1e-6,  # the classes have different defaults
}  # fmt: skip
# Some heads are wider than hidden / heads, as in the real models of that type.
_TEXTS: dict[str, dict[str, Any]] = {
    "qwen2": {},
    "qwen3": {"head_dim": 16},
    "llama": {},
    "mistral": {"head_dim": 8, "sliding_window": None},
    "gemma": {"head_dim": 16},
    "gemma2": {"head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 32},
    "gemma3_text": {"head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 32},
}
_CLASSES = {
    "qwen2": "Qwen2", "qwen3": "Qwen3", "llama": "Llama", "mistral": "Mistral", "gemma": "Gemma",
    "gemma2": "Gemma2", "gemma3_text": "Gemma3",
}  # fmt: skip
_OWN_TEXT_TYPE = {"Qwen2VLConfig", "Qwen2_5_VLConfig", "Qwen3VLConfig", "MllamaConfig"}
_ROPE = {"rope_type": "default", "rope_theta": 10_000.0}


def _clip(kind: str = "clip_vision_model") -> dict[str, Any]:
    return {
        "model_type": kind, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
        "num_attention_heads": 2, "image_size": 28, "patch_size": 14, "projection_dim": 16,
    }  # fmt: skip


def _siglip() -> dict[str, Any]:
    return _clip("siglip_vision_model") | {"vision_use_head": False}


def _idefics() -> dict[str, Any]:
    return {
        "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
        "image_size": 28, "patch_size": 14,
    }  # fmt: skip


def _qwen2_vl() -> dict[str, Any]:
    return {"depth": 2, "embed_dim": 16, "hidden_size": HIDDEN, "num_heads": 2, "mlp_ratio": 2}


def _qwen2_5_vl() -> dict[str, Any]:
    return {
        "depth": 2, "hidden_size": 16, "intermediate_size": 24, "num_heads": 2, "out_hidden_size": HIDDEN,
        "fullatt_block_indexes": [1],
    }  # fmt: skip


def _qwen3_vl() -> dict[str, Any]:
    return {
        "depth": 2, "hidden_size": 16, "intermediate_size": 24, "num_heads": 2, "out_hidden_size": HIDDEN,
        "num_position_embeddings": 16, "deepstack_visual_indexes": [0, 1],
    }  # fmt: skip


def _internvl() -> dict[str, Any]:
    return {
        "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
        "image_size": [28, 28], "patch_size": [14, 14],
    }  # fmt: skip


def _mllama() -> dict[str, Any]:
    return {
        "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_global_layers": 1,
        "attention_heads": 2, "image_size": 28, "patch_size": 14, "intermediate_layers_indices": [0],
        "vision_output_dim": 32, "max_num_tiles": 1, "supported_aspect_ratios": [[1, 1]],
    }  # fmt: skip


_QWEN_TOKENS = {
    "image_token_id": IMAGE_TOKEN, "video_token_id": 94, "vision_start_token_id": 93,
    "vision_end_token_id": 92,
}  # fmt: skip
_TOKEN = {"image_token_id": IMAGE_TOKEN}
_INDEX = {"image_token_index": IMAGE_TOKEN}
_PERCEIVER = {
    "resampler_n_latents": 4, "resampler_depth": 2, "resampler_n_heads": HEADS, "resampler_head_dim": 8,
    "num_key_value_heads": KV_HEADS, "hidden_size": HIDDEN,
}  # fmt: skip
FAMILIES: dict[str, Family] = {
    "qwen2_vl": Family("qwen2", "Qwen2VLConfig", _qwen2_vl,
                       {"rope_parameters": _ROPE | {"mrope_section": [2, 1, 1]}}, _QWEN_TOKENS),
    "qwen2_5_vl": Family("qwen2", "Qwen2_5_VLConfig", _qwen2_5_vl,
                         {"rope_parameters": _ROPE | {"mrope_section": [2, 1, 1]}}, _QWEN_TOKENS),
    "qwen3_vl": Family("qwen3", "Qwen3VLConfig", _qwen3_vl,
                       {"rope_parameters": _ROPE | {"mrope_section": [4, 2, 2], "mrope_interleaved": True}},
                       _QWEN_TOKENS),
    "llava": Family("llama", "LlavaConfig", _clip, extra=_INDEX),
    "llava_next": Family("llama", "LlavaNextConfig", _clip, extra=_INDEX),
    "llava_next_mistral": Family("mistral", "LlavaNextConfig", _clip, extra=_INDEX),
    "llava_onevision": Family("qwen2", "LlavaOnevisionConfig", _siglip,
                              extra=_INDEX | {"video_token_index": 94}),
    "internvl3": Family("qwen2", "InternVLConfig", _internvl, extra=_TOKEN),
    "internvl3_5": Family("qwen3", "InternVLConfig", _internvl, extra=_TOKEN),
    "idefics2": Family("mistral", "Idefics2Config", _idefics,
                       extra=_TOKEN | {"perceiver_config": _PERCEIVER},
                       tower=lambda vlm: vlm.get_submodule("model.text_model")),
    "idefics3": Family("llama", "Idefics3Config", _idefics, extra=_TOKEN,
                       tower=lambda vlm: vlm.get_submodule("model.text_model")),
    "smolvlm": Family("llama", "SmolVLMConfig", _idefics, extra=_TOKEN,
                      tower=lambda vlm: vlm.get_submodule("model.text_model")),
    "mllama": Family("llama", "MllamaConfig", _mllama,
                     {"num_hidden_layers": LAYERS + 2, "cross_attention_layers": [1, 3],
                      "rope_parameters": _ROPE}, _INDEX),
    "gemma3": Family("gemma3_text", "Gemma3Config", _siglip,
                     extra={"image_token_index": IMAGE_TOKEN, "mm_tokens_per_image": 4}),
    "paligemma": Family("gemma", "PaliGemmaConfig", _siglip,
                        extra=_INDEX | {"projection_dim": HIDDEN, "hidden_size": HIDDEN}),
    "paligemma2": Family("gemma2", "PaliGemmaConfig", _siglip,
                         extra=_INDEX | {"projection_dim": HIDDEN, "hidden_size": HIDDEN}),
}  # fmt: skip
TEXTS = tuple(_TEXTS)
_TRAINING = 0.004  # what fine-tuning adds: small beside the weights' own deviation


def make(
    family: str,
    folder: Path,
    naming: Naming = "hub",
    shards: bool = False,
    tied: bool = False,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write the from_pretrained folders base/, vlm/ and lrm/ of one family below `folder`.

    V's tower and R are B plus seeded noise; every other tensor of V is random. `naming`: the names that the
    hub's files have, or those of the modules in memory. `shards`: several files and an index. Each folder has
    a tokenizer; V's has an image token more.
    """
    known = FAMILIES[family]
    base = text_model(known.text, tied, seed)
    vlm = _vlm(known, tied, seed + 1)
    _load_tower(known.tower(vlm), base)
    if not tied:
        head, rows = vlm.get_submodule("lm_head").weight, base.lm_head.weight
        head.data[: len(rows)] = rows.data
    perturb(known.tower(vlm), seed + 2, _TRAINING)
    options = {"max_shard_size": "25KB"} if shards else {}
    base.to(dtype).save_pretrained(folder / "base", **options)
    vlm.to(dtype).save_pretrained(folder / "vlm", save_original_format=naming == "hub", **options)
    perturb(base, seed + 3, _TRAINING)
    base.to(dtype).save_pretrained(folder / "lrm", **options)
    for role in ("base", "vlm", "lrm"):
        tokenizer(image=role == "vlm").save_pretrained(folder / role)


def text_model(kind: str, tied: bool = False, seed: int = 0) -> Any:
    """A causal language model of one of TEXTS, fp32, every parameter random (norms and biases too)."""
    torch.manual_seed(seed)
    settings = _TEXT | _TEXTS[kind] | {"tie_word_embeddings": tied}
    config = getattr(transformers, "Gemma3TextConfig" if kind == "gemma3_text" else f"{_CLASSES[kind]}Config")
    model = getattr(transformers, f"{_CLASSES[kind]}ForCausalLM")(config(**settings))
    perturb(model, seed)
    return model


def tokenizer(image: bool = False) -> PreTrainedTokenizerFast:
    """One word a token; `image` adds the token <image> at the id that the configs name."""
    words = ["<pad>", "<s>", "</s>", *(f"w{number}" for number in range(3, IMAGE_TOKEN))]
    fast = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="<pad>"))
    fast.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast.decoder = decoders.Fuse()
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=fast, bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )
    if image:
        wrapped.add_special_tokens({"additional_special_tokens": ["<image>"]})
        wrapped.chat_template = "{% for message in messages %}{{ message.content }} {% endfor %}"
    return wrapped


def perturb(module: nn.Module, seed: int, size: float = 0.01) -> None:
    """Add seeded noise to every parameter: what training would have done to it."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(size * torch.randn(parameter.shape, generator=generator))


def _vlm(family: Family, tied: bool, seed: int) -> Any:
    torch.manual_seed(seed)
    text = _TEXT | _TEXTS[family.text] | family.text_extra | {"tie_word_embeddings": tied}
    if family.config not in _OWN_TEXT_TYPE:
        text["model_type"] = family.text
    config = getattr(transformers, family.config)(
        text_config=text, vision_config=family.vision(), tie_word_embeddings=tied, **family.extra
    )
    vlm = transformers.AutoModelForImageTextToText.from_config(config)
    perturb(vlm, seed)
    return vlm


def _load_tower(tower: Any, base: Any) -> None:
    """Copy B's weights into V's tower, around cross-attention layers and below extra rows."""
    own = [place for place, layer in enumerate(tower.layers) if hasattr(layer, "self_attn")]
    for layer, place in zip(base.model.layers, own, strict=True):
        tower.layers[place].load_state_dict(layer.state_dict())
    tower.norm.load_state_dict(base.model.norm.state_dict())
    rows = base.model.embed_tokens.weight.data
    tower.embed_tokens.weight.data[: len(rows)] = rows
