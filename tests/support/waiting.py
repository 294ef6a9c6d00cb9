"""Wait for what other processes do."""

import time
from collections.abc import Callable


def wait_for(probe: Callable[[], object], what: str, seconds: float = 60) -> None:
    """Wait until `probe` is true. Raises TimeoutError, which names what did not come."""
    end = time.monotonic() + seconds
    while not probe():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come within {seconds:.0f} s")
        time.sleep(0.2)
