"""Load the questions of the lm-eval task on described scenes, which its YAML calls by name."""

from typing import Any

import datasets

from benchmarks.questions.miniature import rows
from benchmarks.registry.lookup import find

SPLIT = "test"


def load(benchmark: str, questions: int, seed: int, **_: Any) -> dict[str, datasets.Dataset]:
    """Describe the scenes of a benchmark's first `questions` test questions, with the questions."""
    content = [
        {"index": row.index, "question": row.described(), "answer": row.answer}
        for row in rows(find(benchmark), SPLIT, questions, seed)
    ]
    return {SPLIT: datasets.Dataset.from_list(content)}
