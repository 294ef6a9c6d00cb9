"""How many questions per second the engine answers, beside VLMEvalKit's own loop, measured in one run.

PYTHONPATH=. python tests/timing/engine_speed.py [QUESTIONS] [MODEL_FOLDER]
fp32 on a CPU. Two models: the miniature's VLM (or MODEL_FOLDER, of the same world) on its own questions, and
a random Qwen2.5-VL of a few layers on MMStar's table, where the loop's own bookkeeping weighs most.
Two cases: short answers, and 64 new tokens for everybody. "first" includes every picture's way through
processor and vision tower; further variants are spared that ("again"). Set OMP_NUM_THREADS to what the study
will use.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from transformers import AutoModelForImageTextToText, AutoProcessor

from benchmarks.answering.transformers_engine import TransformersEngine
from benchmarks.answering.vlmevalkit_loop import VlmevalkitLoop
from benchmarks.prompting.families import find_family
from benchmarks.questions import item, reading, writing
from benchmarks.registry import lookup
from benchmarks.stages.allocator import keep_freed_memory
from benchmarks.study.engine_settings import EngineSettings
from tests.support import tiny_vlms, tsvs

SUITE = "mini_number"  # asks for a short answer
SIZES = (32, 64, 200)
WEIGHTS = Path(__file__).parents[2] / "benchmarks" / "miniature" / "weights" / "vlm"
Result = TypeVar("Result")


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    """Wall seconds and what came out."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def compare(label: str, model: Any, processor: Any, asked: list[item.Item], new: int, forced: bool) -> None:
    """Print rates, ratios to the loop and how many answers are the same; `forced`: nobody ends."""
    settings = EngineSettings(batch_size=len(asked), max_new_tokens=new)
    loop = VlmevalkitLoop(model, processor, settings)
    list(loop.generate(asked[:2]))  # VLMEvalKit is imported, which is not its loop's fault
    if forced:
        model.generation_config.eos_token_id = None
        loop.wrapper.greedy.ends = frozenset()
    seconds, said = timed(lambda: [p.raw for batch in loop.generate(asked) for p in batch])
    rate = len(asked) / seconds
    for size in SIZES:
        engine = TransformersEngine(model, processor, settings.model_copy(update={"batch_size": size}))
        if forced:
            engine.ends = frozenset()
        runs = [timed(lambda e=engine: [p.raw for batch in e.generate(asked) for p in batch]) for _ in "12"]
        first, again = (len(asked) / seconds for seconds, _ in runs)
        same = sum(a == b for a, b in zip(runs[0][1], said, strict=True))
        rates = f"{rate:10.1f}{first:11.1f}{again:11.1f}{first / rate:7.1f}x{again / rate:6.1f}x"
        print(f"{label:22}{size:6}{rates}{same:6} of {len(asked)}", flush=True)


def main(n: int = 200, folder: Path = WEIGHTS) -> None:
    """Measure both models in both cases; freed memory is kept as in every stage, which helps the loop too."""
    keep_freed_memory()
    names = f"{'model, answers':22}{'batch':>6}{'loop q/s':>10}{'first q/s':>11}{'again q/s':>11}"
    print(f"{names}{'first':>8}{'again':>7}{'same':>9}")
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        mini = lookup.find(SUITE).model_copy(update={"sha256": {}})
        writing.write_items(root / "mini", [mini], {"test": n})
        star = lookup.find(tsvs.pinned(tsvs.make("MMStar", root / "data", n)))
        writing.write_items(
            root / "star", [star], {"test": "all"}, data=root / "data", family=find_family("qwen2_5_vl")
        )
        for label, new, forced in (("short", 16, False), ("64 tokens", 64, True)):
            model = AutoModelForImageTextToText.from_pretrained(folder).eval()
            asked = reading.load_items(root / "mini", "test", [SUITE])[SUITE]
            processor = AutoProcessor.from_pretrained(folder)
            compare(f"miniature, {label}", model, processor, asked, new, forced)
            model, processor = tiny_vlms.make("qwen2_5_vl")
            asked = reading.load_items(root / "star", "test", ["MMStar"])["MMStar"]
            compare(f"tiny random, {label}", model, processor, asked, new, forced)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]), *map(Path, sys.argv[2:3]))
