"""vLLM, the default engine and VLMEvalKit's loop on one GPU: questions a second at released sizes, and swaps.

PYTHONPATH=. .venv-peers/vllm/bin/python tests/timing/vllm_gpu.py [3b|7b|tiny|both] [QUESTIONS] [NEW_TOKENS]
A triple of Qwen2.5-VL's shape with random weights is written to a temporary folder (7b: 45 GB). Synthetic
questions of MMStar with pictures of 448x448 pixels; nobody ends early. The loop answers 8 of them, the
default engine and vLLM all. Then vLLM becomes A, V and A again; A in another order once more shows the
noise floor. "both" is meant for ten minutes on an H200; "tiny" shows on a CPU that the script runs.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import engine_gpu
import torch
import transformers

from benchmarks.answering.engine import open_engine
from benchmarks.answering.transformers_engine import TransformersEngine
from benchmarks.answering.vlmevalkit_loop import VlmevalkitLoop
from benchmarks.prompting.families import find_family
from benchmarks.questions import reading, writing
from benchmarks.questions.item import Item
from benchmarks.registry import lookup
from benchmarks.study.engine_settings import EngineSettings
from benchmarks.study.vllm_settings import VllmSettings
from frism.method.recipe import Recipe
from frism.triples.triple import Triple
from tests.support import tsvs

LOOPED = 8


def write_triple(made: Any, ready: Any, root: Path) -> Triple:
    """Write V, the text model of its tower as B, and B with noise as R."""
    made.save_pretrained(root / "vlm", max_shard_size="50GB")
    ready.save_pretrained(root / "vlm")
    tower, config = made.model.language_model, made.config.text_config
    fields = {name: getattr(config, name) for name in (
        "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
        "num_key_value_heads", "max_position_embeddings", "rms_norm_eps", "bos_token_id", "eos_token_id",
        "pad_token_id")}  # fmt: skip
    with torch.device("meta"):
        text: Any = transformers.Qwen2ForCausalLM(
            transformers.Qwen2Config(**fields, tie_word_embeddings=False)
        )
    text = text.to(made.dtype)
    text.model.load_state_dict(tower.state_dict(), assign=True)
    text.lm_head.weight = made.lm_head.weight
    text.save_pretrained(root / "base", max_shard_size="50GB")
    generator = torch.Generator(made.device).manual_seed(1)
    state = {}
    for name, tensor in text.state_dict().items():
        noise = torch.randn(tensor.shape, generator=generator, device=tensor.device, dtype=tensor.dtype)
        state[name] = tensor + 0.1 * tensor.float().std().item() * noise
    text.save_pretrained(root / "lrm", state_dict=state, max_shard_size="50GB")
    for role in ("base", "lrm"):
        ready.tokenizer.save_pretrained(root / role)
    return Triple.open(root / "base", root / "vlm", root / "lrm")


def rate(name: str, engine: Any, items: list[Item]) -> dict[str, str]:
    """Print questions a second; return the answers by index."""
    start = time.perf_counter()
    found = [p for batch in engine.answers(engine.batches(items, {})) for p in batch]
    seconds = time.perf_counter() - start
    tokens = sum(p.tokens for p in found)
    print(f"{name:40}{len(found) / seconds:9.2f} questions/s {tokens / seconds:10.0f} tokens/s", flush=True)
    return {p.item.index: p.raw for p in found}


def agree(name: str, one: dict[str, str], other: dict[str, str]) -> None:
    """Print how many answers two runs have in common."""
    both = one.keys() & other.keys()
    print(f"{name:40}{sum(one[i] == other[i] for i in both):9} of {len(both)} answers equal", flush=True)


def main(size: str = "both", questions: int = 512, new: int = 128) -> None:
    """Measure one size, or 3b and then 7b."""
    if size == "both":
        for one in ("3b", "7b"):
            main(one, questions, new)
        return
    gpu = torch.cuda.is_available()
    device, dtype = torch.device("cuda" if gpu else "cpu"), torch.bfloat16 if gpu else torch.float32
    engine_gpu.SHAPES["tiny"][0]["hidden_size"] = 128  # vLLM's attention on a CPU wants heads of 32
    began, ready = time.perf_counter(), engine_gpu.processor()
    made = engine_gpu.model(size, ready.tokenizer, device, dtype)
    where = torch.cuda.get_device_name() if gpu else "CPU"
    print(f"Qwen2.5-VL {size}, {dtype}, {where}, {questions} questions, {new} new tokens")
    settings = EngineSettings(
        dtype="bfloat16" if gpu else "float32", device="auto", batch_size=128, max_new_tokens=new
    )
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        definition = lookup.find(tsvs.pinned(engine_gpu.question_file(root / "data", questions)))
        writing.write_items(
            root / "items", [definition], {"test": "all"}, data=root / "data",
            family=find_family("qwen2_5_vl"),
        )  # fmt: skip
        items = reading.load_items(root / "items", "test", ["MMStar"])["MMStar"]
        loop = VlmevalkitLoop(made, ready, settings)
        loop.wrapper.greedy.ends = frozenset()
        list(loop.generate(items[:1]))
        said = rate("VLMEvalKit's loop", loop, items[:LOOPED])
        engine = TransformersEngine(made, ready, settings)
        engine.ends = frozenset()
        list(engine.generate(items[:LOOPED]))
        batched = rate("the default engine, batches of 128", engine, items)
        agree("the default engine against the loop", batched, said)
        start = time.perf_counter()
        triple = write_triple(made, ready, root)
        print(f"{'the triple is written':40}{time.perf_counter() - start:9.1f} s", flush=True)
        engine.close()
        loop.close()
        del made, engine, loop
        if gpu:
            torch.cuda.empty_cache()
        chosen = VllmSettings(max_model_len=1024, **({} if gpu else {"block_size": 32}))
        swapped = open_engine(
            triple, None, None,
            settings.model_copy(update={"name": "vllm", "vllm": chosen, "batch_size": 512}), root / "items",
        )  # fmt: skip
        swapped.ends = frozenset()
        swapped.model.ends = [len(ready.tokenizer) + 7]  # no word: nobody ends
        v, a = Recipe.make(triple, "vlm"), Recipe.make(triple, "inject", {"strength": 0.5})
        start = time.perf_counter()
        swapped.model.reserve(1024)
        print(f"{'vLLM starts':40}{time.perf_counter() - start:9.1f} s", flush=True)
        as_v = rate("vLLM as V", swapped, items)
        agree("vLLM against the default engine", as_v, batched)
        found = {}
        for name, recipe in (("A", a), ("V again", v), ("A again", a)):
            start = time.perf_counter()
            swapped.become(triple, recipe)
            print(f"{f'vLLM becomes {name}':40}{time.perf_counter() - start:9.1f} s", flush=True)
            found[name] = rate(f"vLLM as {name}", swapped, items)
        agree("V, there and back", found["V again"], as_v)
        agree("A, there and back", found["A again"], found["A"])
        agree(
            "A in another order (the noise floor)", rate("in another order", swapped, items[::-1]), found["A"]
        )
        swapped.close()
    print(f"{'in all':40}{time.perf_counter() - began:9.1f} s", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:]))
