"""Tiny random VLMs of every family, with their true processors: the classes that released checkpoints have.

`make("smolvlm")` gives (model, processor). Byte-level tokenizers, so that any prompt is more than unknown
words; weights large enough that the best token is not a matter of rounding.
"""

from collections.abc import Callable
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Tokenizer

HIDDEN, LAYERS, POSITIONS = 32, 2, 8192
_ALPHABET = sorted(pre_tokenizers.ByteLevel.alphabet())
_ROPE = {"rope_type": "default", "rope_theta": 10_000.0}
_CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.content is string %}{{ message.content }}"
    "{% else %}{% for part in message.content %}"
    "{% if part.type == 'image' %}PICTURE{% elif part.type == 'text' %}{{ part.text }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# As llava-hf's checkpoints of Vicuna.
_VICUNA = (
    "{% for message in messages %}{% if message.role == 'user' %}USER: {% endif %}"
    "{% for part in message.content %}{% if part.type == 'image' %}<image>\n{% endif %}{% endfor %}"
    "{% for part in message.content %}{% if part.type == 'text' %}{{ part.text }} {% endif %}{% endfor %}"
    "{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


def make(family: str, seed: int = 0) -> tuple[Any, Any]:
    """A model in eval mode and its processor."""
    processor, config = _MAKERS[family]()
    torch.manual_seed(seed)
    model = transformers.AutoModelForImageTextToText.from_config(config).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            spread = 0.3 if parameter.ndim < 2 else 1.5 * parameter[0].numel() ** -0.5
            parameter.add_(spread * torch.randn(parameter.shape, generator=generator))
    model.generation_config.eos_token_id = processor.tokenizer.eos_token_id
    model.generation_config.pad_token_id = processor.tokenizer.pad_token_id
    return model, processor


def _tokenizer(*specials: str, ends: str = "</s>", **named: str) -> PreTrainedTokenizerFast:
    """Byte-level; `named` are special tokens that a processor finds by attribute, as `image_token`."""
    words = ["<pad>", "<s>", ends, *named.values(), *specials]
    vocabulary = {word: place for place, word in enumerate([*_ALPHABET, *words])}
    fast = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    fast.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=fast, bos_token="<s>", eos_token=ends, pad_token="<pad>", extra_special_tokens=named
    )
    tokenizer.add_tokens(words, special_tokens=True)
    return tokenizer


def _qwen_tokenizer() -> Qwen2Tokenizer:
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>",
                "<|image_pad|>", "<|video_pad|>"]  # fmt: skip
    return Qwen2Tokenizer(
        vocab={word: place for place, word in enumerate([*_ALPHABET, *specials])},
        merges=[],
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        unk_token="<|endoftext|>",
        additional_special_tokens=specials,
    )


def _text(tokenizer: Any, kind: str, **further: Any) -> dict[str, Any]:
    return {
        "model_type": kind, "vocab_size": len(tokenizer), "hidden_size": HIDDEN, "intermediate_size": 48,
        "num_hidden_layers": LAYERS, "num_attention_heads": 4, "num_key_value_heads": 2,
        "max_position_embeddings": POSITIONS, "rms_norm_eps": 1e-6, "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id,
        "tie_word_embeddings": False,
    } | further  # fmt: skip


def _tower(kind: str, **further: Any) -> dict[str, Any]:
    return {
        "model_type": kind, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
        "num_attention_heads": 2, "image_size": 28, "patch_size": 14,
    } | further  # fmt: skip


