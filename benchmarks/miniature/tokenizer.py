"""Build the triple's tokenizer and processor: real Qwen2 classes with a vocabulary of the world's words."""

import json
import random

from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers
from transformers import Qwen2_5_VLProcessor, Qwen2Tokenizer
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor

from benchmarks.miniature import question_families
from benchmarks.miniature.world import SIZE, describe

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>",
           "<|image_pad|>", "<|video_pad|>")  # fmt: skip
# Qwen's ChatML without a system turn. Text gets a leading space, so that every word is one token
# wherever it stands; pictures come first, as VLMEvalKit sends them.
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.content is string %} {{ message.content | trim }}"
    "{% else %}{% for part in message.content %}"
    "{% if part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part.type == 'text' %} {{ part.text | trim }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def build_tokenizer(seed: int = 0) -> Qwen2Tokenizer:
    """Train byte-level BPE until every word of the world is one token (with its leading space)."""
    rng = random.Random(seed)
    corpus = ["user\n", "assistant\n"]
    for _ in range(3000):
        scene, question = question_families.ask(
            rng.choice([*question_families.FAMILIES.values(), question_families.caption]), rng
        )
        request = rng.choice([question_families.REQUEST_STEPS, question_families.REQUEST_SHORT])
        corpus += [f" {describe(scene)} {request}{question.text}", f" {question.worked()}"]
        corpus += [f" {question_families.arithmetic_fact(rng)}"]
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])  # fmt: skip
    trainer = trainers.BpeTrainer(
        vocab_size=2000, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False
    )
    trained.train_from_iterator(corpus, trainer)
    model = json.loads(trained.to_str())["model"]
    vocab: dict[str, int] = model["vocab"]
    merges = [tuple(m) for m in model["merges"]]
    tokenizer = Qwen2Tokenizer(
        vocab=vocab,
        merges=merges,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        unk_token="<|endoftext|>",
        additional_special_tokens=list(SPECIAL),
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def build_processor(tokenizer: Qwen2Tokenizer) -> Qwen2_5_VLProcessor:
    """Build the processor: pictures of 168x168 pixels become 6x6 visual tokens, 2x2 per cell of the grid."""
    pixels = {"min_pixels": SIZE * SIZE, "max_pixels": SIZE * SIZE}
    return Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessorPil(
            patch_size=14, temporal_patch_size=2, merge_size=2, **pixels
        ),
        video_processor=Qwen2VLVideoProcessor(patch_size=14, temporal_patch_size=2, merge_size=2, **pixels),
        tokenizer=tokenizer,
        chat_template=CHAT_TEMPLATE,
    )
