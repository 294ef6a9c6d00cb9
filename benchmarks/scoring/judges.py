"""Judge answers where VLMEvalKit asks whether one is right: by a fixed rule, or with a language model.

VLMEvalKit's metrics for MathVista, MathVerse, MathVision, LogicVista, DynaMath and WeMath ask a model to
extract the answer and to compare it. Here the answer is extracted before, so that the rule judge has to
repeat it and, for MathVerse, to compare it as a formula.
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from benchmarks.scoring.equality import answers_agree

if TYPE_CHECKING:
    import pandas as pd

RULE_VERSION = 2  # version of the rule judge
NO_OPTION = "Z"


class Judge(Protocol):
    """The judge that VLMEvalKit asks, with what the sandbox sets before it does.

    Attributes:
        name: VLMEvalKit names files by it.
        workers: questions at a time.
        row: what the next prompt is about, set before VLMEvalKit asks; one per thread.
        system_prompt: set by VLMEvalKit for some metrics.
        max_tokens: set by VLMEvalKit; None: no limit.
    """

    name: str
    workers: int
    row: "pd.Series | None"
    system_prompt: str | None
    max_tokens: int | None

    def working(self) -> bool:
        """Tell whether it can be asked. VLMEvalKit falls back to other rules where it cannot."""
        ...

    def generate(self, prompt: str, **options: Any) -> str:
        """Reply to one of VLMEvalKit's prompts."""
        ...


class RuleJudge:
    """Takes a text as the answer: it never guesses, and says the same every time.

    On extracted answers that is a judge; on raw texts, VLMEvalKit without one. Its replies depend on the row,
    not on the prompt.
    """

    name = "rule"
    workers = 1

    def __init__(self, metric: str) -> None:
        self.reply = _REPLIES.get(metric, _reply_as_given)
        self.row: pd.Series | None = None
        self.system_prompt: str | None = None
        self.max_tokens: int | None = None

    def working(self) -> bool:
        """Return True: a rule always can."""
        return True

    def generate(self, prompt: str, **_: Any) -> str:
        """Reply with the row's answer as VLMEvalKit reads it; "1" or "0" where it asks to compare."""
        return NO_OPTION if self.row is None else self.reply(self.row)


def _reply_as_given(row: "pd.Series") -> str:
    return str(row["prediction"])


def _reply_letters(row: "pd.Series") -> str:
    """Reply to LogicVista: "A, C" as "AC"; whatever is not a list of letters as NO_OPTION."""
    letters = re.sub(r"[,\s]", "", str(row["prediction"]))
    return letters if re.fullmatch(r"[A-Z]+", letters) else NO_OPTION


def _reply_comparison(row: "pd.Series") -> str:
    """Reply to MathVerse, which asks twice: for the answer, and then whether it is the true one."""
    if "extract" not in row:
        return str(row["prediction"])
    return "1" if answers_agree(str(row["extract"]), str(row["answer"])) else "0"


_REPLIES: dict[str, Callable[["pd.Series"], str]] = {
    "logicvista": _reply_letters,
    "mathverse": _reply_comparison,
}
