"""An answer is read the same in whichever style it is said, behind whichever model's thoughts."""

from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.prompting.thinking import CONVENTIONS, Convention
from benchmarks.scoring.extraction import Kind, extract
from tests.support.styles import STYLES

OPTIONS = {"A": "the red car", "B": "a blue dog", "C": "$\\frac{1}{2}$", "D": "17 cm"}
LETTERS = st.sampled_from("ABCD")
ANSWERS: dict[Kind, st.SearchStrategy[str]] = {
    "option": LETTERS,
    "options": st.sets(LETTERS, min_size=1).map(lambda letters: ", ".join(sorted(letters))),
    "number": st.one_of(st.integers(-(10**6), 10**6).map(str), st.decimals(-999, 999, places=2).map(str)),
    "yes_no": st.sampled_from(["Yes", "No"]),
    "math": st.sampled_from(
        ["\\frac{3}{4}", "2\\sqrt{3}", "(1,-2)", "x^{2}+1", "12\\pi", "[0,1)", "7", "-3.5"]
    ),
    "text": st.sampled_from(
        ["north east", "red", "St. Louis", "three", "J. K. Rowling", "a small boat", "5:30"]
    ),
}
THOUGHT = "The answer is A, or no, C. Let me see: 3 + 4 = 7. \\boxed{99} Yes."
OWN_STYLES = {
    "bold line": "We look at the picture and count.\n\n**{}**",
    "answer tag": "So that is it.\n<answer>{}</answer>",
    "GLM's box": "<|begin_of_box|>{}<|end_of_box|>",
    "heading": "### Final Answer\n\n{}",
    "colon": "We look at the picture.\nFinal answer: {}",
    "box in mathematics": "Therefore\n$$\\boxed{{{}}}$$",
}
# A bold line or a last sentence marks no answer of these kinds: a text, a word.
_UNMARKED = {"bold line": ("text", "options", "yes_no")}


def _same(found: str | None, answer: str, kind: Kind) -> bool:
    if kind == "number" and found is not None:
        return float(found) == float(answer)
    return found == answer


@given(st.data(), st.sampled_from(sorted(ANSWERS)), st.sampled_from(sorted([*STYLES, *OWN_STYLES])))
@settings(deadline=None, max_examples=400)
def test_every_style_of_every_kind(data: st.DataObject, kind: Kind, style: str) -> None:
    answer = data.draw(ANSWERS[kind])
    if kind in _UNMARKED.get(style, ()):
        return
    raw = STYLES[style](answer, kind) if style in STYLES else OWN_STYLES[style].format(answer)
    options = OPTIONS if kind in ("option", "options") else None
    found, rule = extract(raw, kind, options)
    assert _same(found, answer, kind), (raw[-200:], found, rule)


@given(
    st.data(),
    st.sampled_from(sorted(ANSWERS)),
    st.sampled_from(CONVENTIONS),
    st.sampled_from(sorted(OWN_STYLES)),
    st.booleans(),
)
@settings(deadline=None, max_examples=300)
def test_thoughts_of_every_model(
    data: st.DataObject, kind: Kind, convention: Convention, style: str, marked: bool
) -> None:
    answer = data.draw(ANSWERS[kind])
    if kind in _UNMARKED.get(style, ()):
        return
    said = OWN_STYLES[style].format(answer)
    if convention.answer and (marked or convention.name == "harmony"):
        said = f"{convention.answer[0]}{said}{convention.answer[1]}"
    options = OPTIONS if kind in ("option", "options") else None
    for thought in (f"{convention.begin}{THOUGHT}{convention.end}", f"{convention.begin}{convention.end}"):
        found, rule = extract(f"{thought}\n\n{said}", kind, options)
        assert _same(found, answer, kind), (found, rule)
    assert extract(f"{convention.begin}{THOUGHT}", kind, options) == (None, "unfinished thought")
