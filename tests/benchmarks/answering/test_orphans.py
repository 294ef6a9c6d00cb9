"""A process that works for another one ends with it."""

import subprocess
import sys
import time
from pathlib import Path

import psutil

from tests.support.waiting import wait_for

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


STARTS = """
import subprocess, sys, time
from benchmarks.answering.orphans import guard_descendants
inner = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(300)'])"
guard_descendants()
guard_descendants()
subprocess.Popen([sys.executable, "-c", inner], start_new_session=True)
print("started", flush=True)
time.sleep(300)
"""


def test_what_a_library_has_started_ends_with_a_killed_job() -> None:
    job = subprocess.Popen([sys.executable, "-c", STARTS], stdout=subprocess.PIPE, cwd=ROOT)
    assert job.stdout is not None and job.stdout.readline() == b"started\n"
    process = psutil.Process(job.pid)
    wait_for(lambda: len(process.children(recursive=True)) == 3, "helper, child and grandchild", 30)
    time.sleep(2)
    started = process.children(recursive=True)
    assert len(started) == 3, "nothing ends before the job does, and there is one helper"
    job.kill()
    job.wait()
    wait_for(lambda: not any(one.is_running() for one in started), "the end of all", 30)
    assert job.stdout.read() == b"", "who reads the job's output does not wait for the helper"
