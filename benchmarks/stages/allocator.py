"""Keep memory that a process let go of for its next use, instead of handing it back to the system."""

import ctypes
from functools import cache

# Names of glibc's malloc.h, and bytes: so much stays; larger blocks come from the system and go back to it.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT, _LARGEST = 2**31 - 1, 2**30


@cache
def keep_freed_memory() -> bool:
    """Ask the C library to keep freed memory; return whether it does (glibc alone can be asked).

    A model on a CPU lets go of hundreds of megabytes after every batch and asks for them again: clearing the
    pages anew each time takes a sixth of a small model's time. The most that is held does not grow.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST)) and bool(mallopt(_TRIM_THRESHOLD, _KEPT))
