"""What a whole process costs: wall seconds, its largest resident set, and the private part of that.

A child's largest resident set begins with its parent's, so measure from a process that imports little.
"""

import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
GB = 1e9


class Cost(NamedTuple):
    """One run of a process; memory in GB. `private` leaves out the pages of mapped files."""

    seconds: float
    peak: float
    private: float


def measure(command: list[str], folder: Path) -> Cost:
    """Run `command` in `folder`. Ends this process with the command's last words when it fails."""
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        child = subprocess.Popen(
            command, cwd=folder, env=os.environ | OFFLINE, stdout=output, stderr=subprocess.STDOUT
        )
        watch = _Watch(child.pid)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        watch.stop()
        if child.returncode:
            output.seek(0)
            said = output.read().decode(errors="replace")[-3000:]
            sys.exit(f"error: exit code {child.returncode} from {' '.join(command)}:\n{said}")
    return Cost(seconds, usage.ru_maxrss * 1024 / GB, watch.peak / GB)


def drop_from_cache(paths: list[Path]) -> None:
    """Let the system forget what it has of these files in memory."""
    for path in paths:
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


class _Watch(threading.Thread):
    """Looks ten times a second at a process's private memory."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._status, self._done, self.peak = Path(f"/proc/{pid}/status"), threading.Event(), 0.0
        self.start()

    def run(self) -> None:
        while not self._done.wait(0.1):
            try:
                lines = self._status.read_text().splitlines()
            except OSError:
                return
            found = [int(line.split()[1]) for line in lines if line.startswith("RssAnon:")]
            self.peak = max(self.peak, *(1024.0 * kilobytes for kilobytes in found), 0.0)

    def stop(self) -> None:
        self._done.set()
        self.join()


def machine() -> str:
    """What figures were measured on."""
    named = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    cpu = named[0].partition(":")[2].strip() if named else platform.machine()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{cpu}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB, Python {platform.python_version()}, "
        f"torch {version('torch')}, {time.strftime('%Y-%m-%d')}"
    )
