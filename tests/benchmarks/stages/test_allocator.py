"""A stage keeps the memory it let go of: it is there again without the system's clearing it."""

import platform
import subprocess
import sys

import pytest

# The system clears a page when it is first touched, which counts as a fault.
COUNT = """
import resource, sys
from benchmarks.stages.allocator import keep_freed_memory
import torch
if sys.argv[1] == "kept":
    assert keep_freed_memory()
def touch():
    blocks = [torch.ones(12 * 2**20) for _ in range(2)]  # 48 MiB: else always of pages of their own
counts = []
for _ in range(20):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    touch()
    counts.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(min(counts))  # when the heap is as large as it gets, which takes a few rounds
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be asked")
def test_memory_is_cleared_once() -> None:
    faults = {}
    for how in ("kept", "given back"):
        command = [sys.executable, "-c", COUNT, how]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        faults[how] = int(result.stdout)
    assert faults["kept"] < faults["given back"] / 10
