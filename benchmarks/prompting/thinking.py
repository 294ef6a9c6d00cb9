"""Tell a model's thoughts from what it says: one table of the tags that reasoning models put around thoughts.

Which convention an output follows is read off the output itself, so that a merged model, which may have its
language model's habits or its VLM's, is read alike whatever it does.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Convention:
    """Holds the tags of one convention; upper and lower case are the same.

    Attributes:
        name: what a config calls it. begin, end: around a thought.
        answer: around what is said afterwards, where that is marked too.
    """

    name: str
    begin: str
    end: str
    answer: tuple[str, str] | None = None

    @property
    def tokens(self) -> list[str]:
        """List what a tokenizer may have as one token: the tags, and the parts of a tag of several."""
        tags = (self.begin, self.end, *(self.answer or ()))
        return [*tags, *_TAG.findall("".join(tags))]


# Whatever looks like a tag, to be looked up: trying every tag at every place would be slow.
_TAG = re.compile(r"[<\[◁][/|]?[A-Za-z_:]{3,20}\|?[>\]▷]")
CONVENTIONS: tuple[Convention, ...] = (
    # DeepSeek-R1 and its distillations, QwQ, Qwen3, GLM, InternVL3.5, Phi-4, MiMo; ERNIE marks its response
    Convention("think", "<think>", "</think>", ("<response>", "</response>")),
    Convention("thinking", "<thinking>", "</thinking>", ("<output>", "</output>")),  # Reflection-Llama
    Convention("thought", "<thought>", "</thought>"),  # EXAONE Deep
    Convention("reflection", "<reflection>", "</reflection>"),  # within its thoughts
    Convention("reasoning", "<reasoning>", "</reasoning>", ("<conclusion>", "</conclusion>")),  # LLaVA-CoT
    Convention("seed", "<seed:think>", "</seed:think>"),  # Seed-OSS
    Convention("magistral", "[THINK]", "[/THINK]"),
    Convention("kimi", "◁think▷", "◁/think▷"),
    Convention(
        "sky",  # Sky-T1, OpenThinker
        "<|begin_of_thought|>",
        "<|end_of_thought|>",
        ("<|begin_of_solution|>", "<|end_of_solution|>"),
    ),
    Convention(
        "cohere", "<|START_THINKING|>", "<|END_THINKING|>", ("<|START_RESPONSE|>", "<|END_RESPONSE|>")
    ),
    Convention("gemma", "<|channel>thought", "<channel|>"),  # Gemma 4
    Convention("apertus", "<|inner_prefix|>", "<|inner_suffix|>"),
    # gpt-oss: every message has a channel, and what is said is the one called final
    Convention("harmony", "<|channel|>analysis<|message|>", "<|end|>", ("<|channel|>final<|message|>", "")),
)
_BLOCKS = tuple(c for c in CONVENTIONS if c.name != "harmony")
_ROLES = {
    _TAG.findall(tag)[0].lower(): (c.name, role)
    for c in _BLOCKS
    for tag, role in (
        (c.begin, "begin"),
        (c.end, "end"),
        # Nobody names these two by chance, so one ends a thought whose own end was forgotten.
        *([(c.answer[0], "answer")] if c.answer and c.answer[0].startswith("<|") else []),
    )
}
_ANSWERS = {c.answer[0].lower(): c.answer[1].lower() for c in _BLOCKS if c.answer}
_FLAGS = re.IGNORECASE | re.ASCII
_CHANNEL = re.compile(r"<\|channel\|>", _FLAGS)
_MESSAGE = re.compile(r"<\|message\|>", _FLAGS)
_END_OF_MESSAGE = re.compile(r"<\|(?:end|return|call|start)\|>", _FLAGS)
# A gpt-oss output whose special tokens somebody dropped: "analysisWe see ...assistantfinalB".
_BARE_ANALYSIS = re.compile(r"\s*analysis[A-Z]")
_BARE_FINAL = "assistantfinal"


def find_spoken(raw: str) -> str | None:
    """Find what an output says after all its thoughts; None where a thought is begun and never ended.

    Without any tag that is all of it, as it is; else what follows the last thought, without spaces around
    it, or, where nothing does, what was said before. A closing tag alone ends a thought that the chat
    template began. "" where everything was thought. Takes time linear in the length.
    """
    if _CHANNEL.search(raw):
        return _read_channels(raw)
    if _BARE_ANALYSIS.match(raw):
        _, found, said = raw.rpartition(_BARE_FINAL)
        return said.strip() if found else None
    return _read_blocks(raw)


def find_closing(raw: str) -> str:
    """Find the tag that would end the thought in which an output breaks off; "" where it is in none.

    For gpt-oss it also opens the final channel, as its messages end before they begin anew.
    """
    if find_spoken(raw) is not None:
        return ""
    text = raw.lower()
    begun = max(CONVENTIONS, key=lambda c: text.rfind(c.begin.lower()))
    if begun.begin.lower() not in text:
        return ""
    if begun.name == "harmony" and begun.answer:
        return f"{begun.end}<|start|>assistant{begun.answer[0]}"
    return begun.end


def reopen(prompt: str, raw: str) -> str:
    """Put the opening tag with which the prompt ends before the output, unless the output repeats it."""
    return add_opening(find_opening(prompt), raw)


def find_opening(prompt: str, conventions: Sequence[Convention] = CONVENTIONS) -> str:
    """Find the opening tag with which a prompt ends, as the prompt writes it; "" for none."""
    end = prompt.rstrip()
    found = (end[-len(c.begin) :] for c in conventions)
    return next((tag for tag, c in zip(found, conventions, strict=True) if _is_same(tag, c.begin)), "")


def add_opening(opening: str, raw: str) -> str:
    """Put an opening tag before the output, unless the output repeats it."""
    return raw if _is_same(raw.lstrip()[: len(opening)], opening) else opening + raw


def choose_conventions(tags: str | tuple[str, str]) -> tuple[Convention, ...]:
    """Return the conventions that a config means: `any`, `none`, the name of one, or a pair of own tags."""
    if isinstance(tags, tuple):
        return (Convention("own", *tags),)
    known = {c.name: (c,) for c in CONVENTIONS} | {"any": CONVENTIONS, "none": ()}
    return known[tags]


def _is_same(text: str, tag: str) -> bool:
    return text.isascii() == tag.isascii() and text.lower() == tag.lower()


def _read_blocks(raw: str) -> str | None:
    """Find what is said outside the blocks between tags."""
    said: list[str] = []
    thoughts: set[str] = set()  # the conventions in which a thought goes on
    start, tagged, ended = 0, False, False
    for tag in _TAG.finditer(raw):
        name, role = _ROLES.get(tag[0].lower(), ("", ""))
        if not role:
            continue
        tagged = True
        if role == "answer":
            if name in thoughts:
                thoughts, start, ended = set(), tag.start(), True
            continue
        # What stands before the first closing tag without an opening one is a thought too.
        if not thoughts and (role == "begin" or ended):
            said.append(raw[start : tag.start()])
        if role == "begin":
            thoughts.add(name)
        else:
            # A thought within another ends alone; one that ends in another convention's tag ends with all.
            thoughts = thoughts - {name} if name in thoughts else set()
            start, ended = tag.end(), True
    if not tagged:
        return raw
    if thoughts:
        return None
    said.append(raw[start:])
    last = next((part for part in reversed(said) if part.strip()), "")
    return _unwrap(last)


def _unwrap(said: str) -> str:
    """Find the last content between tags of an answer; without such tags that is all of the text."""
    content, start = "", None
    for tag in _TAG.finditer(said):
        if tag[0].lower() in _ANSWERS:
            start = tag.end()
        elif start is not None and tag[0].lower() in _ANSWERS.values():
            content, start = said[start : tag.start()].strip() or content, None
    if start is not None:  # the answer was cut
        content = said[start:].strip() or content
    return content or said.strip()


def _read_channels(raw: str) -> str | None:
    """Find the text of the last final channel."""
    said: str | None = None
    for part in _CHANNEL.split(raw)[1:]:
        header, *rest = _MESSAGE.split(part, maxsplit=1)
        message = _END_OF_MESSAGE.split(rest[0], maxsplit=1) if rest else [""]
        if header.split()[:1] and header.split()[0].lower() == "final":
            said = message[0].strip() or said or ""
        elif len(message) == 1:
            thinking = True
            continue
        thinking = False
    return None if said is None or thinking else said
