"""Tell whether a text ends in a loop, of words or of signs without spaces."""

_TAIL = 6000  # signs, and words, that are looked at: a loop that ends a text is there
_PROBE = 12  # signs at the end that a loop has in every round
_DRAWN = set("-=_|+:. \t\n*~#")
_SIGNS = 80  # of a loop without spaces
_RULE = 240  # of dashes and the like: a line across the page, or a table's, is no loop


def is_repetitive(raw: str, times: int = 4, words: int = 8) -> bool:
    """Tell whether the text ends in a loop: some word sequence `times` times in a row, `words` words in all.

    The last round may be cut off. What has no spaces, such as "!!!...", "\\frac{1}{2}\\frac{1}{2}..." or Han,
    is compared sign by sign.
    """
    tail = raw[-10 * _TAIL :]
    return _ends_in_word_loop(_split_words(tail)[-_TAIL:], times, words) or _ends_in_sign_loop(raw, times)


def _split_words(text: str) -> list[str]:
    """Split a text into words; a row of a table is one, for its cells may well be equal."""
    words: list[str] = []
    for line in text.splitlines() if "|" in text else [text]:
        row = line.strip()
        words += [row] if row.startswith("|") and row.endswith("|") and len(row) > 1 else row.split()
    return words


def _ends_in_word_loop(tokens: list[str], times: int, words: int) -> bool:
    for period in range(1, len(tokens) // times + 1):
        same, enough = 0, max(words, times * period) - period
        while same < min(enough, len(tokens) - period) and tokens[-1 - same] == tokens[-1 - same - period]:
            same += 1
        if same == enough:
            return True
    return False


def _ends_in_sign_loop(raw: str, times: int) -> bool:
    """Tell whether the signs at the end repeat, by the borders of the reversed tail (Knuth-Morris-Pratt)."""
    tail = raw.rstrip()[: -_TAIL - 1 : -1]
    if tail.count(tail[:_PROBE]) < times - 1:  # quickly: most texts end in what they say once
        return False
    border, borders = 0, [0] * len(tail)
    for end in range(1, len(tail)):
        while border and tail[end] != tail[border]:
            border = borders[border - 1]
        border += tail[end] == tail[border]
        borders[end] = border
    # Every prefix of the reversed tail whose period divides it often enough is a loop at the text's end.
    for end, border in enumerate(borders):
        length = end + 1
        period = length - border
        if (
            border
            and length >= times * period
            and length >= (_RULE if set(tail[:period]) <= _DRAWN else _SIGNS)
        ):
            return True
    return False
