"""The page on how answers are read names every rule that the column `rule` can hold."""

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import get_args

import pytest

from benchmarks.questions.unanswerable import KINDS
from benchmarks.scoring import extraction
from benchmarks.study.marks import RULE as FAILED
from benchmarks.study.marks import STOCK_RULE

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/answers.md"
TEXTS = (
    "",
    "<think>Yes",
    "\\boxed{B}",
    "\\boxed{nothing of the kind at all}",
    "<answer>7</answer>",
    "The answer is 45°.",
    "Yes",
    "No, there is none of them to be seen here.",
    "B. Because it is so.\nAnd so on.",
    "45°, as it was said above.",
    "I looked at it.\nB\nThat is all there is to say.",
    "So, as one may see at once, it is (B) 45° here.",
    "(A) 30° (B) 45°",
    "Both (A) and (B) may be right in this case.",
    "I'm sorry, I cannot see the picture at all.",
    "Counting them, there are 7 birds.",
    "**7** birds fly away. Then they land.",
    "Adding it all up gives us 3 + 4 = 7",
    "All in all the number of them is five.",
    "It follows from both of these:\n\n**x = 2**",
    "and so on " * 40,
)


def modules_of_the_extractor() -> Iterator[ModuleType]:
    """The extractor and what it imports from its room, step by step."""
    found, waiting = set(), [extraction.__name__]
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            module = import_module(name)
            yield module
            tree = ast.parse(Path(str(module.__file__)).read_text())
            imported = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
            waiting += [name for name in imported if name and name.startswith("benchmarks.scoring.")]


def pairs(tree: ast.AST) -> Iterator[list[ast.expr]]:
    """What is yielded, returned or looped over as (answer, rule), and the statements that are found."""
    for node in ast.walk(tree):
        match node:
            case ast.Yield(value=ast.Tuple(elts=elements)) | ast.Return(value=ast.Tuple(elts=elements)):
                yield elements
            case ast.For(iter=looped):
                yield from (inner.elts for inner in ast.walk(looped) if isinstance(inner, ast.Tuple))
            case ast.Call(func=ast.Name(id="Statement"), args=arguments):
                yield arguments[:2]


def rules_of_the_code() -> set[str]:
    names = {extraction.NOTHING, STOCK_RULE, *(f"{FAILED}{kind}" for kind in KINDS)}
    for module in modules_of_the_extractor():
        for elements in pairs(ast.parse(Path(str(module.__file__)).read_text())):
            constants = [n.value for n in ast.walk(elements[-1]) if isinstance(n, ast.Constant)]
            texts = [text for text in constants if isinstance(text, str)]
            if len(elements) == 2:
                names |= {text for text in texts if re.fullmatch(r"[a-z][a-z' ]{2,}", text)}
    return names


def documented() -> set[str]:
    """The names in the first column of the page's tables of rules."""
    tables = PAGE.read_text().partition("## Every rule")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`.*?) \|", tables, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)} - {"rule"}


def test_every_rule_is_named_and_no_other() -> None:
    code = rules_of_the_code()
    assert {"boxed", "last sentence", "only word", "there are", "unfinished thought", "loop"} <= code
    named = {name for name in documented() if ", but no " not in name}
    assert named == code


@pytest.mark.parametrize("kind", get_args(extraction.Kind))
def test_the_rules_that_fire_are_among_them(kind: extraction.Kind) -> None:
    """Nothing that reading the code overlooks."""
    options = {"A": "30°", "B": "45°"} if kind.startswith("option") else {}
    fired = {extraction.extract(text, kind, options)[1].partition(", but no ")[0] for text in TEXTS}
    assert len(fired) > 3
    assert fired <= documented()
