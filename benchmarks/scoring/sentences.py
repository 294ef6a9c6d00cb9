"""Split answers into sentences, without cutting abbreviations, initials, numbers or option letters."""

import re

# A point after one of these ends no sentence; "No." only before a number.
_ABBREVIATION = re.compile(
    r"(?:\b(?:Dr|Mr|Mrs|Ms|Prof|St|Mt|Ft|Nos|Figs?|Eqs?|vs|cf|ca|approx|Inc|Ltd|Co|Corp|Jr|Sr|Ave|Blvd|Rd|Gen|Col"
    r"|Lt|Capt|Gov|Sen|Rep|Rev|Vol|pp|Dept|est|e\.g|i\.e|a\.m|p\.m|U\.S|U\.K|U\.N|D\.C)\.)\Z"
)
_NUMBER_SIGN = re.compile(r"\bNo\.\Z")
_INITIAL = re.compile(r"(?:^|[\s.(])[A-Z]\.\Z")
_END = re.compile(r"[.!?](?=[\s\"'*)\]]|$)|[。！？](?=.)|\n+")
_QUOTES = "\"'”’*)]"


def split_sentences(text: str) -> list[str]:
    """Split at the ends of sentences and lines; empty pieces are left out."""
    pieces, start = [], 0
    for end in _END.finditer(text):
        stop = end.end()
        if end[0] == "." and not _ends_here(text, stop, initials=True):
            continue
        while stop < len(text) and text[stop] in _QUOTES:  # 'reads "Roast Duck." So yes'
            stop += 1
        pieces.append(text[start:stop])
        start = stop
    return [piece.strip() for piece in [*pieces, text[start:]] if piece.strip()]


def take_first_sentence(text: str, *, names: bool = False) -> str:
    """Take the first sentence, without its end; all of the text when that would be nothing.

    Args:
        names: whether the text is a name or a phrase: then initials ("J. K. Rowling") are not ends, nor is a
            point before a small letter ("Inc. of").
    """
    text = text.strip()
    for end in re.finditer(r"[.;!](?=\s|$)|。", text):
        if end[0] == "." and not _ends_here(text, end.end(), initials=names):
            continue
        if (
            end[0] == "."
            and names
            and re.match(r"\s+[a-z]", text[end.end() :])
            and text[end.start() - 1] != " "
        ):
            continue
        return text[: end.start()] or text
    return text


def _ends_here(text: str, stop: int, *, initials: bool) -> bool:
    """Tell whether the point before `stop` ends a sentence."""
    before = text[max(0, stop - 12) : stop]
    following = text[stop : stop + 2]
    if not following.strip():
        return True
    if _ABBREVIATION.search(before):
        return False
    if _NUMBER_SIGN.search(before) and re.match(r"\s\d", following):
        return False
    return not (initials and _INITIAL.search(before) and re.match(r"\s[A-Z]", following))
