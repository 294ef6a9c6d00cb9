"""Time and memory of every analysis on a triple of released widths and few layers, against `frism plan`.

    python tests/timing/analyses.py 3b 2 [--questions 4] [--only knock_out visual_attention]
A triple of the true classes with random weights (few_layers.py), the miniature's pictures blown up to 224 x
224, V and a plain injection. Each analysis runs as a process of its own, as in a study; its processor
seconds (wall time, where it is alone) and its largest memory stand beside what the plan counts for this
machine, which is measured anew before each: a virtual machine is not as fast at one time as at another.
The plan is given the tokens of these questions and answers, which it would assume otherwise. Memory is that
beyond a process that loads no model (`reflection`). bfloat16, one thread on a CPU.
"""

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
sys.path[:0] = [str(HERE.parents[2]), str(HERE.parent), str(HERE.parents[1] / "support")]

import few_layers  # noqa: E402
import torch  # noqa: E402
from transformers import AutoProcessor  # noqa: E402

from benchmarks.answering.inputs import count_prompt_tokens  # noqa: E402
from benchmarks.prompting.families import find_family  # noqa: E402
from benchmarks.questions import reading, writing  # noqa: E402
from benchmarks.registry.lookup import find  # noqa: E402
from benchmarks.stages import tune  # noqa: E402
from benchmarks.study.config import StudyConfig  # noqa: E402
from benchmarks.study.layout import Layout  # noqa: E402
from benchmarks.study.slices.tune_slice import TuneSlice  # noqa: E402
from benchmarks.tools import plan_machines  # noqa: E402
from benchmarks.tools.plan_analyses import AnalysisCounter, PlannedJob  # noqa: E402
from benchmarks.tools.plan_costs import QuestionGroup  # noqa: E402
from benchmarks.tools.plan_stages import Assumptions, Planner  # noqa: E402

NAMES = ("mini_number", "mini_total")
LIMIT = 16
VARIANT = "inject"
ANALYSES: dict[str, dict[str, Any]] = {
    "reflection": {},
    "knock_out": {"params": {"module": ["attention", "mlp"], "replacement": ["reciprocal", "zero", "mean"]}},
    "delta_knock_out": {"params": {"unit": "layers"}},
    "delta_knock_in": {"params": {"unit": "layers"}},
    "spectrum_out": {"analysis": "delta_knock_out", "params": {"unit": "spectrum", "parts": 2}},
    "spectrum_in": {"analysis": "delta_knock_in", "params": {"unit": "spectrum", "parts": 2}},
    "blank_picture": {},
    "hidden_drift": {},
    "visual_attention": {},
    "heat_maps": {},
    "tile_dependence": {},
}


class ExactCounter(AnalysisCounter):
    """Counts with the tokens that the questions and answers really have."""

    def list_questions(self, entry: Any) -> list[QuestionGroup]:
        return [
            replace(group, prompt=PROMPTS[name], answer=LIMIT, limit=LIMIT)
            for name, group in zip(NAMES, super().list_questions(entry), strict=True)
        ]


PROMPTS: dict[str, int] = {}


