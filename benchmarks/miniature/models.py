"""Build the three models: real transformers classes with small shapes."""

from typing import Any

import torch
from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2Tokenizer,
)

HIDDEN, LAYERS, HEADS, KV_HEADS, MLP, VOCABULARY = 128, 6, 4, 2, 384, 512
VISION_HIDDEN, VISION_LAYERS, VISION_HEADS = 64, 2, 4
ROPE_BASE = 10_000.0


def _text_config(tokenizer: Qwen2Tokenizer) -> dict[str, Any]:
    return {
        "vocab_size": VOCABULARY,
        "hidden_size": HIDDEN,
        "intermediate_size": MLP,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "max_position_embeddings": 512,
        "tie_word_embeddings": True,
        # Near 1/sqrt(hidden): with the default 0.02 attention stays uniform for hundreds of steps.
        "initializer_range": 0.08,
        "rms_norm_eps": 1e-6,  # the two classes have different defaults
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def new_language_model(tokenizer: Qwen2Tokenizer, seed: int) -> Qwen2ForCausalLM:
    """Make a randomly initialised text model, 1.2 M parameters, fp32."""
    torch.manual_seed(seed)
    rope = {"rope_type": "default", "rope_theta": ROPE_BASE}
    return Qwen2ForCausalLM(Qwen2Config(**_text_config(tokenizer), rope_parameters=rope))


def new_vlm(
    base: Qwen2ForCausalLM, processor: Qwen2_5_VLProcessor, seed: int
) -> Qwen2_5_VLForConditionalGeneration:
    """Make a VLM whose language tower is a copy of `base` and whose vision tower is random, fp32."""
    torch.manual_seed(seed)
    tokenizer = processor.tokenizer
    ids = {name: tokenizer.convert_tokens_to_ids(f"<|{name}|>")
           for name in ("image_pad", "video_pad", "vision_start", "vision_end")}  # fmt: skip
    # Half of head_dim (16) over time, height and width.
    rope = {"rope_type": "default", "rope_theta": ROPE_BASE, "mrope_section": [4, 6, 6]}
    config = Qwen2_5_VLConfig(
        text_config={**_text_config(tokenizer), "rope_parameters": rope},
        vision_config={
            "depth": VISION_LAYERS,
            "hidden_size": VISION_HIDDEN,
            "intermediate_size": 2 * VISION_HIDDEN,
            "num_heads": VISION_HEADS,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "window_size": 112,
            "out_hidden_size": HIDDEN,
            "fullatt_block_indexes": list(range(VISION_LAYERS)),
        },
        image_token_id=ids["image_pad"],
        video_token_id=ids["video_pad"],
        vision_start_token_id=ids["vision_start"],
        vision_end_token_id=ids["vision_end"],
        tie_word_embeddings=True,
    )
    vlm = Qwen2_5_VLForConditionalGeneration(config)
    vlm.model.language_model.load_state_dict(base.model.state_dict())
    vlm.tie_weights()
    for parameter in vlm.model.visual.parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
    return vlm
