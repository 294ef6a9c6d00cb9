"""Every answer and chain, checked by an independent reader that only parses their words."""

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.miniature import question_families as q
from benchmarks.miniature.world import PLACES, Scene, number_word

VALUES = {number_word(n): n for n in range(100)}
SEEDS = st.integers(0, 10**6)


def read(scene: Scene, color: str) -> int:
    return next(t.number for t in scene if t.color == color)


def solve(text: str, scene: Scene) -> str:
    """The answer to a question, from its words alone."""
    colors = [w for w in text.split() if any(t.color == w for t in scene)]
    numbers = {c: read(scene, c) for c in colors}
    if m := re.fullmatch(r"What number is (\w+) \?", text):
        return number_word(read(scene, m[1]))
    if m := re.fullmatch(r"What color is (\w+) \?", text):
        (match,) = [t.color for t in scene if t.number == VALUES[m[1]]]
        return match
    if m := re.fullmatch(r"Where is (\w+) \?", text):
        return next(PLACES[t.place] for t in scene if t.color == m[1])
    if text.startswith("Is there"):
        return "yes" if colors else "no"
    if text.startswith("How many"):
        return number_word(len(scene))
    if text.startswith("Which is larg"):
        return max(numbers, key=numbers.__getitem__)
    if text.startswith("If"):
        a, b, c = colors[0], colors[1], colors[3]
        return number_word(max(numbers[a], numbers[b]) + numbers[c])
    if text.startswith("Reduce"):
        return number_word(numbers[colors[0]] - numbers[colors[1]])
    if " less " in text:
        return number_word(numbers[colors[0]] + numbers[colors[1]] - numbers[colors[2]])
    return number_word(sum(numbers.values()))


@pytest.mark.parametrize("name", q.FAMILIES)
@given(seed=SEEDS)
def test_the_answer_follows_from_the_question(name: str, seed: int) -> None:
    scene, question = q.ask(q.FAMILIES[name], random.Random(seed))
    assert solve(question.text, scene) == question.answer


@pytest.mark.parametrize("name", q.SHORT | q.REASONING)
@given(seed=SEEDS)
def test_every_step_of_a_chain_is_true_and_leads_to_the_answer(name: str, seed: int) -> None:
    scene, question = q.ask(q.FAMILIES[name], random.Random(seed))
    for step in question.chain.removesuffix(" .").split(" . "):
        words = step.split()
        if len(words) == 2:
            assert read(scene, words[0]) == VALUES[words[1]]
        elif len(words) == 3:
            a, b = VALUES[words[0]], VALUES[words[2]]
            assert a > b if words[1] == ">" else a < b
        else:
            a, sign, b, equals, c = words
            assert equals == "="
            assert VALUES[c] == VALUES[a] + (1 if sign == "+" else -1) * VALUES[b]
    assert question.worked().endswith(f"Answer {question.answer}")


def test_reasoning_takes_more_steps_than_short_chains() -> None:
    rng = random.Random(0)
    steps = {name: q.ask(f, rng)[1].chain.count(" .") for name, f in (q.SHORT | q.REASONING).items()}
    assert max(steps[n] for n in q.SHORT) < min(steps[n] for n in q.REASONING)


@given(SEEDS)
def test_arithmetic_facts_are_true(seed: int) -> None:
    a, sign, b, _, c, _ = q.arithmetic_fact(random.Random(seed)).split()
    assert VALUES[c] == VALUES[a] + (1 if sign == "+" else -1) * VALUES[b]
