"""Group questions that are answered together: a function of the benchmark's own items and nothing else.

What was answered before a kill, or stands beside a benchmark in the config, changes no batch, so it changes
no answer either.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.answering import keys
from benchmarks.questions.item import Item
from benchmarks.study.engine_settings import EngineSettings


@dataclass(frozen=True)
class Batch:
    """Items answered together, the keys of their predictions, and what identifies the batch."""

    items: tuple[Item, ...]
    keys: tuple[str, ...]
    digest: str

    @property
    def contents(self) -> list[str]:
        """Return the content of every item."""
        return [item.content for item in self.items]


def make_batches(
    items: Iterable[Item],
    settings: EngineSettings,
    origin: Mapping[str, Any],
    fingerprint: Mapping[str, Any],
    length: Callable[[Item], int] | None = None,
) -> list[Batch]:
    """Group items into batches and key their predictions. Batches never span benchmarks.

    Args:
        origin: what identifies the weights, such as {"triple": digests, "recipe": key}.
        fingerprint: the engine's.
        length: tokens of an item's prompt; asked for only with a token budget.
    """
    by_benchmark: dict[str, list[Item]] = {}
    for item in items:
        by_benchmark.setdefault(item.benchmark, []).append(item)
    result = []
    for group in by_benchmark.values():
        for chunk in _split_group(group, settings, length):
            contents = [item.content for item in chunk]
            digest = keys.digest_batch(origin, fingerprint, contents)
            result.append(Batch(tuple(chunk), keys.make_keys(digest, contents), digest))
    return result


def get_token_limit(item: Item, settings: EngineSettings) -> int:
    """Return the most tokens that an item's answer may have."""
    return getattr(item, "max_new_tokens", None) or settings.max_new_tokens


def _split_group(
    group: Sequence[Item], settings: EngineSettings, length: Callable[[Item], int] | None
) -> Iterator[Sequence[Item]]:
    if settings.token_budget is None or length is None:
        # Nearly equal sizes: a last batch of three would cost as many steps as a full one.
        parts = -(-len(group) // settings.batch_size)
        for part in range(parts):
            yield group[part * len(group) // parts : (part + 1) * len(group) // parts]
        return
    lengths = [length(item) + get_token_limit(item, settings) for item in group]
    # The longest first: what does not fit shows at once, and the time left is over- not underestimated.
    order = sorted(range(len(group)), key=lambda i: -lengths[i])
    start = 0
    while start < len(order):
        most = max(1, settings.token_budget // max(1, lengths[order[start]]))
        end = min(start + min(most, settings.batch_size), len(order))
        yield [group[i] for i in order[start:end]]
        start = end
