"""Judges: what VLMEvalKit asks whether an answer is right: a fixed rule by default, or a language model.

VLMEvalKit's metrics for MathVista, MathVerse, MathVision, LogicVista, DynaMath and WeMath ask a model to
extract the answer and to compare it. Here the answer is extracted before, so that the rule judge has to
repeat it and, for MathVerse, to compare it as a formula.
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from benchmarks.scoring.answer_forms import reduce
from benchmarks.scoring.stated_numbers import is_formula

if TYPE_CHECKING:
    import pandas as pd

RULES = 1  # version of the rule judge
NO_OPTION = "Z"


class Judge(Protocol):
    """What VLMEvalKit needs of a judge, and the adapter to know.

    Attributes:
        name: VLMEvalKit names files by it.
        workers: questions at a time.
        about: the row that the next prompt is about, set before VLMEvalKit asks; one per thread.
        system_prompt: set by VLMEvalKit for some metrics.
        max_tokens: set by VLMEvalKit; None: no limit.
    """

    name: str
    workers: int
    about: "pd.Series | None"
    system_prompt: str | None
    max_tokens: int | None

    def working(self) -> bool:
        """Whether it can be asked. VLMEvalKit falls back to other rules where it cannot."""
        ...

    def generate(self, prompt: str, **options: Any) -> str:
        """The reply to one of VLMEvalKit's prompts."""
        ...


class RuleJudge:
    """The judge that takes a text as the answer: it never guesses, and says the same every time.

    On extracted answers that is a judge; on raw texts, VLMEvalKit without one. Its replies depend on the row,
    not on the prompt.
    """

    name = "rule"
    workers = 1

    def __init__(self, metric: str) -> None:
        self.reply = _REPLIES.get(metric, _as_given)
        self.about: pd.Series | None = None
        self.system_prompt: str | None = None
        self.max_tokens: int | None = None

    def working(self) -> bool:
        """Always."""
        return True

    def generate(self, prompt: str, **_: Any) -> str:
        """The answer of the row, in the form that VLMEvalKit reads; "1" or "0" where it asks to compare."""
        return NO_OPTION if self.about is None else self.reply(self.about)


def same(answer: str, truth: str) -> bool:
    """Whether two answers agree: as texts, or as numbers or formulas by math-verify.

    A single letter is an option, which equals itself alone. Sentences agree as texts only: math-verify would
    look for a formula in them.
    """
    answer, truth = (reduce(text, "math", {}) for text in (answer, truth))
    if not answer or not truth:
        return False
    if re.sub(r"\s", "", answer) == re.sub(r"\s", "", truth):
        return True
    if len(truth) == 1 and truth.isalpha():
        return False
    if not is_formula(answer):
        return False
    from math_verify import parse, verify

    # Without its time limits: what is right must not depend on how busy the machine is.
    pair = [parse(f"${text}$", parsing_timeout=None) for text in (truth, answer)]
    return bool(verify(*pair, timeout_seconds=None))


def _as_given(line: "pd.Series") -> str:
    return str(line["prediction"])


def _letters(line: "pd.Series") -> str:
    """LogicVista: "A, C" as "AC"; whatever is no list of letters is no option."""
    letters = re.sub(r"[,\s]", "", str(line["prediction"]))
    return letters if re.fullmatch(r"[A-Z]+", letters) else NO_OPTION


def _compared(line: "pd.Series") -> str:
    """MathVerse asks twice: for the answer, and then whether it is the true one."""
    if "extract" not in line:
        return str(line["prediction"])
    return "1" if same(str(line["extract"]), str(line["answer"])) else "0"


_REPLIES: dict[str, Callable[["pd.Series"], str]] = {"logicvista": _letters, "mathverse": _compared}
