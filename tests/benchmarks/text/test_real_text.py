"""GSM8K, MATH-500 and MMLU as published, where they are there, through the text column with the miniature."""

from pathlib import Path

import pandas as pd
import pytest

from benchmarks.registry.lookup import find
from benchmarks.stages.text import main
from benchmarks.text.generated_task import LETTER, STEPS
from benchmarks.text.tasks import make_tasks
from tests.benchmarks.conftest import invoke
from tests.support.shared_data import find_shared
from tests.support.studies import WEIGHTS, record

TASKS = ["gsm8k", "math_500", "mmlu"]
ROWS = {"gsm8k": 1319, "math_500": 500, "mmlu": 3018}
N = 4


def test_real_questions_can_be_put(monkeypatch: pytest.MonkeyPatch) -> None:
    """All are there; some are read, with their gold answers, MMLU's with four options."""
    mirror = find_shared("data/mirror")
    tasks = make_tasks([find(name) for name in TASKS], None, 0, mirror)
    assert {name: len(task.positions) for name, task in tasks.items()} == ROWS
    for name, task in tasks.items():
        for position in range(0, len(task.positions), 97):
            doc = task.eval_docs[position]
            assert task.doc_to_text(doc).endswith(LETTER if name == "mmlu" else STEPS)
            assert task.doc_to_target(doc)
            assert name != "mmlu" or "\nD. " in task.doc_to_text(doc)


def test_the_miniature_answers_real_questions(tmp_path: Path) -> None:
    """What is longer than its 512 positions counts as unanswered, and says so."""
    settings = {
        "triple": WEIGHTS,
        "engine": {
            "name": "transformers",
            "max_new_tokens": 8,
            "batch_size": 4,
            "failures": {"count_as_unanswered": 0.75},
        },
        "text": [{"name": name, "max_new_tokens": 8} for name in TASKS],
        "questions": {"dev": N, "test": N, "text": N},
        "data": {"folder": str(find_shared("data/mirror"))},
    }
    study, out = record(tmp_path, settings), tmp_path / "text/lrm.csv"
    result = invoke(main, "--study", study, "--variant", "lrm")
    assert result.exit_code == 0, result.output
    table = pd.read_csv(out)
    assert table.groupby("benchmark").size().to_dict() == dict.fromkeys(TASKS, N)
    failed = table["rule"].str.startswith("failed: ")
    assert (~failed).groupby(table["benchmark"]).sum().min() >= 1, table[["benchmark", "rule"]]
    assert table.loc[~failed, "raw"].str.len().gt(0).all()
    assert table["correct"].isin([0, 1]).all() and not table.loc[failed, "correct"].any()
