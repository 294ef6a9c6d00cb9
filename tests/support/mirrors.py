"""Local mirrors of the hub's data sets, with their true columns and files, and a few questions of our own."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

MATH = [
    ("What is $\\frac{1}{2}+\\frac{1}{4}$?", "\\frac{3}{4}"),
    ("Solve $x^2=2$ for $x>0$.", "\\sqrt{2}"),
    ("How many primes are below 2,000?", "303"),
    ("Where is $f(x)=\\sqrt{x-2}$ defined?", "[2,\\infty)"),
]  # fmt: skip


def gsm8k(mirror: Path, n: int = 6) -> list[str]:
    """openai/gsm8k, two configurations and a card that names them; returns the final answers."""
    root = mirror / "openai/gsm8k"
    answers = [str(1000 * i + 42) for i in range(n)]
    rows = [
        {
            "question": f"Ann has {1000 * i + 40} apples and buys two. How many has she?",
            "answer": f"She has {1000 * i + 40} + 2 = <<{a}={a}>>{a}.\n#### {1000 * i + 42:,}",
        }
        for i, a in enumerate(answers)
    ]
    other = [{"question": "Another configuration?", "answer": "#### 0"}]
    configs = "".join(
        f"- config_name: {c}\n  data_files:\n  - split: train\n    path: {c}/train-*\n"
        f"  - split: test\n    path: {c}/test-*\n"
        for c in ("main", "socratic")
    )
    for config, content in (("main", rows), ("socratic", other)):
        for split in ("train", "test"):
            _parquet(root / config / f"{split}-00000-of-00001.parquet", content)
    (root / "README.md").write_text(f"---\nconfigs:\n{configs}---\n# GSM8K\n")
    return answers


def math_500(mirror: Path) -> list[str]:
    """HuggingFaceH4/MATH-500, one file of JSON lines without a card; returns the gold answers."""
    rows = [
        {
            "problem": problem, "solution": f"We get $\\boxed{{{answer}}}$.", "answer": answer,
            "subject": "Algebra", "level": 1, "unique_id": f"test/algebra/{i}.json",
        }
        for i, (problem, answer) in enumerate(MATH)
    ]  # fmt: skip
    path = mirror / "HuggingFaceH4/MATH-500/test.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return [answer for _, answer in MATH]


def mmlu(mirror: Path, n: int = 4) -> list[str]:
    """cais/mmlu, a folder per configuration; returns the right letters."""
    rows = [
        {
            "question": f" Which colour is number {i}? ", "subject": "anatomy",
            "choices": ["a red one", "None", "a blue one", "a green one"], "answer": i % 4,
        }
        for i in range(n)
    ]  # fmt: skip
    for config in ("all", "anatomy"):
        for split in ("test", "dev"):
            _parquet(mirror / f"cais/mmlu/{config}/{split}-00000-of-00001.parquet", rows)
    return ["ABCD"[i % 4] for i in range(n)]


def arc_easy(mirror: Path, n: int = 3) -> list[str]:
    """allenai/ai2_arc, ARC-Easy: options whose texts are no letters; returns the right letters."""
    rows = [
        {
            "id": f"q{i}", "question": f"What melts at {i} degrees?",
            "choices": {"text": ["iron", "ice", "stone"], "label": ["A", "B", "C"]}, "answerKey": "B",
        }
        for i in range(n)
    ]  # fmt: skip
    for split in ("train", "validation", "test"):
        _parquet(mirror / f"allenai/ai2_arc/ARC-Easy/{split}-00000-of-00001.parquet", rows)
    return ["B"] * n


def winogrande(mirror: Path) -> None:
    """allenai/winogrande: sentences with a gap, which lm-eval compares as wholes."""
    row = {"sentence": "The _ is red.", "option1": "car", "option2": "dog", "answer": "1"}
    for split in ("train", "validation"):
        _parquet(mirror / f"allenai/winogrande/winogrande_xl/{split}-00000-of-00001.parquet", [row])


def _parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_parquet(path, index=False)
