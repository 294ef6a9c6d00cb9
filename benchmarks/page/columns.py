"""Pack what filters go by, one shard a variant: right or wrong, form, length, rule, the answer as read."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from benchmarks.page.asked import AskedBenchmark, read_answers
from benchmarks.study.config import StudyConfig
from frism.errors import UserError

READ = ["benchmark", "axis", "index", "sample", "extracted", "rule", "correct", "correct_raw",
        "correct_judge", "truncated", "repeated", "tokens"]  # fmt: skip
# Bits of an answer's form.
ANSWERED, UNREAD, TRUNCATED, REPEATED = 1, 2, 4, 8
MISSING = 255  # in a column of codes
LONGEST = 160  # characters of an extracted answer that the search looks at
SAME_FORM = 0.5  # of several samples: so many of them make a question count as unread, cut or repeating


def pack_owner(
    results: Path, owner: str, asked: Sequence[AskedBenchmark], rules: list[str]
) -> dict[str, Any] | None:
    """Pack one variant's answers to the questions of a page, in their order; None where it has none.

    Of several samples the means are packed. `rules` gets the rules that are new.
    Raises UserError when a question of a benchmark that it answered is missing.
    """
    rows = read_answers(results, READ, owner)
    if rows.empty:
        return None
    frame = _place(rows, asked, owner, results)
    correct = frame["correct"].to_numpy(float)
    form = (
        frame["there"].to_numpy() * ANSWERED
        + frame["unread"].to_numpy() * UNREAD
        + frame["truncated"].to_numpy() * TRUNCATED
        + frame["repeated"].to_numpy() * REPEATED
    )
    packed = {
        "correct": pack_numbers(correct),
        "raw": pack_numbers(frame["correct_raw"].to_numpy(float)),
        "form": _pack(form, "u1"),
        "tokens": pack_numbers(frame["tokens"].to_numpy(float)),
        "rule": _pack_words(frame["rule"], rules),
        "extracted": _pack_texts(frame["extracted"]),
    }
    if "correct_judge" in frame and frame["correct_judge"].notna().any():
        packed["judge"] = pack_numbers(frame["correct_judge"].to_numpy(float))
    return packed


def _place(rows: pd.DataFrame, asked: Sequence[AskedBenchmark], owner: str, results: Path) -> pd.DataFrame:
    """Put answers in the order of the page, a row per question; questions never put to it have no score."""
    rows = rows.assign(unread=rows["extracted"].isna())
    parts = []
    text = rows["axis"] == "text"
    for one in asked:
        own = rows[(rows["benchmark"] == one.name) & (text == one.text)]
        if own.empty:  # the language models of the triple have text answers alone
            parts.append(pd.DataFrame({"there": [False] * len(one)}))
            continue
        own = _average(own)
        placed = own.set_index("index").reindex(one.index)
        if placed["correct"].isna().any():
            missing = placed.index[placed["correct"].isna()][0]
            raise UserError(
                f"{results / 'questions.parquet'} lacks {owner}'s answer to question {missing} of {one.name}:"
                " run snakemake again."
            )
        parts.append(placed.reset_index(drop=True).assign(there=True))
    frame = pd.concat(parts, ignore_index=True)
    for name in ("there", "unread", "truncated", "repeated"):
        frame[name] = frame[name].astype("boolean").fillna(False).astype(bool)
    return frame


def _average(own: pd.DataFrame) -> pd.DataFrame:
    """Average the samples of every question; forms are those of half of them, texts the first one's."""
    if "sample" not in own or own["sample"].isna().all():
        return own
    numbers = ["correct", "correct_raw", "correct_judge", "tokens", "unread", "truncated", "repeated"]
    grouped = own.assign(**{n: own[n].astype(float) for n in numbers if n in own}).groupby(
        "index", sort=False
    )
    means = grouped[[n for n in numbers if n in own]].mean()
    forms = {n: means[n] >= SAME_FORM for n in ("unread", "truncated", "repeated")}
    return means.assign(**forms).join(grouped[["extracted", "rule"]].first()).reset_index()


def pack_numbers(values: NDArray[np.float64]) -> dict[str, Any]:
    """Pack numbers: few distinct ones as codes of a byte (255 for none), else whole numbers, else doubles."""
    known = np.unique(values[~np.isnan(values)])
    if len(known) < MISSING:
        codes = np.where(np.isnan(values), MISSING, np.searchsorted(known, values))
        return {"values": known.tolist(), "codes": encode(codes, "u1")}
    if not np.isnan(values).any() and (known == known.astype("u4")).all():
        return _pack(values, "u4")
    return _pack(values, "f8")


def _pack(values: ArrayLike, kind: str) -> dict[str, Any]:
    return {"type": kind, "data": encode(values, kind)}


def _pack_words(words: "pd.Series[str]", known: list[str]) -> dict[str, Any]:
    """Pack texts as numbers in a list that all variants share, 0 for none."""
    places = {word: place for place, word in enumerate(known)}
    codes = []
    for word in words:
        if pd.isna(word):
            codes.append(0)
            continue
        if word not in places:
            places[word] = len(known)
            known.append(word)
        codes.append(places[word] + 1)
    return _pack(codes, "u2" if len(known) < 65535 else "u4")


def _pack_texts(texts: "pd.Series[str]") -> dict[str, Any]:
    """Pack short texts as numbers in a list of their own, 0 for none."""
    known: list[str] = []
    return {"codes": _pack_words(texts.str.slice(0, LONGEST), known) if texts.notna().any() else
            _pack([0] * len(texts), "u2"), "texts": known}  # fmt: skip


def encode(values: ArrayLike, kind: str) -> str:
    """Encode an array as little-endian bytes in base64."""
    return base64.b64encode(np.asarray(values).astype(f"<{kind}").tobytes()).decode("ascii")


def list_owners(study: StudyConfig) -> list[str]:
    """List whose answers a page may show: the variants, then the triple's language models."""
    return [*study.variants, *(o for o in study.owners if o not in study.variants)]
