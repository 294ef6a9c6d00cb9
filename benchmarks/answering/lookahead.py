"""Work on items ahead of time in threads, while the model is busy with the batch before."""

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

import torch

from benchmarks.questions.item import Item

Result = TypeVar("Result")


class Lookahead(Generic[Result]):
    """Calls `work` on items, in `workers` threads once they are announced.

    Args:
        work: from an item to whatever is wanted of it; must not touch the model.
        workers: 0 does everything when it is asked for.
    """

    def __init__(self, work: Callable[[Item], Result], workers: int) -> None:
        self.work = work
        # One core each: a picture's arithmetic must not take the model's cores.
        self._pool = ThreadPoolExecutor(workers, "pictures", torch.set_num_threads, (1,)) if workers else None
        self._waiting: dict[str, Future[Result]] = {}

    def announce(self, items: Iterable[Item]) -> None:
        """Start on items that will be asked for next."""
        for item in items:
            if self._pool is not None and item.content not in self._waiting:
                self._waiting[item.content] = self._pool.submit(self.work, item)

    def take(self, item: Item) -> Result:
        """Return the result for an item. Raises whatever its work raised."""
        future = self._waiting.pop(item.content, None)
        return self.work(item) if future is None else future.result()
