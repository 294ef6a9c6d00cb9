"""Complete reference judgements: by math-verify where none is recorded, and strictly where it was a guess."""

import re

import pandas as pd

from benchmarks.scoring.option_values import make_canonical

# ZeroEval asks for JSON: {"reasoning": ..., "answer": ...}.
_FIELD = re.compile(r'"answer"\s*:\s*"?((?:[^"\\\n]|\\.)*)"?', re.IGNORECASE)


def complete_references(table: pd.DataFrame) -> pd.DataFrame:
    """Judge outputs without a reference: their JSON field "answer" against the gold answer, by math-verify.

    Adds `strict`: as the reference, but wrong where a letter was asked for and something else extracted. Its
    authors then took the nearest option, or a random one.
    """
    reference = [
        _judge_field(str(row.raw), str(row.answer))
        if row.reference_correct is None
        else bool(row.reference_correct)
        for row in table.itertuples()
    ]
    read = [_is_option(row) for row in table.itertuples()]
    return table.assign(
        reference_correct=reference, strict=[r and found for r, found in zip(reference, read, strict=True)]
    )


def verify_raw(table: pd.DataFrame) -> list[float]:
    """Judge raw texts by math-verify, as `verify(parse(gold), parse(raw))`; nan where letters are wanted."""
    return [
        float("nan") if row.kind not in ("number", "math") else float(_verify(str(row.raw), str(row.answer)))
        for row in table.itertuples()
    ]


def _is_option(row: "object") -> bool:
    """Tell whether the reference extracted a letter or an option's text, where one is asked for."""
    if getattr(row, "kind") != "option":  # noqa: B009
        return True
    extracted = str(getattr(row, "reference_extracted")).strip()  # noqa: B009
    options: dict[str, str] = getattr(row, "options")  # noqa: B009
    letter = re.fullmatch(r"[(\[]?([A-Za-z])[)\].:]?", extracted)
    if letter:
        return True
    return make_canonical(extracted) in {make_canonical(text) for text in options.values()}


def _judge_field(raw: str, gold: str) -> bool:
    fields = _FIELD.findall(raw)
    return bool(fields) and _verify(f"${fields[-1].replace(chr(92) * 2, chr(92)).replace(',', '')}$", gold)


def _verify(text: str, gold: str) -> bool:
    from math_verify import parse, verify

    gold = gold.rpartition("####")[2].strip().replace(",", "") if "####" in gold else gold
    try:
        return bool(verify(parse(f"${gold}$"), parse(text[-20_000:])))
    except Exception:  # whatever the parser trips over: it is no answer
        return False
