"""Questions per second on a GPU with a randomly initialised Qwen2.5-VL of a released size, bf16.

PYTHONPATH=. python tests/timing/engine_gpu.py [3b|7b|tiny] [QUESTIONS] [NEW_TOKENS] [LOOP_QUESTIONS]
Synthetic questions of VLMEvalKit's MMStar with pictures of 448x448 pixels (256 visual tokens). VLMEvalKit's
loop answers the first LOOP_QUESTIONS, the engine all of them at several batch sizes; nobody ends early. The
last column is the share of the engine's time that generation itself takes, everything else being prompts,
pictures and decoding to text. "tiny" shows on a CPU that the script runs.
"""

import base64
import csv
import io
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import transformers
from PIL import Image
from tokenizers import pre_tokenizers

from benchmarks.answering import transformers_engine
from benchmarks.answering.transformers_engine import TransformersEngine
from benchmarks.answering.vlmevalkit_loop import VlmevalkitLoop
from benchmarks.prompting.families import find_family
from benchmarks.questions import reading, writing
from benchmarks.registry import lookup
from benchmarks.study.engine_settings import EngineSettings
from tests.support import tsvs

SIDE = 448
SIZES = (1, 8, 32, 64, 128)
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>",
           "<|image_pad|>", "<|video_pad|>")  # fmt: skip
# The text models and vision towers of the released checkpoints.
SHAPES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "3b": ({"hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36,
            "num_attention_heads": 16, "num_key_value_heads": 2, "vocab_size": 151936}, {}),
    "7b": ({"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
            "num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 152064}, {}),
    "tiny": ({"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
              "num_key_value_heads": 2, "vocab_size": 512},
             {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2,
              "fullatt_block_indexes": [1]}),
}  # fmt: skip
TOWER = {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "window_size": 112,
         "fullatt_block_indexes": [7, 15, 23, 31]}  # fmt: skip
CHAT = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{% for part in message.content %}"
    "{% if part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part.text }}"
    "{% endif %}{% endfor %}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
)


def processor() -> Any:
    """Qwen2.5-VL's processor with a vocabulary of bytes."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = transformers.Qwen2Tokenizer(
        vocab={word: place for place, word in enumerate([*alphabet, *SPECIAL])},
        merges=[],
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        unk_token="<|endoftext|>",
        additional_special_tokens=list(SPECIAL),
    )
    return transformers.Qwen2_5_VLProcessor(
        image_processor=transformers.Qwen2VLImageProcessor(min_pixels=3136, max_pixels=12_845_056),
        video_processor=transformers.Qwen2VLVideoProcessor(),
        tokenizer=tokenizer,
        chat_template=CHAT,
    )


def model(size: str, tokenizer: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """The model with random weights, made on the device."""
    text, tower = SHAPES[size]
    head = text["hidden_size"] // text["num_attention_heads"] // 2  # half a head's width over three axes
    sections = [head // 4, (head - head // 4) // 2, head - head // 4 - (head - head // 4) // 2]
    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": sections}
    ids = {f"{name}_token_id": tokenizer.convert_tokens_to_ids(f"<|{word}|>")
           for name, word in (("image", "image_pad"), ("video", "video_pad"),
                              ("vision_start", "vision_start"), ("vision_end", "vision_end"))}  # fmt: skip
    config = transformers.Qwen2_5_VLConfig(
        text_config={**text, "rope_parameters": rope, "max_position_embeddings": 32768, "bos_token_id": None,
                     "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id},
        vision_config={**TOWER, **tower, "out_hidden_size": text["hidden_size"]},
        **ids,
    )  # fmt: skip
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with device:
            made = transformers.Qwen2_5_VLForConditionalGeneration(config)
    finally:
        torch.set_default_dtype(before)
    made.generation_config.eos_token_id = None  # nobody ends
    return made.eval()


def question_file(folder: Path, n: int) -> Path:
    """MMStar's table with pictures of SIDE x SIDE pixels of noise."""
    rows = tsvs.read(tsvs.make("MMStar", folder, n))
    for row in rows:
        content = io.BytesIO()
        Image.effect_noise((SIDE, SIDE), 90).convert("RGB").save(content, "PNG")
        row["image"] = base64.b64encode(content.getvalue()).decode()
    path = folder / "MMStar.tsv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


class Clock:
    """Seconds inside one function, the device's queue included."""

    def __init__(self, function: Any, device: torch.device) -> None:
        self.function, self.device, self.seconds = function, device, 0.0

    def __call__(self, *given: Any, **named: Any) -> Any:
        self._wait()
        start = time.perf_counter()
        result = self.function(*given, **named)
        self._wait()
        self.seconds += time.perf_counter() - start
        return result

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def main(size: str = "3b", n: int = 128, new: int = 64, looped: int = 8) -> None:
    """Print questions per second, the ratio to the loop, peak memory and generation's share."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    where = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    ready = processor()
    made = model(size, ready.tokenizer, device, dtype)
    count = sum(parameter.numel() for parameter in made.parameters())
    print(f"Qwen2.5-VL {size}: {count / 1e9:.2f} B parameters, {dtype}, {where}, {new} new tokens")
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        definition = lookup.find(tsvs.pinned(question_file(root / "data", n)))
        writing.write_items(
            root / "items",
            [definition],
            {"test": "all"},
            data=root / "data",
            family=find_family("qwen2_5_vl"),
        )
        asked = reading.load_items(root / "items", "test", ["MMStar"])["MMStar"]
        settings = EngineSettings(device="auto", batch_size=n, max_new_tokens=new)
        loop = VlmevalkitLoop(made, ready, settings)
        loop.wrapper.greedy.ends = frozenset()
        list(loop.generate(asked[:1]))  # kernels are chosen, and VLMEvalKit imported
        start = time.perf_counter()
        said = [p.raw for batch in loop.generate(asked[:looped]) for p in batch]
        rate = looped / (time.perf_counter() - start)
        print(f"VLMEvalKit's loop: {rate:.2f} questions per second")
        print(f"{'batch':>6}{'q/s':>10}{'ratio':>8}{'same':>12}{'peak GiB':>10}{'generation':>12}")
        for batch_size in SIZES:
            engine = TransformersEngine(made, ready, settings.model_copy(update={"batch_size": batch_size}))
            engine.ends = frozenset()
            few = asked[: max(looped, 4 * batch_size)] if batch_size < 8 else asked
            list(engine.generate(few[:batch_size]))
            engine = TransformersEngine(made, ready, engine.settings)  # without what it prepared
            engine.ends = frozenset()
            transformers_engine.decode = clock = Clock(
                getattr(transformers_engine.decode, "function", transformers_engine.decode), device
            )
            start = time.perf_counter()
            found = [p.raw for batch in engine.generate(few) for p in batch]
            seconds = time.perf_counter() - start
            same = f"{sum(a == b for a, b in zip(said, found, strict=False))} of {looped}"
            peak = max(cost.peak_memory for cost in engine.costs) / 2**30
            print(f"{batch_size:6}{len(few) / seconds:10.2f}{len(few) / seconds / rate:7.1f}x{same:>12}"
                  f"{peak:10.1f}{clock.seconds / seconds:12.0%}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:]))
