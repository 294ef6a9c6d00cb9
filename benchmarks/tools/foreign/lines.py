"""Read JSON lines: the samples of lm-eval and lmms-eval, and plain lines of index and prediction.

lm-eval writes samples_<task>_<date>.jsonl with doc_id, doc, arguments, resps and filtered_resps, a line for
every filter. lmms-eval writes <date>_samples_<task>.jsonl with doc_id and input; older versions keep the doc,
newer ones drop `resps` where it is `filtered_resps`, and the outer lists where they hold one answer.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.tools.foreign.answer import ForeignAnswer, ForeignFile
from frism.errors import UserError

INDEX, ANSWER = "index", "prediction"
# Fields of a document that hold its question, whole or in part.
_QUESTIONS = ("question", "query", "problem", "prompt", "text", "input")
_NUMBER = re.compile(r"-?\d+\.\d|-inf")
_LONGEST_KEY = 200  # characters of a value that may be an index


def read_lines(path: Path, sha256: str, index_key: str | None) -> ForeignFile:
    """Read a file of JSON lines. Raises UserError, with the line, for a broken one or missing fields."""
    rows = list(_parse(path))
    samples = [("doc_id" in row and ("resps" in row or "filtered_resps" in row)) for _, row in rows]
    if not all(samples):
        if any(samples):
            raise UserError(f"{path} mixes sample lines with others: give one file per harness.")
        answers = tuple(_read_plain(path, place, row, index_key or INDEX) for place, row in rows)
        return ForeignFile(path, "JSON lines", sha256, answers, indexed=True)
    answers = tuple(_read_sample(path, place, row, index_key) for place, row in rows)
    harness = "lmms-eval" if "input" in rows[0][1] else "lm-eval" if "filter" in rows[0][1] else "lm(ms)-eval"
    repeated = sum(_count_responses(row.get("resps")) > 1 for _, row in rows)
    notes = (f"{repeated} sampled several times, of which the first counts",) if repeated else ()
    return ForeignFile(path, f"{harness} samples", sha256, answers, index_key is not None, notes)


def _parse(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every line's place and object; blank lines are left out."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path} as UTF-8 text ({error}): export it again.") from error
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise UserError(f"{path}, line {number} is no JSON ({error}): write one object a line.") from None
        if not isinstance(row, dict):
            raise UserError(f"{path}, line {number} is no JSON object: write one object a line.")
        yield f"line {number}", row


def _read_plain(path: Path, place: str, row: Mapping[str, Any], key: str) -> ForeignAnswer:
    for needed in (key, ANSWER):
        if needed not in row:
            raise UserError(f"{path}, {place} has no field '{needed}': write index and prediction, both.")
    if not isinstance(row[ANSWER], str):
        raise UserError(f"{path}, {place}: the prediction is no text but {row[ANSWER]!r}: write a text.")
    tokens, cut, seconds = row.get("tokens"), row.get("truncated"), row.get("seconds")
    return ForeignAnswer(
        row[ANSWER], place, {key: str(row[key])}, None, str(row.get("question") or ""),
        tokens if type(tokens) is int else None, cut if isinstance(cut, bool) else None,
        float(seconds) if isinstance(seconds, int | float) else None,
    )  # fmt: skip


def _read_sample(path: Path, place: str, row: Mapping[str, Any], index_key: str | None) -> ForeignAnswer:
    doc = row["doc"] if isinstance(row.get("doc"), dict) else {}
    fields = {**doc, INDEX: doc.get(INDEX, row.get(INDEX)), "doc_id": row["doc_id"]}
    keys = {
        name: str(value)
        for name, value in fields.items()
        if isinstance(value, str | int | float) and len(str(value)) <= _LONGEST_KEY
    }
    if index_key is not None:
        if index_key not in keys:
            raise UserError(f"{path}, {place} has no field '{index_key}' (there are: {', '.join(keys)}).")
        keys = {index_key: keys[index_key]}
    position = row["doc_id"] if type(row["doc_id"]) is int else None
    raw = row.get("resps", row.get("filtered_resps"))
    return ForeignAnswer(
        _read_response(path, place, raw), place, keys, position, _read_question(row, doc),
        _count_tokens(row.get("token_counts")),
    )  # fmt: skip


def _read_response(path: Path, place: str, responses: Any) -> str:
    """Read the first text of nested lists of responses. Raises UserError for log-likelihoods of options."""
    if isinstance(responses, list) and len(responses) > 1 and isinstance(responses[0], list):
        responses = None  # a response per option
    while isinstance(responses, list) and responses:
        if (
            len(responses) == 2
            and str(responses[1]) in ("True", "False")
            and _NUMBER.match(str(responses[0]))
        ):
            responses = None  # a log-likelihood, and whether the option is what the model would have said
            break
        responses = responses[0]
    if not isinstance(responses, str):
        raise UserError(
            f"{path}, {place} holds no text that a model wrote but log-likelihoods of options: run the task"
            " as one that generates."
        )
    return responses


def _count_responses(responses: Any) -> int:
    """Count how often a question was sampled."""
    while isinstance(responses, list) and len(responses) == 1:
        responses = responses[0]
    return len(responses) if isinstance(responses, list) else 1


def _read_question(row: Mapping[str, Any], doc: Mapping[str, Any]) -> str:
    """Read the question from the document, else the prompt; parts are separate lines."""
    named = [v for k, v in doc.items() if isinstance(v, str) and any(w in k.lower() for w in _QUESTIONS)]
    prompt = row.get("input", row.get("arguments"))
    return "\n".join([*named, *_list_texts(prompt)])


def _list_texts(value: Any) -> list[str]:
    """List the texts in the first request of `arguments`, whatever the nesting, or of `input`."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return _list_texts(value[0]) if isinstance(value, list) and value else []


def _count_tokens(counts: Any) -> int | None:
    """Read how many tokens lmms-eval counted in the answer."""
    first = counts[0] if isinstance(counts, list) and counts else counts
    tokens = first.get("output_tokens") if isinstance(first, dict) else None
    return tokens if type(tokens) is int else None
