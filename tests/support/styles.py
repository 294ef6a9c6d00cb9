"""Right answers in the styles in which models give them, for any of the tables of tsvs.py."""

import json
from collections.abc import Callable
from pathlib import Path

from benchmarks.registry.definition import Definition
from benchmarks.scoring import expected
from benchmarks.scoring.extraction import extract
from tests.support.tsvs import right_answers

CHAIN = (
    "Let me think step by step. First A is tempting, there is no doubt that B has 3 parts, and 17 of them"
    " are red.\nTherefore, the final answer is {}."
)
STYLES: dict[str, Callable[[str, str], str]] = {
    "plain": lambda answer, _: answer,
    "brackets": lambda answer, kind: f"({answer})" if kind in ("option", "options") else answer,
    "bold": lambda answer, _: f"**Answer:** {answer}",
    "boxed": lambda answer, _: f"So \\boxed{{{answer}}}.",
    "boxed text": lambda answer, _: f"So $\\boxed{{\\text{{{answer}}}}}$.",
    "thought": lambda answer, _: (
        f"<think>A or C? No, there is no doubt. The answer is D. 17.</think>\n\\boxed{{{answer}}}"
    ),
    "tag": lambda answer, _: f"<think>Perhaps A, or 4.</think><answer> {answer} </answer>",
    "chain": lambda answer, _: CHAIN.format(answer),
    "long chain": lambda answer, _: "We see that A is not C. " * 2000 + CHAIN.format(answer),
}


def answered(path: Path, definition: Definition, style: str) -> list[str]:
    """A right answer to every question of the table, in the style."""
    right = right_answers(path)
    if definition.metric == "dynamath" and style not in ("plain", "brackets"):
        right = [
            json.loads(answer)["short answer"] for answer in right
        ]  # the JSON that was asked for forgotten
    kinds = [wanted.kind for wanted in expected.expected_answers(definition, path.parent)]
    return [STYLES[style](answer, kind) for answer, kind in zip(right, kinds, strict=True)]


def extracted(raws: list[str], path: Path, definition: Definition) -> list[str]:
    """What VLMEvalKit gets of them."""
    wanted = expected.expected_answers(definition, path.parent)
    found = [
        extract(raw, e.kind, e.options, longest=e.longest, json=e.json)[0]
        for raw, e in zip(raws, wanted, strict=True)
    ]
    return [e.phrase(text) for e, text in zip(wanted, found, strict=True)]
