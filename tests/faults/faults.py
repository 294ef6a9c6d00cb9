"""What can happen to a study: each fault is a function that disturbs one and ends with it complete and equal.

A fault that is refused at once ends in a sentence; the cause is then taken away, and the study completed. The
first line of a docstring is the fault's name in docs/reliability.md.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from tests.faults.running import Running, small_disk
from tests.slurm.conftest import OnCluster
from tests.slurm.loopback import Cluster
from tests.support.waiting import wait_for

Fault = Callable[[Running], None]
JOB = 8.0  # seconds within which a job of this study does most of what it does
KILLS = int(os.environ.get("FAULT_KILLS", "3"))  # of one study, before it may complete


# --- kills ---


def kill_a_worker(study: Running) -> None:
    """SIGKILL of a worker"""
    for _ in range(KILLS):
        study.start()
        if study.wait_until(study.list_workers):
            study.wait_a_while(JOB)
            study.interruptions += study.kill_workers()
        study.wait()
        study.check()
    study.finish()


def kill_snakemake(study: Running) -> None:
    """SIGKILL of snakemake; its jobs live on"""
    _kill_while_jobs_run(study, study.kill_snakemake)


def kill_everything(study: Running) -> None:
    """SIGKILL of snakemake and all its jobs at once"""
    _kill_while_jobs_run(study, study.kill_everything)


def _kill_while_jobs_run(study: Running, kill: Callable[[], object]) -> None:
    for _ in range(KILLS):
        study.start()
        if study.wait_until(study.list_workers):
            study.wait_a_while(JOB)
        if study.is_running:
            kill()
            study.interruptions += 1
        study.check()
    study.finish()


# --- Slurm ---


def get_cluster(study: Running) -> Cluster:
    assert isinstance(study.project, OnCluster)
    return study.project.cluster


def cancel_jobs(study: Running) -> None:
    """scancel of running jobs"""
    cluster = get_cluster(study)
    study.start()
    for _ in range(KILLS):
        if study.wait_until(study.list_workers):
            study.wait_a_while(JOB)
            for job in cluster.list_jobs("RUNNING"):
                cluster.ask("scancel", job)
                study.interruptions += 1
    study.wait()
    study.check()
    study.finish()


def drain_a_node(study: Running) -> None:
    """a node drained under its jobs"""
    cluster = get_cluster(study)
    node = study.rng.choice(cluster.nodes)
    study.start()
    try:
        study.wait_until(study.list_workers)
        study.wait_a_while(JOB)
        cluster.ask("scontrol", "update", f"nodename={node}", "state=drain", "reason=fault")
        study.interruptions += 1
        study.wait()
        study.check()
    finally:
        bring_back(cluster, node)
    study.finish()


def lose_a_node(study: Running) -> None:
    """a node that goes down with its jobs"""
    cluster = get_cluster(study)
    study.start()
    study.wait_until(lambda: cluster.list_jobs("RUNNING"))
    study.wait_a_while(JOB)
    busy = [line for line in cluster.ask("squeue", "-h", "-t", "RUNNING", "-o", "%N").splitlines() if line]
    node = study.rng.choice(busy or list(cluster.nodes))
    try:
        cluster.ask("scontrol", "update", f"nodename={node}", "state=down", "reason=fault")
        study.interruptions += 1
        time.sleep(5)
    finally:
        bring_back(cluster, node)
    study.wait()
    study.check()
    study.finish()


def bring_back(cluster: Cluster, node: str) -> None:
    """Let a node work again; Slurm refuses that of one which has come back by itself."""
    with suppress(subprocess.CalledProcessError):
        cluster.ask("scontrol", "update", f"nodename={node}", "state=resume")

    def is_there() -> bool:
        state = cluster.ask("sinfo", "-h", "-n", node, "-o", "%T").strip().lower()
        return not any(word in state for word in ("down", "drain"))

    wait_for(is_there, f"{node} after its fault")


def run_out_of_time(study: Running) -> None:
    """jobs that reach their time limit"""
    cluster = get_cluster(study)
    study.start()
    study.wait_until(lambda: any("answer" in name for name in cluster.list_jobs("RUNNING").values()))
    for job in cluster.list_jobs("RUNNING"):
        cluster.ask("scontrol", "update", f"jobid={job}", "timelimit=0:01")
        study.interruptions += 1
    study.wait()
    study.check()
    study.finish()


def run_out_of_memory_on_a_node(study: Running) -> None:
    """jobs that take more memory than they asked for"""
    little = ["--set-resources", "answer:mem_mb=300*attempt**3"]
    study.interruptions += 1
    study.run(*little)
    study.check()
    study.finish()


# --- memory, disks, clocks ---


def run_out_of_memory(study: Running) -> None:
    """out of memory (ulimit -v)"""
    limit = study.rng.randrange(1_200_000, 2_600_000, 100_000)
    study.interruptions += 1
    if study.run(prefix=("bash", "-c", f'ulimit -v {limit}; exec "$@"', "bash")):
        study.check_said()
    study.check()
    study.finish()


def fill_the_disk(study: Running) -> None:
    """disk full (a small tmpfs)"""
    whole = sum(len(content) for content in study.expected.values()) // 1024
    folder = study.folder / "results"
    with small_disk(folder, study.rng.randrange(16, max(64, 2 * whole), 4)) as remount:
        study.interruptions += 1
        if study.run():
            study.check_said()
        study.check()
        remount("size=1g")
        study.finish()


def write_nowhere(study: Running) -> None:
    """results that become read-only"""
    with small_disk(study.folder / "results", 1 << 20) as remount:
        study.start()
        study.wait_until(study.list_workers)
        study.wait_a_while(JOB)
        # The system refuses while files are open for writing; then later is as good.
        while study.is_running:
            try:
                remount("ro")
            except Exception:
                time.sleep(0.2)
                continue
            study.interruptions += 1
            break
        if study.wait():
            study.check_said()
        if study.interruptions:
            assert study.run() != 0 or read_only_is_enough(study)
            study.check_said()
        remount("rw")
        study.check()
        study.finish()


def read_only_is_enough(study: Running) -> bool:
    """Whether the study was complete before it became read-only."""
    return all((study.folder / f"results/tiny/scores/{v}.csv").exists() for v in ("vlm", "inject", "frism"))


def jump_the_clock(study: Running) -> None:
    """clock jumps, of days and back"""
    for shift in ("+40d", "-40d", "+1h"):
        prefix = ("faketime", "-f", shift) if shutil.which("faketime") else ()
        study.start(prefix=prefix)
        if study.wait_until(study.list_workers):
            study.wait_a_while(2 * JOB)
        if study.is_running:
            study.kill_everything()
            study.interruptions += 1
        for path in study.results.rglob("*"):
            if path.is_file() and study.rng.random() < 0.3:
                moment = time.time() + study.rng.choice([-4e7, 4e7, 3600, -3600])
                os.utime(path, (moment, moment))
        study.check()
    study.finish()


# --- others at work ---


def replace_a_model(study: Running) -> None:
    """a model file replaced under a running study, and put back"""
    path, kept, other = _prepare_another_model(study)
    study.start()
    study.wait_until(study.list_workers)
    study.wait_a_while(2 * JOB)
    other.replace(path)
    study.interruptions += 1
    if study.wait():
        study.check_said()
    study.check()
    kept.replace(path)
    study.finish()


def replace_a_model_between_jobs(study: Running) -> None:
    """a model file replaced before its spectrum is made, and put back after it"""
    path, kept, other = _prepare_another_model(study)
    other.replace(path)
    study.interruptions += 1
    if study.run("--until", "spectrum"):
        study.check_said()
    kept.replace(path)
    study.check()
    study.finish()


def _prepare_another_model(study: Running) -> tuple[Path, Path, Path]:
    """Return the path of a model's weights, and those of a copy and of other weights beside it."""
    role = study.rng.choice(["base", "vlm", "lrm"])
    path = study.folder / f"weights/{role}/model.safetensors"
    kept, other = path.with_name("kept"), path.with_name("other")
    shutil.copy2(path, kept)
    tensors = {name: tensor.clone() for name, tensor in load_file(kept).items()}
    for tensor in tensors.values():
        if tensor.is_floating_point():
            tensor.add_(0.01 * torch.ones_like(tensor))
    save_file(tensors, other, {"format": "pt"})
    return path, kept, other