def _qwen(family: str, config: str, processor: str, tower: dict[str, Any], rope: dict[str, Any],
          kind: str, factor: int) -> tuple[Any, Any]:  # fmt: skip
    tokenizer = _qwen_tokenizer()
    template = _CHATML.replace("PICTURE", "<|vision_start|><|image_pad|><|vision_end|>")
    patch = {"patch_size": factor // 2, "temporal_patch_size": 2, "merge_size": 2}
    limits = {"min_pixels": 4 * factor**2, "max_pixels": 64 * factor**2}
    video = "Qwen3VLVideoProcessor" if family == "qwen3_vl" else "Qwen2VLVideoProcessor"
    made = getattr(transformers, processor)(
        image_processor=transformers.Qwen2VLImageProcessor(**patch, **limits),
        video_processor=getattr(transformers, video)(**patch),
        tokenizer=tokenizer,
        chat_template=template,
    )
    ids = {f"{name}_token_id": tokenizer.convert_tokens_to_ids(f"<|{word}|>")
           for name, word in (("image", "image_pad"), ("video", "video_pad"),
                              ("vision_start", "vision_start"), ("vision_end", "vision_end"))}  # fmt: skip
    text = _text(tokenizer, kind, rope_parameters=_ROPE | rope, bos_token_id=None)
    return made, getattr(transformers, config)(
        text_config=text,
        vision_config={"num_heads": 2, "depth": 2, "patch_size": factor // 2, **tower},
        tie_word_embeddings=False,
        **ids,
    )


def _qwen2_vl() -> tuple[Any, Any]:
    tower = {"embed_dim": 16, "hidden_size": HIDDEN, "mlp_ratio": 2}
    return _qwen("qwen2_vl", "Qwen2VLConfig", "Qwen2VLProcessor", tower, {"mrope_section": [2, 1, 1]},
                 "qwen2_vl_text", 28)  # fmt: skip


def _qwen2_5_vl() -> tuple[Any, Any]:
    tower = {"hidden_size": 16, "intermediate_size": 24, "out_hidden_size": HIDDEN, "window_size": 56,
             "fullatt_block_indexes": [1]}  # fmt: skip
    return _qwen("qwen2_5_vl", "Qwen2_5_VLConfig", "Qwen2_5_VLProcessor", tower, {"mrope_section": [2, 1, 1]},
                 "qwen2_5_vl_text", 28)  # fmt: skip


def _qwen3_vl() -> tuple[Any, Any]:
    tower = {"hidden_size": 16, "intermediate_size": 24, "out_hidden_size": HIDDEN,
             "num_position_embeddings": 16, "deepstack_visual_indexes": [0, 1]}  # fmt: skip
    rope = {"mrope_section": [2, 1, 1], "mrope_interleaved": True}
    processor, config = _qwen("qwen3_vl", "Qwen3VLConfig", "Qwen3VLProcessor", tower, rope,
                              "qwen3_vl_text", 32)  # fmt: skip
    config.text_config.head_dim = 8
    return processor, config


def _llava() -> tuple[Any, Any]:
    tokenizer = _tokenizer("<image>")
    processor = transformers.LlavaProcessor(
        image_processor=transformers.CLIPImageProcessor(
            size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}
        ),
        tokenizer=tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=_VICUNA,
    )
    return processor, transformers.LlavaConfig(
        text_config=_text(tokenizer, "llama"),
        vision_config=_tower("clip_vision_model", projection_dim=16),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=4,
    )


_GRIDS = [[28, 56], [56, 28], [56, 56], [28, 84], [84, 28]]


def _llava_next() -> tuple[Any, Any]:
    tokenizer = _tokenizer("<image>")
    processor = transformers.LlavaNextProcessor(
        image_processor=transformers.LlavaNextImageProcessor(
            size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}, image_grid_pinpoints=_GRIDS
        ),
        tokenizer=tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=_VICUNA,
    )
    return processor, transformers.LlavaNextConfig(
        text_config=_text(tokenizer, "mistral", head_dim=8, sliding_window=None),
        vision_config=_tower("clip_vision_model", projection_dim=16),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=_GRIDS,
        image_seq_length=4,
    )


