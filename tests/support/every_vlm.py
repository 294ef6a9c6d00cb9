"""Tiny configs of every class that transformers maps to image-text-to-text, made by shrinking its defaults.

Widths, depths and counts are lowered by the names of their keys, wherever they stand in a config; what a
class needs beside that stands in `_SPECIAL`. No weights and no names of tensors are made up here.
"""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers.models.auto import modeling_auto

TYPES = tuple(modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES)
VOCABULARY = 160
_WIDTH, _MLP, _HEADS, _KV_HEADS, _HEAD, _LAYERS, _EXPERTS = 32, 48, 4, 2, 8, 2, 4
_VALUES: dict[str, Any] = {
    **dict.fromkeys(
        ("hidden_size", "d_model", "embed_dim", "out_hidden_size", "output_hidden_size", "text_hidden_size",
         "vision_hidden_size", "projection_dim", "projection_hidden_size", "projector_hidden_size",
         "output_dim", "vision_output_dim", "hidden_dim", "n_embd", "encoder_hidden_size", "output_proj_dims",
         "vision_output_size", "projector_output_size", "text_embed_dim", "merger_hidden_size",
         "lm_hidden_size"),
        _WIDTH),
    **dict.fromkeys(
        ("intermediate_size", "ffn_dim", "d_ff", "encoder_ffn_dim", "decoder_ffn_dim", "mlp_dim",
         "ffn_hidden_size", "projector_intermediate_size", "adapter_hidden_size", "mlp_hidden_size"), _MLP),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size", "expert_intermediate_size",
                     "intermediate_size_mlp"), 24),
    **dict.fromkeys(
        ("num_hidden_layers", "num_layers", "depth", "encoder_layers", "decoder_layers", "n_layers",
         "n_layer"),
        _LAYERS),
    **dict.fromkeys(
        ("num_attention_heads", "num_heads", "attention_heads", "encoder_attention_heads",
         "decoder_attention_heads", "n_head", "n_heads"), _HEADS),
    **dict.fromkeys(("num_key_value_heads", "num_global_key_value_heads"), _KV_HEADS),
    **dict.fromkeys(("head_dim", "global_head_dim", "d_kv", "v_head_dim", "qk_nope_head_dim"), _HEAD),
    **dict.fromkeys(("q_lora_rank", "kv_lora_rank"), 16),
    "qk_rope_head_dim": _HEAD, "qk_head_dim": 2 * _HEAD,
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"), _EXPERTS),
    **dict.fromkeys(("num_experts_per_tok", "moe_k", "moe_topk", "top_k_experts"), 2),
    **dict.fromkeys(("n_group", "topk_group", "first_k_dense_replace", "n_shared_experts",
                     "moe_num_shared_experts", "num_shared_experts"), 1),
    "vocab_size": VOCABULARY, "max_position_embeddings": 64, "image_size": 28, "patch_size": 14,
    **dict.fromkeys(("base_channels", "latent_channels", "alignment_intermediate_size", "projector_input_dim",
                     "projector_output_dim", "downsample_hidden_size", "num_embeddings", "codebook_size",
                     "adapter_in_dim",
                     "adapter_input_size", "adapter_output_size", "adapter_out_dim"), 32),
    "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8,
    "linear_value_head_dim": 8, "mamba_num_heads": 4, "mamba_head_dim": 8, "ssm_state_size": 8, "n_groups": 2,
    "vocab_size_per_layer_input": VOCABULARY, "hidden_size_per_layer_input": 8,
}  # fmt: skip
_MAX_ID = VOCABULARY - 1
# What the rules do not know, by type: paths of keys in the config.
_ROPE = {"rope_type": "default", "rope_theta": 10_000.0}
_SECTIONS = {"text_config.rope_parameters.mrope_section": [2, 1, 1]}
_SPECIAL: dict[str, dict[str, Any]] = {
    "glm4v_moe": _SECTIONS | {"text_config.rope_parameters.partial_rotary_factor": 1.0},
    **dict.fromkeys(("glm4v", "glm46v", "glmga", "glm_ocr", "qwen2_vl", "qwen2_5_vl"), _SECTIONS),
    "chameleon": {"vocabulary_map": {"<image>": 100, "IMGIMGBA": 101, "IMGIMGCA": 102}},
    "cohere_compass": {"text_config.rope_parameters": {"full_attention": _ROPE, "sliding_attention": _ROPE}},
    "deepseek_ocr2": {"text_config.mlp_layer_types": ["dense", "sparse"],
                      "text_config.num_experts_per_tok": 2},
    **{kind: {"text_config.num_key_value_heads": _HEADS} for kind in ("kimi_k25", "mistral_large4")},
    "paddleocr_vl": _SECTIONS,
    "qwen2_5_omni_thinker": _SECTIONS | {"vision_start_token_id": 50},
    "qwen3_omni_moe_thinker": {"vision_start_token_id": 50},
    "diffusion_gemma": {"text_config.num_experts": 4, "text_config.top_k_experts": 2,
                        "text_config.moe_intermediate_size": 16},
    "dots3_note": {"text_config.num_key_value_heads": _HEADS, "text_config.per_layer_config": {},
                   "text_config.head_dim": 2 * _HEAD,
                   "text_config.layer_types": ["indexed_attention", "sliding_attention"]},
    "emu3": {"vocabulary_map": {"<|extra_200|>": 100, "<image>": 101, "<|visual token 000000|>": 102}},
    "ernie4_5_vl_moe": {"text_config.moe_intermediate_size": [24, 24],
                        "text_config.rope_parameters.mrope_section": [1, 1, 2]},
    "glm5_next": {"text_config.num_key_value_heads": _HEADS,
                  "text_config.layer_types": ["linear_attention", "full_attention"]},
    "granite4_vision": {"deepstack_layer_map": [[0, 0], [1, 1]], "spatial_target_layers": [0, 1],
                        "downsample_rate": "1/2", "vision_config.hidden_size": 64},
    "gemma4": {"vision_config": {"model_type": "gemma4_vision", "hidden_size": 32, "intermediate_size": 48,
                                 "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 4,
                                 "head_dim": 8, "patch_size": 14}},
    "gemma4_unified": {"vision_config": {}},
    "inkling2": {"quantization_config": None, "text_config.quantization_config": None},
    **{kind: {"text_config.layer_types": ["linear_attention", "full_attention"]}
       for kind in ("qwen3_5", "qwen3_5_moe", "minicpm_ocr", "minicpmv4_6", "minicpmv4_7")},
    "qwen4_exp": {"text_config.layer_types": ["linear_attention", "full_attention"],
                  "text_config.indexer_n_heads": 2, "text_config.indexer_kv_heads": 1,
                  "text_config.indexer_head_dim": 8, "text_config.indexer_budget": 16,
                  "text_config.indexer_compress_ratio": 4},
    "hunyuan_vl": {"text_config.head_dim": _HEAD,
                   "text_config.rope_parameters": _ROPE | {"xdrope_section": [1, 1, 1, 1]}},
    "lfm3_vl": {"text_config.layer_types": ["conv", "full_attention"]},
    "step3p7": {"text_config.sliding_window": 16},
    "molmo2": {"adapter_config.vision_feature_layer": [1, 0]},
}  # fmt: skip


