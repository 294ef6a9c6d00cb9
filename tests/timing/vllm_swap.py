"""A swap in a running vLLM against export and restart, on the miniature, and whether answers are the same.

PYTHONPATH=. .venv-peers/vllm/bin/python tests/timing/vllm_swap.py [QUESTIONS] [SWAPS]
One vLLM answers QUESTIONS as V, A (R's task vector at 0.9), V, A; the default engine and a fresh vLLM on A's
export answer the same. Then it swaps SWAPS times, and A is exported and loaded by a new vLLM once.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.answering.engine import open_engine
from frism.merging.export import Job, export
from frism.method.fitted import Fitted
from frism.method.recipe import Recipe
from tests.support import vllm as support
from tests.support.vllm import Answers, ask, inject, settings
from tests.support.whole_process import machine


def timed(work: Any, *given: Any) -> tuple[Any, float]:
    """What a call gives, and its seconds."""
    start = time.perf_counter()
    result = work(*given)
    return result, time.perf_counter() - start


def compare(name: str, found: Answers, expected: Answers) -> None:
    """Print how many answers are equal in text, tokens and truncation."""
    equal = sum(a == b for a, b in zip(found, expected, strict=True))
    print(f"{name:44} {equal} of {len(expected)} answers equal", flush=True)


def main(questions: int = 1200, swaps: int = 20) -> None:
    """Print equalities, seconds and questions per second."""
    print(machine())
    triple = support.open_miniature()
    v, a = Recipe.make(triple, "vlm"), inject(triple, 0.9)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "items")
        support.write_questions(folder, -(-questions // len(support.SUITES)))
        items = support.read_questions(folder)
        expected, rates = {}, {}
        default = open_engine(triple, None, None, settings("transformers", batch_size=256), folder)
        for recipe in (v, a):
            default.become(triple, recipe)
            expected[recipe.key], seconds = timed(ask, default, items)
            rates[recipe.key] = [len(items) / seconds]
        compare("V against A (must differ)", expected[a.key], expected[v.key])
        engine = open_engine(triple, None, None, settings(batch_size=256), folder)
        start = time.perf_counter()
        ask(engine, items[:1])
        print(f"{'vLLM starts on V':44} {time.perf_counter() - start:.1f} s", flush=True)
        for name, recipe in (("V", v), ("A", a), ("V again", v), ("A again", a)):
            engine.become(triple, recipe)
            found, seconds = timed(ask, engine, items)
            compare(f"vLLM as {name}, against the default engine", found, expected[recipe.key])
            rates[recipe.key].append(len(items) / seconds)
        times = [timed(engine.become, triple, (v, a)[n % 2])[1] for n in range(swaps)]
        engine.close()
        _, exporting = timed(export, Job.from_recipe(triple, a, Fitted(), Path(temporary, "a")))
        start = time.perf_counter()
        by_hand = settings(batch_size=256, checkpoint=str(Path(temporary, "a")))
        fresh = open_engine(triple, a, Fitted(), by_hand, folder)
        ask(fresh, items[:1])
        restart = exporting + time.perf_counter() - start
        compare("a fresh vLLM on A's export", ask(fresh, items), expected[a.key])
        fresh.close()
    swap = statistics.median(times)
    print(f"swap {swap:.3f} s (median of {swaps}, {min(times):.3f} to {max(times):.3f}); export and restart"
          f" {restart:.1f} s: {restart / swap:.0f} times as long")  # fmt: skip
    for recipe, name in ((v, "V"), (a, "A")):
        first, *others = rates[recipe.key]
        print(f"questions per second as {name}: default engine {first:.0f};"
              f" vLLM {', '.join(f'{rate:.0f}' for rate in others)}")  # fmt: skip


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
