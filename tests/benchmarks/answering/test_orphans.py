"""A process that works for another one ends with it."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
WATCHES = """
import sys, time
from benchmarks.answering.orphans import end_with
end_with(int(sys.argv[1]))
print("watching", flush=True)
time.sleep(60)
"""


def test_it_ends_about_a_second_after_the_other_was_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    child = subprocess.Popen(
        [sys.executable, "-c", WATCHES, str(parent.pid)], stdout=subprocess.PIPE, cwd=ROOT
    )
    assert child.stdout is not None and child.stdout.readline() == b"watching\n"
    assert child.poll() is None
    parent.kill()
    parent.wait()
    assert child.wait(timeout=20) == 1
