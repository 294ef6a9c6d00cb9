"""A real Slurm of two small nodes on this machine: no systemd, no cgroups, no database, nothing in /etc.

    python -m tests.slurm.loopback FOLDER      starts it, says how to use it, and ends it with Ctrl-C

Debian's packages slurm-wlm and munge are needed, no rights of root. A node's memory is counted and a job that
takes more than it asked for is ended, as on a cluster. GPUs are /dev/null: Slurm gives and counts them, and
nothing computes on them.
"""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.waiting import wait_for

DAEMONS = ("munged", "slurmctld", "slurmd")
SYSTEM = ":/usr/sbin:/sbin"
NODES = 2
CONFIG = """\
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
AuthType=auth/munge
AuthInfo=socket={root}/munge.socket
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool-%n
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd-%n.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=batch_sched_delay=1,sched_interval=2
SlurmdParameters=config_overrides
SlurmctldTimeout=30
SlurmdTimeout=20
MinJobAge=600
ReturnToService=2
KillWait=2
OverTimeLimit=0
GresTypes=gpu
"""


@dataclass(frozen=True)
class Cluster:
    """A running cluster.

    Attributes:
        root: the folder of its files, logs among them.
        environment: in which its commands work.
        nodes: names of the nodes.
    """

    root: Path
    environment: dict[str, str]
    nodes: tuple[str, ...]

    def ask(self, *command: str) -> str:
        """Run one of Slurm's commands; return what it prints. Raises CalledProcessError."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=True)
        return done.stdout

    def list_jobs(self, states: str = "PENDING,RUNNING") -> dict[str, str]:
        """Comments (rule and wildcards) of the jobs in these states, by their number."""
        lines = self.ask("squeue", "-h", "-t", states, "-o", "%i|%k").splitlines()
        return dict(line.split("|", 1) for line in lines)


def list_missing() -> list[str]:
    """Name the daemons that are not installed."""
    return [name for name in DAEMONS if not shutil.which(name, path=os.environ["PATH"] + SYSTEM)]


@contextmanager
def run_cluster(root: Path, cpus: int = 2, memory: int = 5000, gpus: int = 1) -> Iterator[Cluster]:
    """Start a cluster whose files lie in `root`, of NODES nodes; end it and its jobs with the block.

    Args:
        cpus, memory (MB), gpus: of a node, whatever this machine has.

    Raises FileNotFoundError when a daemon is not installed, TimeoutError when the nodes do not come up.
    """
    if missing := list_missing():
        raise FileNotFoundError(f"not installed: {', '.join(missing)} (apt-get install slurm-wlm munge)")
    root.mkdir(parents=True, exist_ok=True)
    root.chmod(0o755)
    environment = _configure(root, cpus, memory, gpus)
    nodes = tuple(f"node{number}" for number in range(1, NODES + 1))
    daemons: list[subprocess.Popen[bytes]] = []

    def start(*command: str) -> None:
        with (root / "daemons.log").open("ab") as log:
            daemons.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))

    cluster = Cluster(root, environment, nodes)
    try:
        start("munged", "-F", "--force", f"--key-file={root}/munge.key", f"--socket={root}/munge.socket",
              f"--pid-file={root}/munge.pid", "--num-threads=10",
            f"--log-file={root}/munge.log",
              f"--seed-file={root}/munge.seed")  # fmt: skip
        wait_for((root / "munge.socket").exists, "munge's socket")
        start("slurmctld", "-D", "-c")
        for node in nodes:
            start("slurmd", "-D", "-c", "-N", node)
        wait_for(lambda: _count_idle(cluster) == len(nodes), "two idle nodes", 90)
        yield cluster
    finally:
        subprocess.run(["scancel", "--user", environment["USER"]], env=environment, capture_output=True)
        for daemon in reversed(daemons):  # munge last: the others say goodbye through it
            daemon.terminate()
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()


def _count_idle(cluster: Cluster) -> int:
    asked = subprocess.run(
        ["sinfo", "-h", "-N", "-o", "%N %T"], env=cluster.environment, capture_output=True, text=True
    )
    return sum(line.endswith(" idle") for line in asked.stdout.splitlines())


def _configure(root: Path, cpus: int, memory: int, gpus: int) -> dict[str, str]:
    """Write the files that the daemons read; return the environment of the cluster's commands."""
    for name in ("state", "bin", *(f"spool-node{number}" for number in range(1, NODES + 1))):
        (root / name).mkdir(exist_ok=True)
    key = root / "munge.key"
    key.unlink(missing_ok=True)
    key.touch(0o600)
    key.write_bytes(secrets.token_bytes(128))
    host = socket.gethostname().split(".")[0]
    user = subprocess.check_output(["id", "-un"], text=True).strip()
    port, *ports = _find_ports(1 + NODES)
    lines = [CONFIG.format(root=root, host=host, user=user, port=port)]
    for number, own in enumerate(ports, 1):
        lines.append(
            f"NodeName=node{number} NodeHostname={host} NodeAddr=127.0.0.1 Port={own} CPUs={cpus}"
            f" RealMemory={memory} Gres=gpu:{gpus}\n"
        )
    lines.append(f"PartitionName=main Nodes=node[1-{NODES}] Default=YES MaxTime=INFINITE State=UP\n")
    (root / "slurm.conf").write_text("".join(lines))
    (root / "gres.conf").write_text("Name=gpu File=/dev/null\n" * (gpus > 0))
    environment = os.environ | {"SLURM_CONF": f"{root}/slurm.conf", "USER": user}
    environment["PATH"] = f"{root}/bin:{os.environ['PATH']}{SYSTEM}"
    # A job's step drops every variable of Slurm, SLURM_CONF too, before it calls srun.
    (root / "bin/srun").write_text(
        f'#!/bin/sh\nSLURM_CONF={root}/slurm.conf exec {shutil.which("srun")} "$@"\n'
    )
    (root / "bin/srun").chmod(0o755)
    return environment


def _find_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def main() -> None:
    """Start a cluster and wait for Ctrl-C."""
    root = Path(sys.argv[1]).resolve() if len(sys.argv) == 2 else sys.exit(__doc__)
    with run_cluster(root) as cluster:
        print(f"export SLURM_CONF={root}/slurm.conf PATH={root}/bin:$PATH")
        print(cluster.ask("sinfo"), end="", flush=True)
        try:
            while True:
                time.sleep(60)
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
