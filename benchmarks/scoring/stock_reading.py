"""Read an answer by VLMEvalKit's own rules, where ours find none: never worse than the stock reader."""

from importlib import import_module

from benchmarks.prompting.thinking import find_spoken
from benchmarks.scoring.expected import ExpectedAnswer
from benchmarks.scoring.option_letters import is_word


def read_by_stock_rule(raw: str, expected: ExpectedAnswer) -> str | None:
    """Read what is said after all thoughts as VLMEvalKit does; None where it finds nothing, or guesses.

    Only letters and yes or no: other answers it takes whole. An article "A" and the pronoun are no letters.
    """
    spoken = (find_spoken(raw) or "").strip()
    if not spoken:
        return None
    if expected.kind == "yes_no":
        word = import_module("vlmeval.dataset.utils.yorn").YOrN_Extraction(spoken)
        return word if word in ("Yes", "No") else None
    if expected.kind != "option" or not expected.options:
        return None
    letter = import_module("vlmeval.utils.matching_util").can_infer(spoken, dict(expected.options))
    if letter not in expected.options:
        return None
    if letter in "AI":
        places = [place for place, sign in enumerate(spoken) if sign == letter]
        if all(
            is_word(letter, spoken[place + 1 :]) or spoken[place + 1 : place + 2].isalpha()
            for place in places
        ):
            return None
    return str(letter)
