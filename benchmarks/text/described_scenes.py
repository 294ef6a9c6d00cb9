"""What the lm-eval task needs in Python: the described scenes."""

from typing import Any

import datasets

from benchmarks.questions.miniature import rows
from benchmarks.registry.lookup import find

SPLIT = "test"


def load(benchmark: str, questions: int, seed: int, **_: Any) -> dict[str, datasets.Dataset]:
    """The first `questions` test questions of a benchmark, on the scenes that its pictures show."""
    found = rows(find(benchmark), SPLIT, questions, seed)
    content = [{"index": r.index, "question": r.described(), "answer": r.answer} for r in found]
    return {SPLIT: datasets.Dataset.from_list(content)}
