"""A triple of the true classes and widths of Qwen2.5-VL with few layers, and pictures to calibrate on.

    python tests/support/few_layers.py FOLDER 7b 2 [PICTURES]
writes FOLDER/{base,vlm,lrm}, random bfloat16 weights in from_pretrained folders (vocabulary rows as released,
a processor with a vocabulary of bytes, a vision tower of two layers), and FOLDER/pictures. The values are
normal numbers; V and R differ from B in the layers, by a tenth of B's own size.
"""

import sys
import zlib
from pathlib import Path
from typing import Any

# Text models of the released checkpoints and their numbers of layers; "tiny" for a try.
SHAPES: dict[str, dict[str, Any]] = {
    "3b": {"hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36,
           "num_attention_heads": 16, "num_key_value_heads": 2, "vocab_size": 151936,
           "tie_word_embeddings": True},
    "7b": {"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
           "num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 152064,
           "tie_word_embeddings": False},
    "tiny": {"hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 4,
             "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 2048,
             "tie_word_embeddings": True},
}  # fmt: skip
TOWER = {"depth": 2, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "patch_size": 14,
         "spatial_merge_size": 2, "temporal_patch_size": 2, "window_size": 112,
         "fullatt_block_indexes": [1]}  # fmt: skip
SMALL_TOWER = {"hidden_size": 128, "intermediate_size": 256, "num_heads": 4}
ROLES = ("base", "vlm", "lrm")
SIDE = 224  # pixels: 64 visual tokens a picture
PICTURES = 8


def make(folder: Path, shape: str, layers: int, pictures: int = PICTURES) -> None:
    """Write the triple and the pictures; models are made and saved one at a time."""
    import torch
    import transformers
    from engine_gpu import processor

    ready = processor()
    ready.image_processor.max_pixels = ready.image_processor.min_pixels = SIDE * SIDE
    text = SHAPES[shape] | {
        "num_hidden_layers": layers, "max_position_embeddings": 32768, "rms_norm_eps": 1e-6,
        "bos_token_id": None, "eos_token_id": ready.tokenizer.eos_token_id,
        "pad_token_id": ready.tokenizer.pad_token_id,
    }  # fmt: skip
    rope = {"rope_type": "default", "rope_theta": 1e6}
    pool = torch.randn(1 << 24, generator=torch.Generator().manual_seed(0))
    for role in ROLES:
        if role == "vlm":
            config = _vlm_config(ready.tokenizer, text, rope, {} if shape != "tiny" else SMALL_TOWER)
            kind = transformers.Qwen2_5_VLForConditionalGeneration
        else:
            config = transformers.Qwen2Config(**text, rope_parameters=rope)
            kind = transformers.Qwen2ForCausalLM
        config.dtype = torch.bfloat16
        with torch.device("meta"):
            model = kind(config).to(torch.bfloat16)
        model = model.to_empty(device="cpu")
        model.tie_weights()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                _fill(parameter, name.replace("language_model.", ""), role, pool)
        model.generation_config.eos_token_id = ready.tokenizer.eos_token_id
        model.save_pretrained(folder / role)
        del model
        (ready if role == "vlm" else ready.tokenizer).save_pretrained(folder / role)
    _pictures(folder / "pictures", pictures)


def _vlm_config(tokenizer: Any, text: dict[str, Any], rope: dict[str, Any], tower: dict[str, Any]) -> Any:
    import transformers

    half = text["hidden_size"] // text["num_attention_heads"] // 2
    sections = [half // 4, (half - half // 4) // 2, half - half // 4 - (half - half // 4) // 2]
    words = {"image": "image_pad", "video": "video_pad", "vision_start": "vision_start",
             "vision_end": "vision_end"}  # fmt: skip
    ids = {f"{name}_token_id": tokenizer.convert_tokens_to_ids(f"<|{word}|>") for name, word in words.items()}
    return transformers.Qwen2_5_VLConfig(
        text_config=text | {"rope_parameters": rope | {"mrope_section": sections}},
        vision_config=TOWER | tower | {"out_hidden_size": text["hidden_size"]},
        tie_word_embeddings=text["tie_word_embeddings"],
        **ids,
    )


def _fill(parameter: Any, name: str, role: str, pool: Any) -> None:
    """Ones for norms, normal numbers for the rest, from a place in the pool that belongs to the name."""
    flat, size = parameter.data.view(-1), pool.numel()
    if parameter.ndim == 1 and name.endswith("weight"):
        flat.fill_(1.0)
        return
    parts = [("base", 0.02)] + ([(role, 0.002)] if role != "base" and ".layers." in name else [])
    starts = [(zlib.crc32(f"{owner} {name}".encode()) % size, scale) for owner, scale in parts]
    for first in range(0, flat.numel(), size):
        target = flat[first : first + size]
        value = sum(scale * pool.roll(-start)[: target.numel()] for start, scale in starts)
        target.copy_(value)


def _pictures(folder: Path, count: int) -> None:
    from PIL import Image

    folder.mkdir(parents=True)
    for number in range(count):
        picture = Image.effect_noise((SIDE, SIDE), 60 + 10 * (number % 8)).convert("RGB")
        picture.save(folder / f"{number:03}.png")


if __name__ == "__main__":
    where, which, depth, *more = sys.argv[1:]
    make(Path(where), which, int(depth), *map(int, more))