def make_config(model_type: str, *, tied: bool | None = None) -> Any:
    """Return the tiny config of a type; `tied` sets whether head and embedding are one."""
    kind = transformers.CONFIG_MAPPING[model_type]
    content = _shrink(kind().to_dict())
    for path, value in _SPECIAL.get(model_type, {}).items():
        _put(content, path.split("."), value)
    if tied is not None:
        content["tie_word_embeddings"] = tied
        for part in ("text_config", "llm_config"):
            if isinstance(content.get(part), dict):
                content[part]["tie_word_embeddings"] = tied
    return kind.from_dict(content)


def make_model(model_type: str, seed: int = 0, *, tied: bool | None = None) -> Any:
    """Return the model of a tiny config, every parameter random, fp32, in eval mode."""
    torch.manual_seed(seed)
    model = transformers.AutoModelForImageTextToText.from_config(make_config(model_type, tied=tied)).float()
    return perturb(model, seed).eval()


def perturb(model: Any, seed: int, size: float = 0.02) -> Any:
    """Add seeded noise to every floating parameter, which makes those random that start at ones or zeros."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.is_floating_point():
                parameter.add_(size * torch.randn(parameter.shape, generator=generator).to(parameter.dtype))
    return model


def _shrink(value: Any, key: str = "", layers: int | None = None) -> Any:
    """Lower a value by its key; `layers`: how many layers the config had, which lists per layer go by."""
    if key == "per_layer_config":
        return {_LAYERS - 1: _shrink(entry)} if (entry := next(iter(value.values()), None)) else value
    if key == "mrope_section":
        return [2, 1, 1] if len(value or ()) == 3 else value
    if isinstance(value, dict):
        count = value.get("num_hidden_layers")
        return {
            name: _shrink(entry, str(name), count) for name, entry in value.items()
            if name not in ("transformers_version", "id2label", "label2id")
        }  # fmt: skip
    if isinstance(value, list):
        return [_shrink(entry, key) for entry in (value[:_LAYERS] if len(value) == layers else value)]
    if isinstance(value, bool) or not isinstance(value, int):
        return value
    if key in _VALUES:
        return min(value, _VALUES[key]) if value else value
    if key.endswith(("token_id", "token_index", "_token_ids")):
        return value if value <= _MAX_ID else 8 + value % (_MAX_ID - 8)
    return value


def _put(content: dict[str, Any], path: list[str], value: Any) -> None:
    for step in path[:-1]:
        content = content.setdefault(step, {})
    content[path[-1]] = value


def text_class(decoder: Any) -> Any:
    """Return the class of a VLM's language model as a text model: with a head where transformers has one."""
    mappings = modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING, modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING
    kind = next((one for mapping in mappings if (one := mapping.get(type(decoder.config), None))), None)
    if kind is None or not issubclass(kind, transformers.PreTrainedModel):
        return type(decoder)
    with torch.device("meta"):
        inner = kind(decoder.config).get_decoder()
    return kind if type(inner) is type(decoder) else type(decoder)


