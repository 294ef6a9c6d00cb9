"""Complete reference judgements: by math-verify where none is recorded, and strictly where it was a guess."""

import re

import pandas as pd

from benchmarks.scoring.option_values import Options, make_canonical, match_whole

# ZeroEval asks for JSON: {"reasoning": ..., "answer": ...}.
_FIELD = re.compile(r'"answer"\s*:\s*"?((?:[^"\\\n]|\\.)*)"?', re.IGNORECASE)


def complete_references(table: pd.DataFrame) -> pd.DataFrame:
    """Judge outputs without a reference: their JSON field "answer" against the gold answer, by math-verify.

    Adds `read`, whether the reference read an option where one is asked for, and `strict`: as the reference,
    but wrong where it read none. Its authors then took the nearest option, or a random one.
    """
    reference = [
        _judge_field(str(row.raw), str(row.answer))
        if row.reference_correct is None
        else bool(row.reference_correct)
        for row in table.itertuples()
    ]
    read = [_is_option(row) for row in table.itertuples()]
    strict = [r and found for r, found in zip(reference, read, strict=True)]
    return table.assign(reference_correct=reference, read=read, strict=strict)


def verify_raw(table: pd.DataFrame) -> list[float]:
    """Judge raw texts by math-verify alone: `verify(parse(gold), parse(raw))`; nan where it has no say."""
    return [
        float("nan") if row.kind not in ("number", "math") else float(_verify(str(row.raw), str(row.answer)))
        for row in table.itertuples()
    ]


def name_option(extracted: str, options: Options) -> str:
    """Name the letter of what a reference extracted, a letter or an option's text; "" for anything else."""
    if letter := re.fullmatch(r"[(\[]?([A-Za-z])[)\].:]?", extracted.strip()):
        return letter[1].upper()
    return match_whole(extracted, options)


def _is_option(row: "object") -> bool:
    """Tell whether the reference extracted a letter or an option's text, where one is asked for."""
    if getattr(row, "kind") != "option":  # noqa: B009
        return True
    extracted = str(getattr(row, "reference_extracted") or "").strip()  # noqa: B009
    options: dict[str, str] = getattr(row, "options")  # noqa: B009
    # As the text of two options it is still read.
    return bool(name_option(extracted, options)) or make_canonical(extracted) in {
        make_canonical(text) for text in options.values()
    }


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
