"""Split a published benchmark into questions that choose coefficients and questions that are reported.

Whole clusters are drawn, in the order of a seeded hash, so that no picture, problem or pair is on both sides
and a longer split begins with the shorter one. Where a split ends, the next one goes on.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Literal

from benchmarks.registry.definition import Definition
from frism.errors import UserError

Size = int | Literal["all"]


def draw(
    definition: Definition,
    table: str,
    indices: Sequence[str],
    clusters: Sequence[str],
    splits: Mapping[str, Size],
    seed: int,
) -> dict[str, list[int]]:
    """Return the rows of every split, in the table's order, without splits that the benchmark does not have.

    A split takes clusters until it has at least its number of questions, or as many as there are. A
    benchmark that cannot be cut is on the test split alone, complete, and one that chooses no coefficient
    has no dev split. Benchmarks on the same `table` are cut alike.

    Raises UserError when a benchmark that must be split is too small for it.
    """
    members: dict[str, list[int]] = {}
    for row, (index, cluster) in enumerate(zip(indices, clusters, strict=True)):
        members.setdefault(cluster or f"question {index}", []).append(row)
    if definition.whole:
        return {"test": sorted(range(len(indices)))} if "test" in splits else {}
    waiting = sorted(members, key=lambda cluster: _order(seed, table, cluster))
    rows_by_split: dict[str, list[int]] = {}
    # The reported split comes last: what it holds depends on nothing but the sizes of the others.
    for split in sorted(splits, key=lambda split: split == "test"):
        if split != "test" and not definition.on_dev:
            continue
        size = splits[split]
        rows: list[int] = []
        while waiting and (size == "all" or len(rows) < size):
            rows += members[waiting.pop(0)]
        if not rows:
            raise UserError(
                f"benchmark {definition.name} has {len(indices)} questions: none are left for split"
                f" '{split}'; ask for fewer on the others."
            )
        rows_by_split[split] = sorted(rows)
    return rows_by_split


def _order(seed: int, table: str, cluster: str) -> bytes:
    return hashlib.sha256("\0".join((str(seed), table, cluster)).encode()).digest()
