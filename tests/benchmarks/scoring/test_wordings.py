"""Wordings like those of real models, by the kinds of faults that readers of answers have.

wordings.jsonl holds two to four of each kind in own words: the text, how it is read, and the answer that a
person reads, null for none. `wrong_today` says why one is still read wrongly; `at`, at which number of words.
"""

import json
from pathlib import Path

import pytest
from _pytest.mark.structures import ParameterSet

from benchmarks.scoring.extraction import Kind, extract

# Words up to which an unmarked text is an answer by itself, as the metrics of a kind have it.
LONGEST = {"option": (4, 12), "options": (4, 8), "number": (4, 12), "math": (4, 12)}


def _list_wordings() -> list[ParameterSet]:
    cases = []
    lines = Path(__file__).with_name("wordings.jsonl").read_text(encoding="utf-8").splitlines()
    for place, case in enumerate(map(json.loads, lines)):
        for longest in LONGEST.get(case["kind"], (4,)):
            wrong = "wrong_today" in case and case.get("at", longest) == longest
            marks = [pytest.mark.xfail(strict=True, reason=case["wrong_today"])] if wrong else []
            values = (case["kind"], case["options"], case["text"], longest, case["answer"])
            cases.append(pytest.param(*values, id=f"{place} {case['fault']} {longest}", marks=marks))
    return cases


@pytest.mark.parametrize(("kind", "options", "raw", "longest", "answer"), _list_wordings())
def test_wordings(
    kind: Kind, options: dict[str, str] | None, raw: str, longest: int, answer: str | None
) -> None:
    assert extract(raw, kind, options, longest=longest)[0] == answer
