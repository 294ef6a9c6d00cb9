"""Tell which of several answers to one question say the same, by the project's own equality of answers."""

from collections.abc import Sequence

from benchmarks.scoring.equality import answers_agree


def number_votes(answers: Sequence[str | None]) -> list[int | None]:
    """Number answers by what they say: each by the place of the first one that it agrees with.

    None, no answer, gives no vote. Agreement by value need not be transitive; the first answer of its kind
    stands for all.
    """
    votes: list[int | None] = []
    first_by_text: dict[str, int] = {}
    kinds: list[tuple[int, str]] = []  # the first of each kind
    for place, text in enumerate(answers):
        if text is None or not text.strip():
            votes.append(None)
            continue
        if text not in first_by_text:
            found = next((first for first, known in kinds if answers_agree(text, known)), None)
            if found is None:
                kinds.append((place, text))
            first_by_text[text] = place if found is None else found
        votes.append(first_by_text[text])
    return votes