def _llava_onevision() -> tuple[Any, Any]:
    tokenizer = _tokenizer("<image>", "<video>", "<|im_start|>", ends="<|im_end|>")
    processor = transformers.LlavaOnevisionProcessor(
        image_processor=transformers.LlavaOnevisionImageProcessor(
            size={"height": 28, "width": 28}, image_grid_pinpoints=_GRIDS
        ),
        tokenizer=tokenizer,
        video_processor=transformers.LlavaOnevisionVideoProcessor(size={"height": 28, "width": 28}),
        num_image_tokens=4,
        vision_feature_select_strategy="full",
        chat_template=_CHATML.replace("PICTURE", "<image>"),
    )
    return processor, transformers.LlavaOnevisionConfig(
        text_config=_text(tokenizer, "qwen2"),
        vision_config=_tower("siglip_vision_model", vision_use_head=False),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=_GRIDS,
    )


def _internvl() -> tuple[Any, Any]:
    tokenizer = _tokenizer(
        "<|im_start|>",
        ends="<|im_end|>",
        start_image_token="<img>",
        end_image_token="</img>",
        context_image_token="<IMG_CONTEXT>",
        video_token="<video>",
    )
    processor = transformers.InternVLProcessor(
        image_processor=transformers.GotOcr2ImageProcessor(size={"height": 28, "width": 28}),
        tokenizer=tokenizer,
        video_processor=transformers.InternVLVideoProcessor(size={"height": 28, "width": 28}),
        image_seq_length=1,
        chat_template=_CHATML.replace("PICTURE", "<IMG_CONTEXT>\n"),
    )
    return processor, transformers.InternVLConfig(
        text_config=_text(tokenizer, "qwen2"),
        vision_config=_tower("internvl_vision", image_size=[28, 28], patch_size=[14, 14]),
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=1,
    )


_SMOL = ("<image>", "<fake_token_around_image>", "<global-img>", "<|im_start|>", "<video>",
         *(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)))  # fmt: skip
