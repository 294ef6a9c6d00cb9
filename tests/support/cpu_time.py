"""Time on the processor of one call, and how much of it this machine may take."""

import time
from collections.abc import Callable

from benchmarks.scoring import formula_value, option_values

_CACHED = [f for m in (formula_value, option_values) for f in vars(m).values() if hasattr(f, "cache_clear")]
_USUAL = 0.015  # seconds that the fixed loop takes on an idle machine of today
_LEAST = 2.0  # times the limit that is always allowed: a shared machine's clock is that uncertain
_MOST = 4.0  # times as slow a machine may be, by itself or by what else runs on it


def measure_cpu(call: Callable[[], object], enough: float = 0.0) -> float:
    """Measure the best of three calls, each with empty caches; one is enough below `enough`."""
    best = float("inf")
    for _ in range(3):
        for function in _CACHED:
            function.cache_clear()
        start = time.process_time()
        call()
        best = min(best, time.process_time() - start)
        if best < enough:
            break
    return best


def scale_to_machine(seconds: float) -> float:
    """Scale a limit by how slow this machine is now, measured with a loop that never changes."""
    loop = measure_cpu(lambda: sum(number * number for number in range(200_000)))
    return seconds * min(_MOST, max(_LEAST, loop / _USUAL))
