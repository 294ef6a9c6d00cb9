"""End processes whose job is gone, killed perhaps: they would hold a GPU for nobody."""

import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import cache

import psutil

INTERVAL = 1.0  # seconds


def end_with(parent: int) -> None:
    """End this process about a second after the process `parent`."""

    def watch() -> None:
        while is_alive(parent):
            time.sleep(INTERVAL)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def is_alive(process: int) -> bool:
    """Tell whether a process is there."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def guard_descendants() -> None:
    """Start a helper that ends what this process has started, and what that has, once this process is gone.

    For libraries that start processes of their own, which do not look for their parent while they load. It
    looks once a second: what began in the last one is not seen. The helper is started once.
    """
    _start_guard(os.getpid())


@cache  # by process: one that was forked needs its own
def _start_guard(process: int) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-P", __file__, str(process)]
    nothing = subprocess.DEVNULL  # who waits for the job's output must not wait for the helper
    return subprocess.Popen(
        command, stdin=nothing, stdout=nothing, stderr=nothing, cwd="/", start_new_session=True
    )


def _guard(process: int) -> None:
    """Remember every descendant of a process while it lives; end those that outlive it."""
    descendants: set[psutil.Process] = set()
    with suppress(psutil.NoSuchProcess):
        job = psutil.Process(process)
        while job.is_running() and job.status() != psutil.STATUS_ZOMBIE:
            descendants = {one for one in descendants if one.is_running()} | set(job.children(recursive=True))
            time.sleep(INTERVAL)
    for one in descendants - {psutil.Process()}:
        with suppress(psutil.Error):
            one.kill()


if __name__ == "__main__":
    _guard(int(sys.argv[1]))