def share_a_cache(study: Running) -> None:
    """two studies on one cache at once"""
    twin_folder = study.folder.with_name(f"{study.folder.name}-twin")
    shutil.copytree(study.folder, twin_folder)
    twin = Running(type(study.project)(twin_folder), study.expected, study.rng)
    cache = {"FRISM_CACHE": str(study.folder.with_name("cache"))}
    study.start(**cache)
    twin.start(**cache)
    study.interruptions += 1
    for one in (study, twin):
        assert one.wait() == 0, one.said[-1][-3000:]
        one.check()
    study.finish()
    twin.finish()
    shutil.rmtree(twin_folder)


def see_files_late(study: Running) -> None:
    """new files that others see seconds late, as on a network file system"""
    study.start("--latency-wait", "30")
    seen: set[Path] = set()
    while study.is_running:
        for path in [*study.results.glob("scores/*.csv"), *study.results.glob("variants/*/recipe.json")]:
            if path not in seen:
                seen.add(path)
                study.interruptions += 1
                hidden = path.with_name(f"hidden-{path.name}")
                path.rename(hidden)
                time.sleep(study.rng.uniform(1, 5))
                hidden.rename(path)
        time.sleep(0.01)
    study.wait()
    study.check()
    study.finish()


def lock_nothing(study: Running) -> None:
    """a file system without locks, two writers at once"""
    tools = study.folder / "tools"
    tools.mkdir(exist_ok=True)
    (tools / "flock").write_text('#!/bin/sh\nshift\nexec "$@"\n')
    (tools / "flock").chmod(0o755)
    path = f"{tools}:{study.project.environment()['PATH']}"
    for _ in range(KILLS):
        study.start(PATH=path)
        if study.wait_until(study.list_workers):
            study.wait_a_while(JOB)
        if study.is_running:
            study.kill_snakemake()  # its jobs go on, beside those of the next run
            study.interruptions += 1
        study.check()
    if study.run(**{"PATH": path}):
        study.check_said()
    study.check()
    study.finish()


ANYWHERE: list[Fault] = [kill_a_worker, kill_snakemake, replace_a_model]
LOCAL: list[Fault] = [*ANYWHERE, replace_a_model_between_jobs, kill_everything, run_out_of_memory,
                      fill_the_disk, write_nowhere, jump_the_clock, share_a_cache, see_files_late,
                      lock_nothing]  # fmt: skip
SLURM: list[Fault] = [*ANYWHERE, cancel_jobs, drain_a_node, lose_a_node, run_out_of_time,
                      run_out_of_memory_on_a_node]  # fmt: skip
MOUNTING = (fill_the_disk, write_nowhere)  # need rights to mount
