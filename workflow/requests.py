"""Say what a job asks a cluster for: memory, time and processors, from the plan's counts of this study.

A profile names the kind of machine as the default resource `machine` (profiles/slurm). Without it, as on
one machine, jobs ask for nothing and nothing is counted. Times are those of `frism plan`, which knows a
machine by a few rates: they are given generously, and a job that was ended for want of time or memory gets
more of both when it is tried again.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from math import ceil
from typing import Any

from frism.errors import report_errors
from workflow.code_digest import digest_code
from workflow.jobs import Jobs
from workflow.remember import remember

Need = dict[str, float]  # "mem_mb", "minutes"

MB = 1e6
PROCESS = {"cpu": 2000, "cuda": 6000}  # MB of a process beside what it loads: libraries, CUDA's own
ROOM = 1.3  # times the memory that is counted
PATIENCE = 4  # times the seconds that are counted: rates of machines are rough, lengths of answers assumed
LEAST_MINUTES, STEP_MINUTES = 20, 10
SMALL: Need = {"mem_mb": 4000, "minutes": 30}  # what reads all answers and writes tables
LIGHT: Need = {"mem_mb": 2000, "minutes": 20}  # what reads one variant's; several share a job
FEEDING = 3  # processors beside the one that steers a GPU: pictures are prepared ahead in threads

# One share of a variant's answers is given the time of all: shares are uneven, and asking for less gains
# little.
OF_A_VARIANT = ("answer", "answer_shard", "fit", "oracle", "analyse", "answer_in_turns")

Resource = Callable[..., int]


class Requests:
    """Gives the resources of rules.

    Args:
        jobs: the jobs of the study.
        defaults: Snakemake's default resources; `machine` among them is a name that `frism plan` knows.
    """

    def __init__(self, jobs: Jobs, defaults: Mapping[str, Any] | None) -> None:
        self.jobs, self.study = jobs, jobs.study
        named = (defaults or {}).get("machine")
        self.machine: str | None = None if named is None else str(getattr(named, "raw", named))

    def of(self, rule: str, names: Sequence[str] = ()) -> dict[str, Resource | int]:
        """Return the resources of a rule's jobs, to be unpacked; none where no machine is named.

        `names`: the variants that one job of the rule takes, where its wildcards do not say.
        """
        if self.machine is None:
            return {}

        def mem_mb(wildcards: Any, attempt: int = 1) -> int:
            return ceil(self._find(rule, wildcards, names)["mem_mb"] * (1 + (attempt - 1) / 2) / 100) * 100

        def runtime(wildcards: Any, attempt: int = 1) -> int:
            minutes = max(self._find(rule, wildcards, names)["minutes"], LEAST_MINUTES)
            steps: int = ceil(minutes * 2 ** (attempt - 1) / STEP_MINUTES)
            return steps * STEP_MINUTES

        gpus = self.jobs.gpus if rule in (*OF_A_VARIANT, "text") else 0
        return {"mem_mb": mem_mb, "runtime": runtime, "cpus_per_task": 1 + FEEDING * gpus}

    def _find(self, rule: str, wildcards: Any, names: Sequence[str]) -> Need:
        """Find what a job needs on its first attempt."""
        if rule in ("spectrum", "explain"):
            return self.needs["spectrum"]
        if rule == "text":
            return self.needs["text"]
        if rule in OF_A_VARIANT:
            wanted = names or [str(wildcards.variant)]
            each = [self.needs[f"variant {name}"] for name in wanted]
            return {
                "mem_mb": max(need["mem_mb"] for need in each),
                "minutes": sum(need["minutes"] for need in each),
            }
        return LIGHT if rule in ("score", "gather") else SMALL

    @cached_property
    def needs(self) -> dict[str, Need]:
        """Count what every kind of job needs, once for a study and a machine."""
        with report_errors():
            data = (
                "workflow/requests.py",
                "benchmarks/tools/plan_machines.yaml",
                "benchmarks/tools/plan_checkpoints.yaml",
            )
            code = digest_code("benchmarks.tools.plan_stages", data=data)
            answer: dict[str, Need] = remember(
                ["requests", code, self.machine, json.loads(self.study.model_dump_json())], self._count
            )
        return answer

    def _count(self) -> dict[str, Need]:
        from benchmarks.tools.plan_machines import find_machine
        from benchmarks.tools.plan_stages import Planner

        assert self.machine is not None
        machine = find_machine(self.machine)
        device = "cpu" if self.study.engine.device == "cpu" else machine.device
        needs: dict[str, Need] = {"spectrum": dict(SMALL), "text": dict(SMALL)}
        for name, variant in self.study.variants.items():
            alone = self.study.model_copy(update={"variants": {name: variant}, "analyses": {}})
            planner = Planner(alone, machine)
            stages = {stage.name: stage for stage in planner.stages()}
            own = [stages[stage] for stage in ("tune", "predict", "oracle", "text") if stage in stages]
            seconds = sum(stage.cost.seconds / (3 if stage.name == "text" else 1) for stage in own)
            loaded = max(stage.memory for stage in own) if device == "cpu" else planner.model.bytes
            if device == "cuda" and planner.counter.streams():
                loaded += planner.counter.spectra_bytes()
            needs[f"variant {name}"] = _give(device, loaded, seconds)
            if "text" in stages:
                needs["text"] = _give(device, loaded, stages["text"].cost.seconds / 3)
            if "spectrum" in stages:
                stage = stages["spectrum"]
                needs["spectrum"] = _give(device, stage.memory, stage.cost.seconds / stage.jobs)
        return needs


def _give(device: str, loaded: float, seconds: float) -> Need:
    """Give a job what it needs with some room; `loaded`: bytes in main memory beside the process."""
    return {"mem_mb": ROOM * (PROCESS[device] + loaded / MB), "minutes": PATIENCE * seconds / 60}
