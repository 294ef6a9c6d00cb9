"""Every fault, here and on Slurm: in the end the bytes of an undisturbed study, and never a wrong file."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.conftest import TIMES
from tests.faults.faults import LOCAL, MOUNTING, SLURM, Fault
from tests.faults.running import Running, may_mount
from tests.slurm.loopback import Cluster

Disturb = Callable[..., Running]


@pytest.mark.slow
@pytest.mark.parametrize("number", range(TIMES))
@pytest.mark.parametrize("fault", LOCAL, ids=lambda fault: fault.__name__)
def test_here(fault: Fault, number: int, disturb: Disturb, tmp_path: Path) -> None:
    if fault in MOUNTING and not may_mount(tmp_path):
        pytest.skip("this process may not mount file systems")
    disturb(fault, number)


@pytest.mark.slow
@pytest.mark.slurm
@pytest.mark.parametrize("number", range(TIMES))
@pytest.mark.parametrize("fault", SLURM, ids=lambda fault: fault.__name__)
def test_on_slurm(fault: Fault, number: int, disturb: Disturb, cluster: Cluster) -> None:
    disturb(fault, number, cluster)
