"""Answer with one process per GPU: each takes every n-th batch into a file of its own, which are then joined.

A batch is answered whole by one process, and batches do not depend on how many processes there are, so
neither do the answers. Each part resumes from its own file.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.answering import cost, keys
from benchmarks.answering.joining import join_parts
from benchmarks.study.engine_settings import EngineSettings
from frism.errors import UserError


def parse_share(text: str) -> tuple[int, int]:
    """Return (i, n) of "i/n". Raises UserError for another text."""
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if not match or int(match[1]) >= int(match[2]):
        raise UserError(f"--part must be i/n with i below n, not {text!r}.")
    return int(match[1]), int(match[2])


def predict_in_parts(options: Mapping[str, Any], settings: EngineSettings, out: Path) -> None:
    """Run `benchmarks.stages.predict` in `settings.devices` processes and join what they wrote in `out`.

    Raises UserError when there are fewer GPUs than processes, or a process fails; the others finish what
    they began, and finished answers are kept.
    """
    total = settings.devices
    visible = list_devices(settings)
    out.parent.mkdir(parents=True, exist_ok=True)
    parts = [out.with_name(f"{out.stem}.part{i}of{total}{out.suffix}") for i in range(total)]
    for path in parts:
        if out.is_file() and not path.exists():
            shutil.copyfile(out, path)  # each takes up what is its own
    running = []
    for number, path in enumerate(parts):
        arguments = {**options, "out": path, "part": f"{number}/{total}"}
        words = [str(word) for name, value in arguments.items() for word in (f"--{name}", value)]
        environment = {**os.environ, **({"CUDA_VISIBLE_DEVICES": visible[number]} if visible else {})}
        command = [sys.executable, "-m", "benchmarks.stages.predict", *words]
        running.append(subprocess.Popen(command, env=environment))
    try:
        failed = [number for number, process in enumerate(running) if process.wait() != 0]
    finally:
        for process in running:
            process.terminate()  # does nothing to one that has ended
    if failed:
        raise UserError(
            f"process {failed[0]} of {total} failed (its error is above): fix it and run again; finished"
            " answers are kept."
        )
    join_parts(parts, out, settings.tolerated_share)
    cost.get_costs_path(out).unlink(missing_ok=True)
    for part in parts:
        cost.append_costs(out, cost.read_costs(part))
        for path in (part, keys.get_provenance_path(part), cost.get_costs_path(part)):
            path.unlink(missing_ok=True)


def list_devices(settings: EngineSettings) -> list[str]:
    """List the GPUs of every process, as CUDA_VISIBLE_DEVICES names them; none on a CPU.

    Raises UserError when there are too few.
    """
    import torch

    if settings.torch_device.type != "cuda":
        return []
    count = torch.cuda.device_count()
    named = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    visible = named.split(",") if named else [str(number) for number in range(count)]
    each = settings.vllm_settings.tensor_parallel
    if len(visible) < settings.devices * each:
        shared = f" with engine.vllm.tensor_parallel {each}" if each > 1 else ""
        raise UserError(
            f"engine.devices is {settings.devices}{shared}, but torch sees {len(visible)} GPUs: lower it."
        )
    return [",".join(visible[i * each : (i + 1) * each]) for i in range(settings.devices)]
