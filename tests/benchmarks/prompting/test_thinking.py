"""Thoughts are told from what is said, whatever tags a model puts around them."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.prompting.thinking import CONVENTIONS, choose_conventions, find_spoken, reopen
from benchmarks.study.engine_settings import THINKING

BLOCKS = [(c.begin, c.end) for c in CONVENTIONS if c.name != "harmony"]
_TAGS = [
    *(tag for pair in BLOCKS for tag in pair),
    *(tag for c in CONVENTIONS if c.answer for tag in c.answer if tag),
    *("<|channel|>analysis<|message|>", "<|channel|>", "<|message|>", "<|end|>", "<|start|>assistant"),
    *("analysisWe", "assistantfinal", "<", "</", "<|", "|>", "[", "◁"),
]
PLAIN = st.text(alphabet=st.characters(exclude_characters="<>[]◁▷")).filter(
    lambda t: not t.lstrip().startswith("analysis")
)
SAID = PLAIN.filter(str.strip)
ANYTHING = st.lists(st.one_of(st.sampled_from(_TAGS), st.text(max_size=8))).map("".join)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ("<thinking>Maybe the answer is A</thinking>\nB", "B"),
        ("<THINK>the answer is A</Think>B", "B"),
        ("<thought>the answer is A</thought>B", "B"),
        ("<seed:think>the answer is A</seed:think>B", "B"),
        ("<reflection>The answer is A?</reflection>\nB", "B"),
        ("<reasoning>A?</reasoning><answer>B</answer>", "<answer>B</answer>"),
        ("<SUMMARY>A?</SUMMARY><REASONING>A</REASONING>\n<CONCLUSION> B </CONCLUSION>", "B"),
        ("[THINK]The answer is A? no[/THINK]B", "B"),
        ("◁think▷The answer is A ... wait◁/think▷B", "B"),
        ("<|START_THINKING|>A<|END_THINKING|><|START_RESPONSE|>B<|END_RESPONSE|>", "B"),
        ("<|inner_prefix|>A<|inner_suffix|>B", "B"),
        ("<|begin_of_thought|>\nThe answer is A? Let me", None),
        ("<|begin_of_thought|>A<|end_of_thought|>\n\n<|begin_of_solution|>\nB\n<|end_of_solution|>", "B"),
        ("<|begin_of_thought|>A?\n<|begin_of_solution|>\nB", "B"),
        ("<|begin_of_solution|>B<|end_of_solution|>", "B"),
        ("the answer is A</think>B", "B"),
        ("the answer is A</think>", ""),
        ("<think>\nfirst\n</think>\n<think>second: the answer is A, or", None),
        ("<think>a</think>A?<think>b</think>B", "B"),
        ("<think>a</think>B<think>b</think>\n", "B"),
        ("B<think>a</think>", "B"),
        ("<think>a</think>The answer is B.</think>", "The answer is B."),
        ("<think>I open <think> again</think>B", "B"),
        ("<thinking>a<reflection>b</reflection>still A", None),
        ("<thinking>a<reflection>b</reflection>c</thinking>\n<output>\nB\n</output>", "B"),
        ("<thinking>the answer is A</think>B", "B"),
        ("<output>B</output>", "<output>B</output>"),
        ("  no tag at all\n", "  no tag at all\n"),
        ("x < 3 and y > 2 [see] <b>B</b>", "x < 3 and y > 2 [see] <b>B</b>"),
    ],
)
def test_what_is_said_after_the_thoughts(raw: str, said: str | None) -> None:
    assert find_spoken(raw) == said


ANALYSIS = "<|channel|>analysis<|message|>The answer is A?"


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (f"{ANALYSIS}<|end|><|channel|>final<|message|>B", "B"),
        (f"{ANALYSIS}<|end|><|start|>assistant<|channel|>final<|message|>B<|return|>", "B"),
        ("The answer is A?<|end|><|start|>assistant<|channel|>final<|message|>B", "B"),
        (f"<|channel|>final<|message|>B<|end|>{ANALYSIS}<|end|>", "B"),
        (f"<|channel|>final<|message|>B<|end|>{ANALYSIS}", None),
        (f"{ANALYSIS}<|end|>", None),
        (f"{ANALYSIS}<|end|><|start|>assistant<|channel|>commentary to=f<|message|>A<|call|>", None),
        (ANALYSIS, None),
        ("<|channel|>ana", None),
        ("analysisThe answer is A?assistantfinalB", "B"),
        ("analysisThe answer is A?", None),
        ("analysis of the picture: B", "analysis of the picture: B"),
    ],
)
def test_only_the_final_channel_is_said(raw: str, said: str | None) -> None:
    assert find_spoken(raw) == said


@given(PLAIN)
def test_a_text_without_tags_is_said_as_it_is(text: str) -> None:
    assert find_spoken(text) == text


@given(st.sampled_from(BLOCKS), PLAIN, SAID, st.sampled_from([str, str.upper, str.lower]))
def test_a_thought_is_never_said(tags: tuple[str, str], thought: str, said: str, case: type[str]) -> None:
    begin, end = map(case, tags)
    assert find_spoken(f"{begin}{thought}{end}{said}") == said.strip()
    assert find_spoken(f"{thought}{end}{said}") == said.strip()  # the template began it
    assert find_spoken(f"{begin}{thought}") is None
    assert find_spoken(f"{begin}{thought}{end}{said}{begin}{thought}") is None
    assert find_spoken(f"{begin}{thought}{end}{said}{end}") == said.strip()
    assert find_spoken(f"{said}{begin}{thought}{end}") == said.strip()


@given(ANYTHING)
def test_any_text_is_read(raw: str) -> None:
    said = find_spoken(raw)
    assert said is None or said in raw


@given(st.sampled_from(CONVENTIONS), PLAIN, st.text(alphabet=" \n"), PLAIN, SAID)
def test_a_thought_that_the_template_opens_is_reopened(
    convention: object, question: str, space: str, thought: str, said: str
) -> None:
    begin, end = convention.begin, convention.end  # type: ignore[attr-defined]
    prompt = f"{question}{begin}{space}"
    assert find_spoken(reopen(prompt, thought)) is None
    assert reopen(prompt, f" {begin}{thought}") == f" {begin}{thought}"
    final = "<|start|>assistant<|channel|>final<|message|>" if "channel" in begin else ""
    assert find_spoken(reopen(prompt, f"{thought}{end}{final}{said}")) == said.strip()


@given(ANYTHING, ANYTHING)
def test_reopening_adds_a_tag_or_nothing(prompt: str, raw: str) -> None:
    whole = reopen(prompt, raw)
    assert whole == raw or whole.removesuffix(raw).lower() in {c.begin.lower() for c in CONVENTIONS}


@pytest.mark.parametrize("prompt", ["What is it?", "<think>\n\n</think>\n\n", "Use <think> tags.", ""])
def test_a_prompt_that_opens_nothing_changes_no_output(prompt: str) -> None:
    assert reopen(prompt, "B") == "B"


@pytest.mark.parametrize("piece", [*_TAGS, "<a", "<|a", "<thin", "<think>x</think>", " ", "<think_"])
def test_time_is_linear_in_the_length(piece: str) -> None:
    raw = piece * (200_000 // len(piece))
    seconds = min(_measure(raw) for _ in range(3))
    assert seconds < 0.2


def _measure(raw: str) -> float:
    start = time.process_time()
    find_spoken(raw)
    find_spoken("<think></think>" + raw)
    return time.process_time() - start


def test_a_config_may_name_every_convention_of_the_table() -> None:
    assert ("any", "none", *(c.name for c in CONVENTIONS)) == THINKING
    for name in THINKING:
        chosen = choose_conventions(name)
        assert [c.name for c in chosen] == [c.name for c in CONVENTIONS if name in ("any", c.name)]
