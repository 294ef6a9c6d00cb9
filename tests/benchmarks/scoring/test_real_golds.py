"""Answers of public benchmarks, said in the styles in which models say them, are read as they are."""

import ast
import csv
import logging
import re
import string
import sys

import pytest
from math_verify import parse, verify

from benchmarks.scoring.extraction import Kind, extract
from benchmarks.scoring.judges import answers_agree
from tests.support.shared_data import find_shared, read_records

logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns that we give it all the time it needs

STYLES = {
    "plain": "{}",
    "boxed": "So we get $\\boxed{{{}}}$.",
    "phrase": "The answer is {}.",
    "thought": "<think>Maybe 1?</think>\n\n**Answer:** {}",
    "bold": "We see it in the steps above.\n\n**{}**",
    "last sentence": "We add both sides. Therefore, the result is {}.",
}
FORMULA_STYLES = {
    "boxed": (STYLES["boxed"], 0.998),
    "bold": ("We see it in the steps above.\n\n**${}$**", 0.95),
    "last sentence": ("We add both sides. Therefore, the result is ${}$.", 0.95),
    "phrase": ("The answer is ${}$.", 0.95),
}
MATH_500 = "data/mirror/HuggingFaceH4/MATH-500/test.jsonl"
GSM8K = "data/mirror/openai/gsm8k/main/test.jsonl"
# Answers.jsonl says what a benchmark asks for by these words.
KIND_OF: dict[str, Kind] = {
    "multiple choice": "option",
    "integer": "number",
    "float": "number",
    "formula": "math",
    "yes/no": "yes_no",
    "several letters": "options",
    "number": "number",
    "json": "text",
}
LONGEST = dict.fromkeys(("option", "mathvista", "mathvision", "mathverse"), 12) | {"logicvista": 8}


def is_right_formula(answer: str | None, solution: str) -> bool:
    """Judge as lm-eval's task of MATH-500 does."""
    if answer is None:
        return False
    said = f"Final Answer: The final answer is ${answer}$. I hope it is correct."
    gold, read = (parse(text, parsing_timeout=None) for text in (solution, said))
    return bool(verify(gold, read, timeout_seconds=None))


def test_recorded_cases() -> None:
    """Outputs of real models in other words, each with the answer that a person reads."""
    wrong, worse = [], []
    for case in (cases := read_records("cases/answers.jsonl")):
        kind = case.get("read_as") or KIND_OF[case["question_type"]]
        longest = LONGEST.get(case.get("benchmark", ""), 4)
        asked = case.get("question_type") == "json"
        found, _ = extract(case["text"], kind, case["options"], longest=longest, json=asked)
        wanted = case["extracted"]
        right = found == wanted
        if found and wanted and kind == "number":
            right = right or float(found) == pytest.approx(float(wanted), abs=1e-12)
        if found and wanted and kind == "math":
            right = right or answers_agree(found, wanted)
            right = right and (not case.get("correct") or answers_agree(found, case["gold"]))
        if not right:
            wrong.append((case["kind"], kind, case["text"][:200], found, wanted))
            worse += [wrong[-1]] if case["passes_today"] else []
    assert len(cases) == 201
    assert not worse
    assert len(cases) - len(wrong) >= 195, wrong


@pytest.mark.parametrize("style", FORMULA_STYLES)
def test_math_500(style: str) -> None:
    text, least = FORMULA_STYLES[style]
    records, lost = read_records(MATH_500), []
    # Boxed all of them; in the other styles every fifth, for the time that math-verify takes.
    records = records if style == "boxed" else records[::5]
    for record in records:
        found, rule = extract(text.format(record["answer"]), "math")
        if found != record["answer"] and not is_right_formula(found, record["solution"]):
            lost.append((record["answer"], found, rule))
    assert len(lost) <= len(records) * (1 - least) + 1e-9, lost


def _read_share(golds: list[tuple[str, str]], kind: Kind, style: str, choices: list[dict[str, str]]) -> float:
    """The share of golds (what is said, what it is) that are read in a style."""
    right = 0
    for (said, gold), options in zip(golds, choices, strict=True):
        found, _ = extract(STYLES[style].format(said), kind, options, longest=12)
        right += found is not None and (found == gold or (kind == "number" and float(found) == float(gold)))
    return right / len(golds)


@pytest.mark.parametrize("style", STYLES)
def test_gsm8k(style: str) -> None:
    golds = [r["answer"].rpartition("####")[2].strip() for r in read_records(GSM8K)]
    pairs = [(gold, gold.replace(",", "")) for gold in golds]
    assert _read_share(pairs, "number", style, [{}] * len(pairs)) == 1


@pytest.mark.parametrize("style", STYLES)
def test_mathvista(style: str) -> None:
    records = read_records("data/mathvista/testmini.json")
    options = [dict(zip(string.ascii_uppercase, r["choices"] or [], strict=False)) for r in records]
    letters = [
        (letter, choices)
        for r, choices in zip(records, options, strict=True)
        for letter, text in choices.items()
        if text == r["answer"]
    ]
    assert len(letters) >= 540
    pairs = [(letter, letter) for letter, _ in letters]
    assert _read_share(pairs, "option", style, [choices for _, choices in letters]) == 1
    # By its text, where no other option has the same.
    named = [(letter, c) for letter, c in letters if list(c.values()).count(c[letter]) == 1]
    texts = [(c[letter], letter) for letter, c in named]
    assert _read_share(texts, "option", style, [c for _, c in named]) > 0.99
    asked = [r for r in records if r["answer_type"] in ("integer", "float") and not r["choices"]]
    numbers = [(r["answer"], r["answer"]) for r in asked]
    assert _read_share(numbers, "number", style, [{}] * len(numbers)) >= 0.99


@pytest.mark.parametrize("style", STYLES)
def test_mathvision(style: str) -> None:
    csv.field_size_limit(sys.maxsize)
    with find_shared("data/MathVision_MINI.tsv").open(newline="", encoding="utf-8") as stream:
        rows = [
            {k: v for k, v in row.items() if k != "image"} for row in csv.DictReader(stream, delimiter="\t")
        ]
    choices = [
        dict(zip(string.ascii_uppercase, ast.literal_eval(row["choices"]), strict=False)) for row in rows
    ]
    asked = [(row["answer"], options) for row, options in zip(rows, choices, strict=True) if options]
    assert len(asked) > 100
    letters = [(answer, answer) for answer, _ in asked]
    assert _read_share(letters, "option", style, [options for _, options in asked]) == 1
    free = [row["answer"] for row, options in zip(rows, choices, strict=True) if not options]
    lost = {answer: found for answer in free if not answers_agree(found := _read_free(style, answer), answer)}
    numbers = [answer for answer in free if re.fullmatch(r"[-\d.]+", answer)]
    assert len(numbers) > 80
    assert sum(answer in lost for answer in numbers) <= 0.01 * len(numbers), lost
    assert len(lost) <= 0.02 * len(free), lost


@pytest.mark.parametrize("answer", ["(3,-4)", "\\frac{2}{3}", "5\\sqrt{2}", "2n+1"])
@pytest.mark.parametrize("style", STYLES)
def test_formulas_where_a_long_text_may_be_an_answer(style: str, answer: str) -> None:
    """As in MathVision and MathVerse, where up to twelve words are an answer by themselves."""
    assert answers_agree(_read_free(style, answer), answer)


def _read_free(style: str, answer: str) -> str:
    return extract(STYLES[style].format(answer), "math", longest=12)[0] or ""
