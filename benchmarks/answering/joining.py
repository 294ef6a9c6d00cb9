"""Join what several processes or jobs answered: each took every n-th batch into a file of its own.

The whole has the lines, their order and the provenance that one process would have written, times apart.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import chain, zip_longest
from pathlib import Path

from benchmarks.answering import keys, predictions
from benchmarks.answering.failures import Tolerance
from frism.errors import UserError
from frism.files import atomic_write, read_json


def join_parts(parts: Sequence[Path], out: Path, share: float | None) -> None:
    """Write the lines and the provenance of all parts, in their order, under `out`'s names.

    Raises UserError when parts were answered by different weights or engines, hold an answer twice, and when
    a larger `share` of a benchmark's questions failed in all of them together; of these `out` then has none,
    so that they are asked again.
    """
    stored = [read_json(keys.get_provenance_path(part)) for part in parts]
    for part, record in zip(parts, stored, strict=True):
        for what in ("version", "origin", "engine"):
            if record.get(what) != stored[0].get(what):
                raise UserError(
                    f"{part} and {parts[0]} were answered with another {what}: delete the older, run again."
                )
    by_key: dict[str, predictions.StoredPrediction] = {}
    for part in parts:
        for line in predictions.read_predictions(part):
            if by_key.setdefault(line.key, line) is not line:
                raise UserError(f"{part} holds an answer that another part holds, too: delete both.")
    # The batches as they were dealt out: the first of every part, the second of every part, ...
    dealt = chain.from_iterable(zip_longest(*(record["batches"].items() for record in stored)))
    batches = dict(entry for entry in dealt if entry is not None)
    ordered = [key for digest, contents in batches.items() for key in keys.make_keys(digest, contents)]
    lines = [by_key.pop(key) for key in ordered if key in by_key]
    if by_key:
        raise UserError(f"{out.parent} has answers that no batch of the parts asks for: delete the parts.")
    # Each process knew its own failures alone.
    tolerance = Tolerance(share, Counter(line.benchmark for line in lines))
    again = tolerance.find_exceeded(lines)
    with atomic_write(out) as temporary:
        kept = [line.text() for line in lines if not (line.failure and line.benchmark in again)]
        temporary.write_text("".join(kept), encoding="utf-8")
    keys.write_provenance(out, stored[0]["origin"], stored[0]["engine"], batches)
    tolerance.check(lines)