def main() -> None:
    """Build, run and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("shape", choices=few_layers.SHAPES)
    parser.add_argument("layers", type=int)
    parser.add_argument("--questions", type=int, default=4)
    parser.add_argument("--only", nargs="*", choices=ANALYSES, default=list(ANALYSES))
    parser.add_argument("--machine", default=plan_machines.THIS)
    given = parser.parse_args()
    chosen = {name: ANALYSES[name] for name in ("reflection", *given.only)}
    with tempfile.TemporaryDirectory() as folder:  # TMPDIR: seven gigabytes at 3b, twenty at 7b
        root = Path(folder)
        study = make_study(root, chosen, given.questions)
        # In a process of its own: the largest memory of this one would count as that of every child.
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            PROMPTS.update(pool.apply(prepare, (root, given.shape, given.layers, study, given.questions)))
        compare(root / "results", study, given.machine)


def make_study(root: Path, analyses: dict[str, dict[str, Any]], questions: int) -> StudyConfig:
    """Make the study of one merge, with every analysis of V or of the merge alone."""
    return StudyConfig.make(
        {
            "study": "dry_run",
            "triple": {role: str(root / role) for role in few_layers.ROLES},
            "engine": {
                "name": "transformers", "dtype": "bfloat16", "device": "cpu", "batch_size": 2 * questions,
                "max_new_tokens": LIMIT,
            },
            "benchmarks": list(NAMES),
            "calibration": {"source": "miniature", "questions": 64},
            "questions": {"dev": questions, "test": 1},
            "variants": {"vlm": {"method": "vlm"}, VARIANT: {"method": "inject"}},
            "analyses": {
                name: {"variants": [VARIANT], "questions": questions} | entry
                for name, entry in analyses.items()
            },
        },
        "dry run",
    )  # fmt: skip


def prepare(root: Path, shape: str, layers: int, study: StudyConfig, questions: int) -> dict[str, int]:
    """Make the triple, write the questions, answer them as V and as the merge; return the prompts' tokens."""
    torch.set_num_threads(1)
    few_layers.make(root, shape, layers, 1)
    results, prompts = root / "results", {}
    writing.write_items(results / "items", [find(name) for name in NAMES], {"dev": questions})
    for variant in study.variants:
        tune.run(TuneSlice.of(study), variant, Layout(results), "c")
    (results / "study.json").write_text(json.dumps({"config": study.model_dump(mode="json")}))
    processor = AutoProcessor.from_pretrained(root / "vlm")
    for name, items in reading.load_items(results / "items", "dev", list(NAMES)).items():
        prompts[name] = count_prompt_tokens(processor, find_family("qwen2_5_vl"), items[0])
    return prompts


def measure(results: Path, entry: str) -> tuple[float, float]:
    """Run one job; return its processor seconds and the largest memory of its process in bytes."""
    command = [sys.executable, "-m", "benchmarks.stages.analyse", "--study", str(results / "study.json"),
               "--entry", entry, "--variant", VARIANT]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with (results / f"{entry}.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{entry} failed:\n{(results / f'{entry}.log').read_text()}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def list_jobs(study: StudyConfig, machine: str) -> list[tuple[str, PlannedJob]]:
    """Plan every job, on a machine that is measured now unless it is one of a data sheet."""
    found = plan_machines.measure_machine() if machine == plan_machines.THIS else None
    planner = Planner(
        study, found or plan_machines.find_machine(machine), Assumptions(few_layers.SIDE**2, LIMIT)
    )
    return list(ExactCounter(planner).list_jobs())


def compare(results: Path, study: StudyConfig, machine: str) -> None:
    """Print what each job took beside what was planned."""
    columns = ("planned s", "took s", "ratio", "planned GB", "took GB", "ratio")
    print(f"{'analysis':18}{''.join(f'{column:>12}' for column in columns)}")
    idle = 0.0
    for number in range(len(study.analyses)):
        entry, job = list_jobs(study, machine)[number]
        began = time.time()
        seconds, memory = measure(results, entry)
        if entry == "reflection":
            idle = memory
        expected, held = sum(cost.seconds for cost in job.parts.values()), job.device + job.host
        took = memory - idle
        ratios = expected / seconds, held / took if took > 0 else float("nan")
        numbers = (expected, seconds, ratios[0], held / 1e9, took / 1e9, ratios[1])
        parts = ", ".join(f"{name} {cost.seconds:.1f}" for name, cost in job.parts.items())
        print(
            f"{entry:18}{''.join(f'{number:12.2f}' for number in numbers)}   wall"
            f" {time.time() - began:.0f} s; planned: {parts}",
            flush=True,
        )


if __name__ == "__main__":
    main()