_UTTERANCE = (
    "{% for message in messages %}{{ message.role | capitalize }}:{% for part in message.content %}"
    "{% if part.type == 'image' %}<image>{% else %}{{ part.text }}{% endif %}{% endfor %}<end_of_utterance>\n"
    "{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)


def _idefics(family: str) -> tuple[Any, Any]:
    smol = family == "smolvlm"
    prefix = "SmolVLM" if smol else "Idefics3"
    tokenizer = _tokenizer(*_SMOL, ends="<end_of_utterance>")
    edges = {"size": {"longest_edge": 56}, "max_image_size": {"longest_edge": 28}}
    further = {"video_processor": transformers.SmolVLMVideoProcessor()} if smol else {}
    processor = getattr(transformers, f"{prefix}Processor")(
        image_processor=getattr(transformers, f"{prefix}ImageProcessor")(**edges),
        tokenizer=tokenizer,
        image_seq_len=1,
        chat_template=_UTTERANCE,
        **further,
    )
    tower = _tower("")
    del tower["model_type"]
    return processor, getattr(transformers, f"{prefix}Config")(
        text_config=_text(tokenizer, "llama"),
        vision_config=tower,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=tokenizer.pad_token_id,
        scale_factor=2,
    )


def _idefics2() -> tuple[Any, Any]:
    tokenizer = _tokenizer("<image>", "<fake_token_around_image>", ends="<end_of_utterance>")
    processor = transformers.Idefics2Processor(
        image_processor=transformers.Idefics2ImageProcessor(
            size={"shortest_edge": 28, "longest_edge": 56}, do_image_splitting=False
        ),
        tokenizer=tokenizer,
        image_seq_len=4,
        chat_template=_UTTERANCE,
    )
    tower = _tower("", image_size=56)
    del tower["model_type"]
    perceiver = {"resampler_n_latents": 4, "resampler_depth": 1, "resampler_n_heads": 4,
                 "resampler_head_dim": 8, "num_key_value_heads": 2, "hidden_size": HIDDEN}  # fmt: skip
    return processor, transformers.Idefics2Config(
        text_config=_text(tokenizer, "mistral", head_dim=8, sliding_window=None),
        vision_config=tower,
        perceiver_config=perceiver,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
    )


def _gemma3() -> tuple[Any, Any]:
    tokenizer = _tokenizer(
        "<start_of_turn>",
        ends="<end_of_turn>",
        boi_token="<start_of_image>",
        eoi_token="<end_of_image>",
        image_token="<image_soft_token>",
    )
    template = (
        "{{ bos_token }}{% set first = namespace(text='') %}{% for message in messages %}"
        "{% if message.role == 'system' %}{% set first.text = (message.content if message.content is string"
        " else message.content[0].text) ~ '\n\n' %}{% else %}<start_of_turn>{{ message.role }}\n"
        "{{ first.text }}{% for part in message.content %}{% if part.type == 'image' %}<start_of_image>"
        "{% else %}{{ part.text }}{% endif %}{% endfor %}<end_of_turn>\n{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
    )
    processor = transformers.Gemma3Processor(
        image_processor=transformers.Gemma3ImageProcessor(size={"height": 28, "width": 28}),
        tokenizer=tokenizer,
        image_seq_length=4,
        chat_template=template,
    )
    return processor, transformers.Gemma3Config(
        text_config=_text(
            tokenizer, "gemma3_text", head_dim=16, query_pre_attn_scalar=16, sliding_window=64,
            layer_types=["sliding_attention", "full_attention"],
        ),
        vision_config=_tower("siglip_vision_model", vision_use_head=False),
        mm_tokens_per_image=4,
        image_token_index=tokenizer.convert_tokens_to_ids("<image_soft_token>"),
        boi_token_index=tokenizer.convert_tokens_to_ids("<start_of_image>"),
        eoi_token_index=tokenizer.convert_tokens_to_ids("<end_of_image>"),
    )  # fmt: skip


def _paligemma() -> tuple[Any, Any]:
    tokenizer = _tokenizer("<image>")
    images = transformers.SiglipImageProcessor(size={"height": 28, "width": 28})
    images.image_seq_length = 4
    processor = transformers.PaliGemmaProcessor(image_processor=images, tokenizer=tokenizer)
    return processor, transformers.PaliGemmaConfig(
        text_config=_text(tokenizer, "gemma", head_dim=16),
        vision_config=_tower("siglip_vision_model", vision_use_head=False),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        projection_dim=HIDDEN,
        hidden_size=HIDDEN,
    )


def _mllama() -> tuple[Any, Any]:
    tokenizer = _tokenizer("<|image|>", "<|python_tag|>", "<|im_start|>", ends="<|eot_id|>")
    processor = transformers.MllamaProcessor(
        image_processor=transformers.MllamaImageProcessor(
            size={"height": 28, "width": 28}, max_image_tiles=4
        ),
        tokenizer=tokenizer,
        chat_template=_CHATML.replace("PICTURE", "<|image|>").replace("<|im_end|>", "<|eot_id|>"),
    )
    ratios = [[1, 1], [1, 2], [1, 3], [1, 4], [2, 1], [2, 2], [3, 1], [4, 1]]
    tower = {
        "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_global_layers": 1,
        "attention_heads": 2, "image_size": 28, "patch_size": 14, "intermediate_layers_indices": [0],
        "vision_output_dim": 32, "max_num_tiles": 4, "supported_aspect_ratios": ratios,
    }  # fmt: skip
    text = _text(tokenizer, "mllama_text_model", num_hidden_layers=LAYERS + 1, cross_attention_layers=[1],
                 rope_parameters=_ROPE)  # fmt: skip
    return processor, transformers.MllamaConfig(
        text_config=text,
        vision_config=tower,
        image_token_index=tokenizer.convert_tokens_to_ids("<|image|>"),
    )


_MAKERS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "qwen2_vl": _qwen2_vl, "qwen2_5_vl": _qwen2_5_vl, "qwen3_vl": _qwen3_vl, "llava": _llava,
    "llava_next": _llava_next, "llava_onevision": _llava_onevision, "internvl": _internvl,
    "idefics2": _idefics2, "idefics3": lambda: _idefics("idefics3"), "smolvlm": lambda: _idefics("smolvlm"),
    "gemma3": _gemma3, "paligemma": _paligemma, "mllama": _mllama,
}  # fmt: skip
FAMILIES = tuple(_MAKERS)
