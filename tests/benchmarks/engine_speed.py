"""How many questions per second the engine answers, beside VLMEvalKit's own loop, measured in one run.

PYTHONPATH=. python tests/benchmarks/engine_speed.py [MODEL_FOLDER] [QUESTIONS]
The model defaults to the miniature's VLM. Set OMP_NUM_THREADS to what the study will use.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import vlmevalkit_loop
from transformers import AutoProcessor
from vlmeval.inference import infer_data_job

from benchmarks import items, vlmevalkit
from benchmarks.engine import Engine, Settings
from benchmarks.registry import find

SUITES = ("mini_number", "mini_total")
WEIGHTS = Path(__file__).parents[2] / "benchmarks" / "miniature" / "weights" / "vlm"


def timed(work: Callable[[], object]) -> float:
    """Wall seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main(folder: Path, n: int) -> None:
    """Print questions per second and the ratio to VLMEvalKit's loop."""
    settings = Settings()
    reference = vlmevalkit_loop.OnAnyDevice(str(folder), settings.max_new_tokens)
    processor = AutoProcessor.from_pretrained(folder)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        definitions = [find(name).model_copy(update={"sha256": {}}) for name in SUITES]
        items.write(root, definitions, {"test": n})
        print(f"{'benchmark':14}{'batch':>6}{'first q/s':>11}{'again q/s':>11}{'loop q/s':>10}{'ratio':>7}")
        for definition in definitions:
            asked = items.load(root, "test", [definition.name])[definition.name]
            dataset = vlmevalkit.build(definition, root / "test")
            loop = n / timed(lambda d=dataset: infer_data_job(reference, temporary, "loop", d))
            for size in (64, 128, 256):
                engine = Engine(reference.model, processor, settings.model_copy(update={"batch_size": size}))
                # The pictures pass the vision tower once; further variants are spared that.
                first, again = (n / timed(lambda e=engine, a=asked: list(e.generate(a))) for _ in range(2))
                ratio = f"{again / loop:6.1f}x"
                print(f"{definition.name:14}{size:6}{first:11.1f}{again:11.1f}{loop:10.1f}{ratio:>7}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else WEIGHTS, int(sys.argv[2]) if len(sys.argv) > 2 else 256)