def find_decoder(model: Any) -> Any:
    """Return a VLM's language model without the wrapper that holds its head."""
    decoder = model.get_decoder()
    for name in ("model", "decoder"):  # of wrappers such as OPTForCausalLM and Llama4ForCausalLM
        inner = getattr(decoder, name, None)
        if isinstance(inner, transformers.PreTrainedModel) and type(inner.config) is type(decoder.config):
            decoder = inner
    return decoder


def write_triple(
    model_type: str, folder: Path, *, naming: str = "hub", shards: bool = False, tied: bool | None = None
) -> tuple[Any, Any, Any]:
    """Write base/, vlm/ and lrm/ and return the three models.

    B and R are of the text class that V contains; V's language model and R are B plus seeded noise. `naming`:
    "hub" (the names that transformers writes), "memory" (those of the modules) or "bare" (the latter without
    the leading "model.").
    """
    vlm = make_model(model_type, tied=tied)
    decoder = find_decoder(vlm)
    base = text_class(decoder)(decoder.config).float().eval()
    inner = find_decoder(base) if type(base) is not type(decoder) else base
    inner.load_state_dict(decoder.state_dict())
    perturb(decoder, 1, 0.004)
    size = {"max_shard_size": "60KB"} if shards else {}
    base.save_pretrained(folder / "base", **size)
    lrm = perturb(deepcopy(base), 2, 0.004)
    lrm.save_pretrained(folder / "lrm", **size)
    vlm.save_pretrained(folder / "vlm", save_original_format=naming == "hub", **size)
    if naming == "bare":
        for path in (folder / "vlm").glob("*.safetensors"):
            tensors = {name.removeprefix("model."): value for name, value in load_file(path).items()}
            save_file(tensors, path, {"format": "pt"})
        for path in (folder / "vlm").glob("*.index.json"):
            index = json.loads(path.read_text())
            where = {name.removeprefix("model."): file for name, file in index["weight_map"].items()}
            path.write_text(json.dumps(index | {"weight_map": where}))
    return base, vlm, lrm


def text_type(model_type: str) -> str | None:
    """Return the type of a VLM's language model; None where transformers makes no default config."""
    try:
        return str(transformers.CONFIG_MAPPING[model_type]().get_text_config().model_type)
    except (ValueError, AttributeError, ImportError):
        return None
